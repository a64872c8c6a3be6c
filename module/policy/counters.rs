// SPDX-License-Identifier: GPL-2.0

//! How often rules and defaults decided: of each together, and in each namespace.
//!
//! A packet is counted in one place: in the entry of its namespace, or, where the table
//! has no room for one, in the sum of all such. So the sum of a rule is made when it is
//! asked for. When is told in ticks of the kernel's timer: reading a clock costs as much
//! as finding the rule.

use core::sync::atomic::{AtomicU64, Ordering};

use kernel::cpu::{nr_cpu_ids, CpuId};
use kernel::prelude::*;

use nftrace_core::policy::control::Count;

use crate::bindings::work::{ticks, ticks_of_a_second, time_of};
use crate::module::rings::Storage;

/// Entries of the table of namespaces: 896 KiB.
const ENTRIES: usize = 16384;

/// How many places of the table one key may have.
const PROBES: usize = 8;

/// Bytes that the counters of all rules may have for being several times there.
const SHARED: usize = 16 << 20;

/// CPUs that have entries of their own.
const SHARDS: usize = 8;

/// Entries of namespaces that were not seen for so long, in seconds, are not kept over a
/// reload: most of them are of containers that are gone.
const FORGOTTEN: u64 = 86_400;

/// What is counted of one thing.
#[derive(Default)]
struct Tally {
    packets: AtomicU64,
    bytes: AtomicU64,
    last: AtomicU64,
}

/// Numbers that were counted.
#[derive(Clone, Copy, Default)]
pub(super) struct Sum {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    /// When the last one came, in ticks.
    pub(super) last: u64,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.packets = self.packets.wrapping_add(other.packets);
        self.bytes = self.bytes.wrapping_add(other.bytes);
        self.last = self.last.max(other.last);
    }
}

impl Tally {
    #[inline(always)]
    fn add(&self, sum: &Sum) {
        self.packets.fetch_add(sum.packets, Ordering::Relaxed);
        self.bytes.fetch_add(sum.bytes, Ordering::Relaxed);
        // Of two CPUs that are here at once, either is right enough.
        if self.last.load(Ordering::Relaxed) < sum.last {
            self.last.store(sum.last, Ordering::Relaxed);
        }
    }

    fn get(&self) -> Sum {
        Sum {
            packets: self.packets.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            last: self.last.load(Ordering::Relaxed),
        }
    }

    fn take(&self) -> Sum {
        Sum {
            packets: self.packets.swap(0, Ordering::Relaxed),
            bytes: self.bytes.swap(0, Ordering::Relaxed),
            last: self.last.load(Ordering::Relaxed),
        }
    }
}

/// What is counted in one namespace of one slot, on one CPU of several.
#[derive(Default)]
struct Entry {
    /// [`key`]; 0 while the entry is free.
    key: AtomicU64,
    /// The slot, and above it the inode number.
    place: AtomicU64,
    /// 0 until the entry is complete.
    cookie: AtomicU64,
    tally: Tally,
}

impl Entry {
    /// Cookie and place; none while it is not complete.
    fn identity(&self) -> Option<(u64, u64)> {
        let cookie = self.cookie.load(Ordering::Acquire);
        (cookie != 0).then(|| (cookie, self.place.load(Ordering::Relaxed)))
    }
}

/// A number for a namespace, a slot and a shard, never 0: no two that there will be have
/// the same.
#[inline]
fn key(cookie: u64, slot: u32, shard: usize) -> u64 {
    // A bijection of what hardly ever falls together.
    let shard = (shard as u64).wrapping_shl(56);
    let word = cookie ^ shard ^ u64::from(slot).wrapping_add(1).rotate_right(24);
    word.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}

/// Where the entry of a key is, if there is room: its upper bits, in which all others have
/// a part.
#[inline]
const fn home(key: u64) -> usize {
    (key >> (u64::BITS - ENTRIES.ilog2())) as usize
}

/// The counters of one policy.
pub(super) struct Counters {
    /// One after the other for each shard: a tally for each slot.
    totals: Storage<Tally>,
    slots: usize,
    /// A CPU's shard is its number and this.
    shard_mask: usize,
    table: Storage<Entry>,
}

impl Counters {
    /// All zero, for so many slots.
    pub(super) fn new(slots: usize) -> Result<Self> {
        let cpus = (nr_cpu_ids() as usize).max(1);
        let most = SHARED
            .checked_div(slots.saturating_mul(size_of::<Tally>()))
            .unwrap_or(1)
            .clamp(1, cpus);
        // The largest power of two that is not larger.
        let shards = 1_usize.wrapping_shl(most.ilog2());
        let total = slots.checked_mul(shards).ok_or(E2BIG)?;
        Ok(Self {
            totals: Storage::new(total, Tally::default)?,
            slots,
            shard_mask: shards.wrapping_sub(1),
            table: Storage::new(ENTRIES, Entry::default)?,
        })
    }

    #[inline]
    fn total(&self, shard: usize, slot: u32) -> Option<&Tally> {
        let at = shard.wrapping_mul(self.slots).wrapping_add(slot as usize);
        self.totals.as_ref().get(at)
    }

    /// The entry of a slot in a namespace; none where the table has no room.
    #[inline(always)]
    fn entry(&self, cookie: u64, inode: u32, slot: u32, shard: usize) -> Option<&Entry> {
        let key = key(cookie, slot, shard);
        let table = self.table.as_ref();
        let entry = table.get(home(key))?;
        if entry.key.load(Ordering::Acquire) == key {
            return Some(entry);
        }
        Self::find(table, key, cookie, u64::from(inode) << 32 | u64::from(slot))
    }

    /// The same where it is not in its first place.
    #[inline(never)]
    fn find(table: &[Entry], key: u64, cookie: u64, place: u64) -> Option<&Entry> {
        for probe in 0..PROBES {
            let at = home(key).wrapping_add(probe) & (ENTRIES - 1);
            let entry = table.get(at)?;
            match entry.key.load(Ordering::Acquire) {
                found if found == key => return Some(entry),
                0 => {}
                _ => continue,
            }
            let claimed = entry
                .key
                .compare_exchange(0, key, Ordering::AcqRel, Ordering::Acquire);
            match claimed {
                Ok(_) => {
                    entry.place.store(place, Ordering::Relaxed);
                    entry.cookie.store(cookie, Ordering::Release);
                    return Some(entry);
                }
                Err(found) if found == key => return Some(entry),
                Err(_) => {}
            }
        }
        None
    }

    /// Bytes of memory.
    pub(super) fn memory(&self) -> usize {
        size_of_val(self.totals.as_ref()) + size_of_val(self.table.as_ref())
    }

    /// Counts a packet of so many bytes.
    #[inline(always)]
    pub(super) fn count(&self, slot: u32, cookie: u64, inode: u32, len: u32) {
        let sum = Sum {
            packets: 1,
            bytes: len.into(),
            last: ticks(),
        };
        let cpu = CpuId::current().as_u32() as usize;
        let shard = cpu & self.shard_mask & (SHARDS - 1);
        if let Some(entry) = self.entry(cookie, inode, slot, shard) {
            entry.tally.add(&sum);
        } else if let Some(tally) = self.total(cpu & self.shard_mask, slot) {
            tally.add(&sum);
        }
    }

    /// Moves here what others counted, for each of their slots that `slot_of` says
    /// to be one of ours. They are no longer in use.
    pub(super) fn take_over(&self, others: &Self, slot_of: impl Fn(u32) -> Option<u32>) {
        for slot in 0..others.slots as u32 {
            let Some(to) = slot_of(slot).and_then(|slot| self.total(0, slot)) else {
                continue;
            };
            for shard in 0..=others.shard_mask {
                if let Some(from) = others.total(shard, slot) {
                    to.add(&from.take());
                }
            }
        }
        let forgotten = ticks().saturating_sub(FORGOTTEN.saturating_mul(ticks_of_a_second()));
        for from in others.table.as_ref() {
            let Some((cookie, place)) = from.identity() else {
                continue;
            };
            let Some(slot) = slot_of(place as u32) else {
                continue;
            };
            let sum = from.tally.take();
            let entry = if sum.last > forgotten {
                self.entry(cookie, (place >> 32) as u32, slot, 0)
            } else {
                None
            };
            if let Some(entry) = entry {
                entry.tally.add(&sum);
            } else if let Some(total) = self.total(0, slot) {
                total.add(&sum);
            }
        }
    }

    /// Everything that is not zero: the sums of all namespaces first, and then those of
    /// each one, some of them in several parts.
    pub(super) fn list(&self) -> Result<KVVec<Count>> {
        let mut sums = KVVec::new();
        for slot in 0..self.slots as u32 {
            let mut sum = Sum::default();
            for shard in 0..=self.shard_mask {
                sum.add(self.total(shard, slot).map(Tally::get).unwrap_or_default());
            }
            sums.push(sum, GFP_KERNEL)?;
        }
        let entries = || {
            let complete = |entry: &Entry| Some((entry.identity()?, entry.tally.get()));
            self.table.as_ref().iter().filter_map(complete)
        };
        // What comes while the list is made is in the sums, or in the parts, or in both:
        // the next list has it in both.
        for ((_, place), part) in entries() {
            if let Some(sum) = sums.get_mut(place as u32 as usize) {
                sum.add(part);
            }
        }
        let mut list = KVVec::new();
        for (slot, sum) in (0_u64..).zip(&sums) {
            Self::push(&mut list, 0, slot, *sum)?;
        }
        for ((cookie, place), part) in entries() {
            Self::push(&mut list, cookie, place, part)?;
        }
        Ok(list)
    }

    fn push(list: &mut KVVec<Count>, cookie: u64, place: u64, sum: Sum) -> Result {
        if sum.packets == 0 {
            return Ok(());
        }
        let count = Count {
            cookie,
            packets: sum.packets,
            bytes: sum.bytes,
            last: time_of(sum.last),
            inode: (place >> 32) as u32,
            slot: place as u32,
        };
        Ok(list.push(count, GFP_KERNEL)?)
    }
}
