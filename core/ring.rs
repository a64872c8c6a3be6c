// SPDX-License-Identifier: GPL-2.0

//! A ring of fixed slots: many producers, one consumer, no lock, drop-new.
//!
//! A producer reads the clock, reserves a position by moving `head`, writes the
//! slot and commits it. Positions are in the order of times: whoever finds that
//! `head` has moved since before the clock was read, reads it again. When the ring is full the record is lost and counted: what was produced is
//! what was taken plus what was lost. Nothing is ever overwritten.
//!
//! A slot is made of atomic words, so sharing one needs no `unsafe`, and a
//! commit word of the position plus one tells a written slot from any other state.

use ::core::sync::atomic::{AtomicU64, Ordering};

use crate::record::{Record, RECORD_WORDS};

/// Words of a slot: the commit word, the losses before it, the record.
pub const SLOT_WORDS: usize = RECORD_WORDS + 2;

/// Room for one record.
#[repr(C, align(64))]
pub struct Slot {
    commit: AtomicU64,
    lost: AtomicU64,
    record: [AtomicU64; RECORD_WORDS],
}

impl Slot {
    /// A slot that was never written.
    pub const fn new() -> Self {
        Self {
            commit: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            record: [const { AtomicU64::new(0) }; RECORD_WORDS],
        }
    }
}

impl Default for Slot {
    fn default() -> Self {
        Self::new()
    }
}

/// A record as the consumer finds it.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// How many records the ring had lost, since it was made, when this one was written.
    pub lost: u64,
    /// The record.
    pub record: Record,
}

/// What is at the consumer's end of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing.
    Empty,
    /// A record that is still being written.
    Busy,
    /// A record of this time.
    At(u64),
}

/// A ring over storage of a power of two of slots.
///
/// # Invariants
///
/// `slots` is a power of two and never changes; `tail <= head <= tail + slots`, as
/// positions that only grow.
pub struct Ring<S> {
    slots: S,
    mask: u64,
    /// Where the next record goes.
    head: AtomicU64,
    /// Where the oldest record is that was not taken.
    tail: AtomicU64,
    lost: AtomicU64,
}

impl<S: AsRef<[Slot]>> Ring<S> {
    /// A ring of these slots; none if their number is not a power of two.
    pub fn new(slots: S) -> Option<Self> {
        let count = slots.as_ref().len() as u64;
        count.is_power_of_two().then(|| Self {
            slots,
            mask: count.wrapping_sub(1),
            head: AtomicU64::new(0),
            tail: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        })
    }

    #[inline]
    fn slot(&self, position: u64) -> Option<&Slot> {
        usize::try_from(position & self.mask)
            .ok()
            .and_then(|index| self.slots.as_ref().get(index))
    }

    /// Adds the record that `make` returns for the time that `clock` says, or
    /// counts it as lost when there is no room. Returns whether it was added.
    #[inline]
    pub fn produce(&self, clock: impl Fn() -> u64, make: impl FnOnce(u64) -> Record) -> bool {
        let mut head = self.head.load(Ordering::Relaxed);
        let time = loop {
            let used = head.wrapping_sub(self.tail.load(Ordering::Acquire));
            // A head that is older than the tail says only that others were faster.
            if used > self.mask && used <= u64::MAX / 2 {
                self.lost.fetch_add(1, Ordering::Relaxed);
                return false;
            }
            let time = clock();
            match self.head.compare_exchange(
                head,
                head.wrapping_add(1),
                Ordering::SeqCst,
                Ordering::Relaxed,
            ) {
                Ok(_) => break time,
                Err(now) => head = now,
            }
        };
        let record = make(time);
        if let Some(slot) = self.slot(head) {
            slot.lost
                .store(self.lost.load(Ordering::Relaxed), Ordering::Relaxed);
            for (word, value) in slot.record.iter().zip(record.to_words()) {
                word.store(value, Ordering::Relaxed);
            }
            slot.commit.store(head.wrapping_add(1), Ordering::Release);
        }
        true
    }

    /// How many records the ring holds, those included that are being written.
    pub fn len(&self) -> u64 {
        self.head.load(Ordering::SeqCst).wrapping_sub(self.tail())
    }

    /// Whether the ring holds no record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The position of the oldest record that was not taken.
    fn tail(&self) -> u64 {
        self.tail.load(Ordering::Relaxed)
    }

    /// How many records were lost since the ring was made.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// The slot of the oldest record, if that is written.
    fn oldest(&self) -> Option<&Slot> {
        let tail = self.tail();
        let slot = self.slot(tail)?;
        (slot.commit.load(Ordering::Acquire) == tail.wrapping_add(1)).then_some(slot)
    }

    /// What the consumer would find. For the one consumer.
    pub fn next(&self) -> Next {
        match self.oldest() {
            // The time is a record's first word.
            Some(slot) => Next::At(
                slot.record
                    .first()
                    .map_or(0, |word| word.load(Ordering::Relaxed)),
            ),
            None if self.is_empty() => Next::Empty,
            None => Next::Busy,
        }
    }

    /// The oldest record, if it is written. For the one consumer.
    pub fn peek(&self) -> Option<Entry> {
        let slot = self.oldest()?;
        let mut words = [0; RECORD_WORDS];
        for (value, word) in words.iter_mut().zip(&slot.record) {
            *value = word.load(Ordering::Relaxed);
        }
        Some(Entry {
            lost: slot.lost.load(Ordering::Relaxed),
            record: Record::from_words(words),
        })
    }

    /// Takes the record that [`Self::peek`] showed: its slot is free again.
    pub fn pop(&self) {
        self.tail
            .store(self.tail().wrapping_add(1), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::sync::atomic::AtomicBool;

    fn ring(slots: usize) -> Ring<Vec<Slot>> {
        Ring::new((0..slots).map(|_| Slot::new()).collect()).unwrap()
    }

    fn record(time: u64) -> Record {
        let mut record = Record::EMPTY;
        record.time = time;
        record.cookie = !time;
        record
    }

    fn take(ring: &Ring<Vec<Slot>>) -> Option<Entry> {
        let entry = ring.peek()?;
        ring.pop();
        Some(entry)
    }

    fn produce(ring: &Ring<Vec<Slot>>, time: u64) -> bool {
        ring.produce(|| time, record)
    }

    #[test]
    fn records_come_out_in_the_order_in_which_they_went_in() {
        let ring = ring(4);
        for round in 0..10 {
            for i in 0..3 {
                assert!(produce(&ring, round * 3 + i));
            }
            for i in 0..3 {
                assert_eq!(take(&ring).unwrap().record, record(round * 3 + i));
            }
            assert!(take(&ring).is_none());
        }
    }

    #[test]
    fn a_full_ring_keeps_the_old_records_and_counts_the_new_ones_as_lost() {
        let ring = ring(4);
        for i in 0..7 {
            assert_eq!(produce(&ring, i), i < 4);
        }
        assert_eq!(ring.lost(), 3);
        for i in 0..4 {
            let entry = take(&ring).unwrap();
            assert_eq!((entry.record.time, entry.lost), (i, 0));
        }
        assert!(produce(&ring, 9));
        assert_eq!(
            take(&ring).unwrap().lost,
            3,
            "the gap is known where it was"
        );
    }

    #[test]
    fn a_reserved_slot_hides_itself_and_those_behind_it_until_it_is_written() {
        let ring = ring(4);
        assert_eq!(ring.next(), Next::Empty);
        ring.produce(
            || 1,
            |time| {
                produce(&ring, 2);
                assert_eq!(ring.next(), Next::Busy);
                assert!(ring.peek().is_none());
                record(time)
            },
        );
        assert_eq!(ring.next(), Next::At(1));
        assert_eq!(take(&ring).unwrap().record.time, 1);
        assert_eq!(take(&ring).unwrap().record.time, 2);
    }

    #[test]
    fn who_is_overtaken_between_the_clock_and_the_reservation_reads_the_clock_again() {
        let ring = ring(4);
        let clock = Cell::new(0);
        let tick = || {
            clock.set(clock.get() + 1);
            clock.get()
        };
        let overtaken = Cell::new(false);
        ring.produce(
            || {
                let time = tick();
                if !overtaken.replace(true) {
                    ring.produce(tick, record);
                }
                time
            },
            record,
        );
        let times = [(); 2].map(|()| take(&ring).unwrap().record.time);
        assert_eq!(times, [2, 3]);
    }

    #[test]
    fn a_number_of_slots_that_is_no_power_of_two_is_refused() {
        assert!(Ring::new(Vec::<Slot>::new()).is_none());
        assert!(Ring::new((0..3).map(|_| Slot::new()).collect::<Vec<_>>()).is_none());
    }

    /// Four producers against one consumer: nothing is torn, doubled or
    /// reordered within a producer, and produced = taken + lost.
    #[test]
    fn produced_is_taken_plus_lost_under_concurrent_producers() {
        const PRODUCERS: u64 = 4;
        const EACH: u64 = 50_000;
        let ring = ring(64);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let producers: Vec<_> = (0..PRODUCERS)
                .map(|id| {
                    let ring = &ring;
                    scope.spawn(move || {
                        (0..EACH).filter(|i| produce(ring, (id << 32) | i)).count() as u64
                    })
                })
                .collect();
            let consumer = scope.spawn(|| {
                let mut taken = 0;
                let mut last = [None; 4];
                loop {
                    let finished = done.load(Ordering::Acquire);
                    while let Some(Entry { record: found, .. }) = take(&ring) {
                        assert_eq!(found, record(found.time), "torn");
                        let id = usize::try_from(found.time >> 32).unwrap();
                        assert!(last[id].is_none_or(|last| last < found.time), "order");
                        last[id] = Some(found.time);
                        taken += 1;
                    }
                    if finished {
                        return taken;
                    }
                    std::thread::yield_now();
                }
            });
            let added: u64 = producers.into_iter().map(|p| p.join().unwrap()).sum();
            done.store(true, Ordering::Release);
            assert_eq!(consumer.join().unwrap(), added);
            assert_eq!(added + ring.lost(), PRODUCERS * EACH);
        });
    }
}
