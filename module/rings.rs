// SPDX-License-Identifier: GPL-2.0

//! A ring of records for each CPU.

use kernel::cpu::{nr_cpu_ids, CpuId};
use kernel::prelude::*;

use nftrace_core::record::Record;
use nftrace_core::ring::{Ring, Slot};

use super::datapath::now;

/// The most slots of a ring: 1 MiB.
const MOST_SLOTS: usize = 4096;

/// Memory for all rings together: with more than 64 possible CPUs, each has less.
const MEMORY: usize = 64 << 20;

/// Slots of each of so many rings: a power of two.
fn slots(rings: usize) -> usize {
    let slots = (MEMORY / size_of::<Slot>()).checked_div(rings).unwrap_or(1);
    // The largest power of two that is not larger.
    let slots = 1_usize.wrapping_shl(slots.max(1).ilog2());
    slots.min(MOST_SLOTS)
}

/// Memory that a ring or a table lies in.
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

/// One ring for each CPU that there can be.
pub(crate) struct Rings(KVec<Ring<Storage<Slot>>>);

impl Rings {
    /// Empty rings.
    pub(crate) fn new() -> Result<Self> {
        let cpus = nr_cpu_ids();
        let slots = slots(cpus as usize);
        let mut rings = KVec::new();
        for _ in 0..cpus {
            let ring = Ring::new(Storage::new(slots, Slot::new)?).ok_or(EINVAL)?;
            rings.push(ring, GFP_KERNEL)?;
        }
        Ok(Self(rings))
    }

    /// Adds a record to the ring of this CPU, or to the ring's losses.
    ///
    /// The CPU is a hint only: a ring takes records from anywhere.
    #[inline]
    pub(crate) fn produce(&self, make: impl FnOnce(u64) -> Record) {
        if let Some(ring) = self.0.get(CpuId::current().as_u32() as usize) {
            ring.produce(now, make);
        }
    }

    /// The rings, by CPU.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Ring<Storage<Slot>>> {
        self.0.iter()
    }
}
