// SPDX-License-Identifier: GPL-2.0

//! A ring of fixed slots: many producers, any number of readers, no lock.
//!
//! A producer reads the clock, reserves a position by moving `head`, writes the
//! slot and commits it. Positions are in the order of times: whoever finds that
//! `head` has moved since before the clock was read, reads it again. A new record
//! takes the place of the oldest one, so a reader that stands still blinds nobody
//! else, and whoever comes late finds the last records there.
//!
//! Each reader keeps a [`Cursor`] of its own and finds out by itself what it lost:
//! what was produced since its start is what it was given plus what it lost plus
//! what it can still read. A slot is made of atomic words, so sharing one, also
//! with another address space, needs no `unsafe`. The commit word is that of a
//! seqlock: a reader whose slot is taken from it while it reads finds it changed.

use crate::abi::Frame;
use crate::atomics::{fence, AtomicU64, Ordering};
use crate::record::{Record, Words, RECORD_WORDS};

/// Words of a slot: the commit word, the losses before it, the record.
pub const SLOT_WORDS: usize = RECORD_WORDS + 2;

/// Room for one record.
#[repr(C, align(64))]
pub struct Slot {
    /// The position plus one when it is written; 0 while it is not.
    commit: AtomicU64,
    /// What the ring had lost when it was written.
    lost: AtomicU64,
    record: [AtomicU64; RECORD_WORDS],
}

impl Slot {
    /// A slot that was never written; the kernel has zeroed pages for that.
    #[cfg(not(MODULE))]
    pub fn new() -> Self {
        Self {
            commit: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            record: ::core::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    fn is_committed(&self, position: u64) -> bool {
        self.commit.load(Ordering::Acquire) == position.wrapping_add(1)
    }
}

#[cfg(not(MODULE))]
impl Default for Slot {
    fn default() -> Self {
        Self::new()
    }
}

/// What stands before the slots.
#[repr(C, align(64))]
#[derive(Default)]
pub struct Header {
    /// Where the next record goes.
    head: AtomicU64,
    /// Records for which the ring had no room, because the slot of the oldest one
    /// was still being written.
    lost: AtomicU64,
}

/// The memory that a ring lies in.
pub trait Memory {
    /// The header, zeroes in a new ring.
    fn header(&self) -> &Header;
    /// The slots, zeroes in a new ring: always the same, a power of two of them.
    fn slots(&self) -> &[Slot];
}

/// The turn of a record, which is over when the value goes: then readers find it.
#[must_use]
pub struct Turn<'a> {
    /// What the clock says.
    pub time: u64,
    /// The position in the ring; no other record of it ever has this.
    pub position: u64,
    header: &'a Header,
    slot: &'a Slot,
}

impl<'a> Turn<'a> {
    /// The room for the record.
    #[inline(always)]
    pub fn room(&self) -> Room<'a> {
        Room(&self.slot.record)
    }
}

impl Drop for Turn<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        let lost = self.header.lost.load(Ordering::Relaxed);
        self.slot.lost.store(lost, Ordering::Relaxed);
        let commit = self.position.wrapping_add(1);
        self.slot.commit.store(commit, Ordering::Release);
    }
}

/// The room for a record in a slot.
pub struct Room<'a>(&'a [AtomicU64; RECORD_WORDS]);

impl Room<'_> {
    /// Writes a whole record.
    pub fn put(&mut self, record: &Record) {
        for (word, value) in self.0.iter().zip(record.to_words()) {
            word.store(value, Ordering::Relaxed);
        }
    }
}

impl Words for Room<'_> {
    #[inline(always)]
    fn set(&mut self, word: usize, value: u64) {
        if let Some(word) = self.0.get(word) {
            word.store(value, Ordering::Relaxed);
        }
    }
}

/// A ring as its producers see it.
pub struct Ring<M>(M);

impl<M: Memory> Ring<M> {
    /// A ring in this memory; none if the number of its slots is not a power of two.
    pub fn new(memory: M) -> Option<Self> {
        View::new(memory.header(), memory.slots())?;
        Some(Self(memory))
    }

    /// The memory.
    pub fn memory(&self) -> &M {
        &self.0
    }

    /// The ring as its readers see it.
    pub fn view(&self) -> View<'_> {
        View {
            header: self.0.header(),
            slots: self.0.slots(),
        }
    }

    /// Adds the record that `make` returns for the time that `clock` says. Returns
    /// whether it was added: it is lost, and counted, when the slot whose turn it
    /// is has been in the hands of another producer for a whole round.
    pub fn produce(&self, clock: impl Fn() -> u64, make: impl FnOnce(u64) -> Record) -> bool {
        match self.reserve(clock) {
            Some(turn) => {
                turn.room().put(&make(turn.time));
                true
            }
            None => false,
        }
    }

    /// Takes the slot whose turn it is, for a record that is to be written straight into
    /// it; it may leave out what it does not have: see [`crate::record::write`].
    #[inline(always)]
    pub fn reserve(&self, clock: impl Fn() -> u64) -> Option<Turn<'_>> {
        let header = self.0.header();
        let slots = self.0.slots();
        let mut head = header.head.load(Ordering::Relaxed);
        let (slot, time) = loop {
            let slot = slots.get(index(slots, head))?;
            // What the slot's last writer, a round ago, left; 0 in the first round.
            let before = head.wrapping_add(1).saturating_sub(slots.len() as u64);
            if slot.commit.load(Ordering::Acquire) != before {
                let now = header.head.load(Ordering::Relaxed);
                if now != head {
                    // Others were faster.
                    head = now;
                    continue;
                }
                header.lost.fetch_add(1, Ordering::Relaxed);
                return None;
            }
            let time = clock();
            match header.head.compare_exchange(
                head,
                head.wrapping_add(1),
                Ordering::SeqCst,
                Ordering::Relaxed,
            ) {
                // The slot is ours until we commit it: nobody else gets this position.
                Ok(_) => break (slot, time),
                Err(now) => head = now,
            }
        };
        slot.commit.store(0, Ordering::Relaxed);
        // Who finds one of the record's words also finds that.
        fence(Ordering::Release);
        Some(Turn {
            time,
            position: head,
            header,
            slot,
        })
    }
}

#[inline]
fn index(slots: &[Slot], position: u64) -> usize {
    // A power of two of slots: the low bits say which one, whatever the width of `usize`.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "only the low bits are wanted"
    )]
    let position = position as usize;
    position & slots.len().wrapping_sub(1)
}

/// A ring as its readers see it.
#[derive(Clone, Copy)]
pub struct View<'a> {
    header: &'a Header,
    slots: &'a [Slot],
}

impl<'a> View<'a> {
    /// The ring of these parts; none if the number of slots is not a power of two.
    pub fn new(header: &'a Header, slots: &'a [Slot]) -> Option<Self> {
        slots
            .len()
            .is_power_of_two()
            .then_some(Self { header, slots })
    }

    /// How many records were added since the ring was made.
    pub fn added(&self) -> u64 {
        self.header.head.load(Ordering::SeqCst)
    }

    /// How many records were made for this ring.
    pub fn total(&self) -> u64 {
        self.added().wrapping_add(self.refused())
    }

    /// How many records found no room since the ring was made.
    pub fn refused(&self) -> u64 {
        self.header.lost.load(Ordering::Relaxed)
    }
}

/// What a reader finds next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing.
    Empty,
    /// A record that is still being written.
    Busy,
    /// A record of this time.
    At(u64),
}

/// Where a reader stands in a ring.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor {
    position: u64,
    /// What the ring had lost, as far as this reader knows.
    refused: u64,
    /// What this reader lost since the last frame.
    lost: u64,
}

impl Cursor {
    /// A reader of what comes from now on.
    pub fn newest(view: View<'_>) -> Self {
        // In this order: what is lost in between counts.
        let refused = view.refused();
        Self {
            position: view.added(),
            refused,
            lost: 0,
        }
    }

    /// A reader of all that is still there.
    pub fn oldest(view: View<'_>) -> Self {
        let newest = Self::newest(view);
        Self {
            position: newest.position.saturating_sub(view.slots.len() as u64),
            ..newest
        }
    }

    /// How many records there are to read, those included that are being written.
    pub fn unread(&self, view: View<'_>) -> u64 {
        view.added()
            .wrapping_sub(self.position)
            .min(view.slots.len() as u64)
    }

    /// Passes over what was overwritten.
    fn catch_up(&mut self, head: u64, slots: u64) {
        let behind = head.wrapping_sub(self.position);
        if behind > slots {
            // A little more than must be: what is about to be overwritten would be
            // lost while it is read.
            let skip = behind
                .wrapping_sub(slots)
                .wrapping_add(slots >> 4)
                .min(behind);
            self.position = self.position.wrapping_add(skip);
            self.lost = self.lost.wrapping_add(skip);
        }
    }

    /// Has `read` read the slot of the next record, if it can.
    fn look<'a, T>(&mut self, view: View<'a>, read: impl Fn(&'a Slot) -> T) -> Result<T, Next> {
        loop {
            let head = view.added();
            self.catch_up(head, view.slots.len() as u64);
            if self.position == head {
                return Err(Next::Empty);
            }
            let Some(slot) = view.slots.get(index(view.slots, self.position)) else {
                return Err(Next::Empty);
            };
            let ready = slot.is_committed(self.position);
            let value = read(slot);
            // Before this loads the commit word again, all of the above is loaded.
            fence(Ordering::Acquire);
            if ready && slot.commit.load(Ordering::Relaxed) == self.position.wrapping_add(1) {
                return Ok(value);
            }
            // Not written yet, or overwritten: the head says which.
            if view.added().wrapping_sub(self.position) <= view.slots.len() as u64 {
                return Err(Next::Busy);
            }
        }
    }

    /// What [`Self::take`] would find.
    pub fn next(&mut self, view: View<'_>) -> Next {
        // The time is a record's first word.
        let time = |slot: &Slot| {
            slot.record
                .first()
                .map_or(0, |word| word.load(Ordering::Relaxed))
        };
        match self.look(view, time) {
            Ok(time) => Next::At(time),
            Err(next) => next,
        }
    }

    /// The next record, if it is written.
    pub fn take(&mut self, view: View<'_>) -> Option<Frame> {
        let read = |slot: &Slot| {
            let mut words = [0; RECORD_WORDS];
            for (value, word) in words.iter_mut().zip(&slot.record) {
                *value = word.load(Ordering::Relaxed);
            }
            (words, slot.lost.load(Ordering::Relaxed))
        };
        let (words, refused) = self.look(view, read).ok()?;
        self.notice(refused);
        let frame = Frame {
            position: self.position,
            lost: self.lost,
            record: Record::from_words(words).without_leftovers(),
        };
        self.position = self.position.wrapping_add(1);
        self.lost = 0;
        Some(frame)
    }

    /// Takes a frame back that was taken last: it is the next one again.
    pub fn put_back(&mut self, frame: &Frame) {
        self.position = frame.position;
        self.lost = self.lost.wrapping_add(frame.lost);
    }

    /// Changes with every frame that is taken and every loss that is known; what
    /// the ring's [`View::total`] is when there is nothing to read.
    pub fn total(&self) -> u64 {
        self.position.wrapping_add(self.refused)
    }

    /// What was lost behind the last record that was taken: where there is nothing
    /// to read, and only if there is something to tell.
    pub fn take_gap(&mut self, view: View<'_>) -> Option<Frame> {
        let refused = view.refused();
        if self.next(view) != Next::Empty {
            return None;
        }
        self.notice(refused);
        let lost = ::core::mem::take(&mut self.lost);
        (lost > 0).then_some(Frame {
            position: self.position,
            lost,
            record: Record::EMPTY,
        })
    }

    /// Counts what the ring refused until it had refused so many. Two producers may
    /// have written down their counts in the other order.
    fn notice(&mut self, refused: u64) {
        let new = refused.saturating_sub(self.refused);
        self.refused = self.refused.max(refused);
        self.lost = self.lost.wrapping_add(new);
    }
}

/// What a reader of several rings finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "it is returned, never stored; there is no heap to put it on"
)]
pub enum Merged {
    /// Nothing more up to the time in question.
    Empty,
    /// That cannot be told: a record is still being written that may come before all others.
    Busy,
    /// The earliest record, or a gap where nothing follows; its ring's number.
    Frame(usize, Frame),
}

/// Takes the earliest record of several rings, one cursor each, that is no later
/// than `until`; after the last one the gaps behind it.
///
/// The records of one packet always come in its order. The first of two was written
/// before the clock was read for the second; so when the second is no later than the
/// caller's reading of the clock (`until`), the first can be seen, and in its ring
/// stands behind none that is later. Only a record of another packet, whose writer is
/// between the clock and its place in the ring, may come out of order.
pub fn merge<'a>(
    cursors: &mut [Cursor],
    view: impl Fn(usize) -> Option<View<'a>>,
    until: u64,
) -> Merged {
    let mut earliest = None;
    let mut bound = until;
    let mut number = 0_usize;
    for cursor in cursors.iter_mut() {
        if let Some(view) = view(number) {
            match cursor.next(view) {
                Next::Busy => return Merged::Busy,
                Next::At(time) if time <= bound => {
                    earliest = Some((number, view));
                    // Of records of the same time, the first ring's comes first.
                    bound = time.saturating_sub(1);
                }
                Next::At(_) | Next::Empty => {}
            }
        }
        number = number.wrapping_add(1);
    }
    if let Some((number, view)) = earliest {
        return match cursors.get_mut(number).and_then(|c| c.take(view)) {
            Some(frame) => Merged::Frame(number, frame),
            // Overwritten just now; what came instead is being written.
            None => Merged::Busy,
        };
    }
    let mut number = 0_usize;
    for cursor in cursors.iter_mut() {
        if let Some(frame) = view(number).and_then(|view| cursor.take_gap(view)) {
            return Merged::Frame(number, frame);
        }
        number = number.wrapping_add(1);
    }
    Merged::Empty
}

#[cfg(test)]
mod tests;
