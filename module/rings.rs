// SPDX-License-Identifier: GPL-2.0

//! A ring of records for each CPU.

use kernel::cpu::nr_cpu_ids;
use kernel::prelude::*;

use nftrace_core::ring::{self, Cursor, Memory as _, Ring, Room, Slot, View};

use super::datapath::now;
use crate::bindings::memory::RingMemory;
use crate::bindings::{random, wakeup, PreemptionDisabled};

/// Slots of a ring where nobody asked for a number of them.
const DEFAULT_SLOTS: usize = 4096;

/// Memory for all rings together where nobody asked: with more than 32 possible
/// CPUs, each ring has less.
const DEFAULT_MEMORY: usize = 64 << 20;

/// The numbers of slots that can be asked for.
const SLOTS: core::ops::RangeInclusive<usize> = 64..=1 << 20;

/// Slots of each of so many rings: a power of two.
fn default_slots(rings: usize) -> usize {
    let slots = (DEFAULT_MEMORY / size_of::<Slot>())
        .checked_div(rings)
        .unwrap_or(1);
    // The largest power of two that is not larger.
    let slots = 1_usize.wrapping_shl(slots.max(1).ilog2());
    slots.min(DEFAULT_SLOTS)
}

/// Memory that a table lies in.
pub(crate) struct Storage<T>(KVVec<T>);

impl<T> Storage<T> {
    /// Room for `len` values that `make` makes.
    pub(crate) fn new(len: usize, make: impl Fn() -> T) -> Result<Self> {
        let mut values = KVVec::with_capacity(len, GFP_KERNEL)?;
        for _ in 0..len {
            values.push(make(), GFP_KERNEL)?;
        }
        Ok(Self(values))
    }
}

impl<T> AsRef<[T]> for Storage<T> {
    #[inline]
    fn as_ref(&self) -> &[T] {
        &self.0
    }
}

impl<T> AsMut<[T]> for Storage<T> {
    fn as_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

/// One ring for each CPU that there can be.
pub(crate) struct Rings {
    rings: KVec<Ring<RingMemory>>,
    slots: usize,
    /// Odd, so that what is multiplied by it stays distinct, also its low half.
    key: u64,
}

/// The turn of a record, to be committed.
#[must_use]
pub(crate) struct Turn<'a> {
    /// Nanoseconds of the monotonic clock.
    pub(crate) time: u64,
    /// The CPU whose ring it is in.
    pub(crate) cpu: u16,
    /// An identity that no packet has.
    pub(crate) identity: u64,
    /// Where the record goes.
    pub(crate) room: Room<'a>,
    turn: ring::Turn<'a>,
    here: PreemptionDisabled,
}

impl Turn<'_> {
    /// The record is there: its readers may have it.
    #[inline(always)]
    pub(crate) fn commit(self) {
        // Then they are told, and only then another task may run.
        drop(self.turn);
        wakeup::produced();
        drop(self.here);
    }
}

impl Rings {
    /// Empty rings, of `wanted` slots each, or, for 0, of as many as is usual.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a number that is no power of two, too small or too large; `ENOMEM`.
    pub(crate) fn new(wanted: u32) -> Result<Self> {
        let cpus = nr_cpu_ids();
        let slots = match wanted as usize {
            0 => default_slots(cpus as usize),
            slots if slots.is_power_of_two() && SLOTS.contains(&slots) => slots,
            slots => {
                pr_err!(
                    "ring_slots={slots}: refused: a power of two from {} to {} is wanted\n",
                    SLOTS.start(),
                    SLOTS.end()
                );
                return Err(EINVAL);
            }
        };
        let mut rings = KVec::new();
        for _ in 0..cpus {
            let memory = RingMemory::new(slots).inspect_err(|_| {
                pr_err!("ring_slots={slots}: there is not so much memory for {cpus} rings\n");
            })?;
            rings.push(Ring::new(memory).ok_or(EINVAL)?, GFP_KERNEL)?;
        }
        Ok(Self {
            rings,
            slots,
            key: random() | 1,
        })
    }

    /// The next place in the ring of this CPU, for a record; none where the ring has none,
    /// which counts as a loss of it.
    ///
    /// The CPU is a hint only: a ring takes records from anywhere.
    #[inline(always)]
    pub(crate) fn reserve(&self) -> Option<Turn<'_>> {
        // Who is interrupted between taking a slot and filling it holds up all readers.
        let here = PreemptionDisabled::new();
        let cpu = here.cpu();
        let turn = self.rings.get(cpu as usize)?.reserve(now)?;
        Some(Turn {
            time: turn.time,
            cpu: cpu as u16,
            identity: self.identity(cpu, turn.position),
            room: turn.room(),
            turn,
            here,
        })
    }

    /// A number that no other record gets: that of the CPU and the place in its ring,
    /// scrambled with a key of this load's. It tells nobody an address.
    #[inline]
    fn identity(&self, cpu: u32, position: u64) -> u64 {
        position
            .wrapping_add(1)
            .wrapping_mul(self.rings.len() as u64)
            .wrapping_add(cpu.into())
            .wrapping_mul(self.key)
    }

    /// How many rings there are.
    pub(crate) fn len(&self) -> usize {
        self.rings.len()
    }

    /// How many slots each has.
    pub(crate) fn slots(&self) -> usize {
        self.slots
    }

    /// The ring of a CPU, for reading.
    pub(crate) fn view(&self, cpu: usize) -> Option<View<'_>> {
        self.rings.get(cpu).map(Ring::view)
    }

    /// The memory of a CPU's ring.
    pub(crate) fn memory(&self, cpu: usize) -> Option<&RingMemory> {
        self.rings.get(cpu).map(Ring::memory)
    }

    /// How many records were made, lost ones included.
    pub(crate) fn total(&self) -> u64 {
        self.rings
            .iter()
            .fold(0, |sum, ring| sum.wrapping_add(ring.view().total()))
    }

    /// A cursor for each ring, which `at` places.
    pub(crate) fn cursors(&self, at: impl Fn(View<'_>) -> Cursor) -> Result<KVec<Cursor>> {
        let mut cursors = KVec::with_capacity(self.rings.len(), GFP_KERNEL)?;
        for ring in &self.rings {
            cursors.push(at(ring.view()), GFP_KERNEL)?;
        }
        Ok(cursors)
    }

    /// How many records there are to read behind the cursors.
    pub(crate) fn unread(&self, cursors: &[Cursor]) -> u64 {
        cursors
            .iter()
            .zip(&self.rings)
            .map(|(cursor, ring)| cursor.unread(ring.view()))
            .fold(0, u64::wrapping_add)
    }

    /// Places the cursors anew.
    pub(crate) fn place(&self, cursors: &mut [Cursor], at: impl Fn(View<'_>) -> Cursor) {
        for (cursor, ring) in cursors.iter_mut().zip(&self.rings) {
            *cursor = at(ring.view());
        }
    }

    /// How many slots all rings have together.
    pub(crate) fn capacity(&self) -> u64 {
        self.rings.iter().fold(0, |sum, ring| {
            sum.wrapping_add(ring.memory().slots().len() as u64)
        })
    }
}
