// SPDX-License-Identifier: GPL-2.0

//! What is in dynamic sets while their policy is in force.
//!
//! A set begins as its blob says. Each change makes all of its elements anew, and swaps
//! them in: packets are compared with what was before, or with what is behind it.

use kernel::alloc::AllocError;
use kernel::prelude::*;
use kernel::sync::rcu::Guard;
use kernel::sync::Arc;

use nftrace_core::policy::control::{SETS_FULL, SET_ADD, SET_FULL};
use nftrace_core::policy::dynamic::{Elements, MAX_BYTES, MAX_RANGES};
use nftrace_core::policy::layout::{Range128, Range32};
use nftrace_core::policy::ranges::{difference, met, not_in, union, Range};

use super::changes::Failure;
use super::loaded::Loaded;
use crate::bindings::rcu::{RcuBox, Retired};
use crate::bindings::skb::HookedPacket;

/// What is in a set. Several generations may have the same.
pub(super) struct Contents {
    v4: KVVec<Range32>,
    v6: KVVec<Range128>,
}

/// Ranges that a set gets, or has no more; in order.
pub(super) struct Batch {
    /// One of [`SET_ADD`] and `SET_DELETE`.
    pub(super) what: u32,
    pub(super) v4: KVVec<Range32>,
    pub(super) v6: KVVec<Range128>,
}

/// What came of a change.
pub(super) struct Changed {
    /// How many ranges of the batch changed something.
    pub(super) count: usize,
    /// Ranges that the set has now, of IPv4 and of IPv6.
    pub(super) now: [usize; 2],
    /// Whether there is something to be swept away from now on.
    pub(super) begins_to_retire: bool,
}

/// Ranges with a batch of others, or without them.
fn changed<R: Range>(what: u32, set: &[R], batch: &[R]) -> Result<KVVec<R>, AllocError> {
    let mut made = KVVec::with_capacity(set.len().saturating_add(batch.len()), GFP_KERNEL)?;
    let put = |some: &[R]| made.extend_from_slice(some, GFP_KERNEL);
    if what == SET_ADD {
        union(set, batch, put)?;
    } else {
        difference(set, batch, put)?;
    }
    Ok(made)
}

/// How many ranges of a batch change a set.
fn count<R: Range>(what: u32, set: &[R], batch: &[R]) -> usize {
    if what == SET_ADD {
        not_in(set, batch)
    } else {
        met(set, batch)
    }
}

impl Contents {
    fn of(elements: &Elements<'_>) -> Result<Self, AllocError> {
        let mut contents = Self {
            v4: KVVec::new(),
            v6: KVVec::new(),
        };
        contents.v4.extend_from_slice(elements.v4, GFP_KERNEL)?;
        contents.v6.extend_from_slice(elements.v6, GFP_KERNEL)?;
        Ok(contents)
    }

    fn elements(&self) -> Elements<'_> {
        Elements {
            v4: self.v4.as_slice(),
            v6: self.v6.as_slice(),
        }
    }
}

/// What is in the dynamic sets of a policy, by their numbers; none where a set has what it
/// began with.
pub(super) struct LiveSets(KVec<RcuBox<Arc<Contents>>>);

impl LiveSets {
    /// So many sets, of which none has changed.
    pub(super) fn new(count: usize) -> Result<Self, AllocError> {
        let mut sets = KVec::with_capacity(count, GFP_KERNEL)?;
        for _ in 0..count {
            sets.push(RcuBox::new(), GFP_KERNEL)?;
        }
        Ok(Self(sets))
    }

    /// What is in a set that has changed, for a packet in a hook.
    #[inline]
    pub(super) fn read_in<'a>(
        &'a self,
        number: u16,
        hooked: &'a HookedPacket<'_>,
    ) -> Option<Elements<'a>> {
        let live = self.0.get(usize::from(number))?.read_in(hooked)?;
        Some(live.elements())
    }

    fn get(&self, number: usize) -> Option<Arc<Contents>> {
        self.0.get(number)?.read(&Guard::new()).cloned()
    }

    /// Bytes of memory that they take.
    pub(super) fn memory(&self) -> usize {
        let guard = Guard::new();
        let live = self.0.iter().filter_map(|set| set.read(&guard));
        live.fold(0, |sum, contents| {
            sum.saturating_add(contents.elements().bytes())
        })
    }
}

/// What is in a set of a policy now.
pub(super) enum Now<'a> {
    Begun(Elements<'a>),
    Changed(Arc<Contents>),
}

impl Now<'_> {
    pub(super) fn elements(&self) -> Elements<'_> {
        match self {
            Self::Begun(elements) => *elements,
            Self::Changed(contents) => contents.elements(),
        }
    }
}

impl Loaded {
    fn now(&self, number: usize) -> Now<'_> {
        let tables = self.tables();
        match (self.sets.get(number), tables.dynamics.get(number)) {
            (Some(contents), _) => Now::Changed(contents),
            (None, Some(dynamic)) => Now::Begun(tables.elements(dynamic)),
            (None, None) => Now::Begun(Elements::default()),
        }
    }

    /// What is in the set of a name now.
    pub(super) fn set_now(&self, name: &[u8]) -> Option<Now<'_>> {
        Some(self.now(self.tables().find_dynamic(name)?))
    }

    /// Has sets begin with what is in those of the same names in another policy. To be
    /// called before anybody asks this one, while nobody changes the other one's.
    pub(super) fn keep_sets(&self, other: &Self) -> Result<(), AllocError> {
        let tables = self.tables();
        for (dynamic, set) in tables.dynamics.iter().zip(&self.sets.0) {
            let contents = match other.set_now(tables.dynamic_name(dynamic)) {
                None => continue,
                Some(Now::Changed(contents)) => contents,
                Some(Now::Begun(elements)) => Arc::new(Contents::of(&elements)?, GFP_KERNEL)?,
            };
            // There was none before.
            drop(set.swap(Some(KBox::new(contents, GFP_KERNEL)?)));
        }
        Ok(())
    }

    /// Adds a batch to the set of a name, or takes it out. One caller at a time.
    pub(super) fn change_set(
        &self,
        name: &[u8],
        batch: &Batch,
        retired: &mut RetiredSets,
    ) -> Result<Changed, Failure> {
        let number = self.tables().find_dynamic(name).ok_or(Failure::NoSet)?;
        let set = self.sets.0.get(number).ok_or(Failure::NoSet)?;
        let now = self.now(number);
        let before = now.elements();
        let count = count(batch.what, before.v4, &batch.v4)
            .saturating_add(count(batch.what, before.v6, &batch.v6));
        if count == 0 {
            return Ok(Changed {
                count,
                now: [before.v4.len(), before.v6.len()],
                begins_to_retire: false,
            });
        }
        let contents = Contents {
            v4: changed(batch.what, before.v4, &batch.v4)?,
            v6: changed(batch.what, before.v6, &batch.v6)?,
        };
        let behind = contents.elements();
        let lens = [behind.v4.len(), behind.v6.len()];
        if behind.len() > MAX_RANGES {
            return Err(Failure::Full(SET_FULL));
        }
        let old_bytes = match &now {
            Now::Begun(_) => 0,
            Now::Changed(_) => before.bytes(),
        };
        let others = self.sets.memory().saturating_sub(old_bytes);
        if others.saturating_add(behind.bytes()) > MAX_BYTES {
            return Err(Failure::Full(SETS_FULL));
        }
        let contents = KBox::new(Arc::new(contents, GFP_KERNEL)?, GFP_KERNEL)?;
        // Everything that can fail comes first.
        retired.make_room(old_bytes)?;
        let was_empty = retired.is_empty();
        if let Some(old) = set.swap(Some(contents)) {
            retired.add(old, old_bytes);
        }
        Ok(Changed {
            count,
            now: lens,
            begins_to_retire: was_empty && !retired.is_empty(),
        })
    }
}

/// Elements that packets may still be compared with, in the order in which they were
/// replaced. Who replaces them does not wait for that.
pub(super) struct RetiredSets(KVec<(Retired<Arc<Contents>>, usize)>);

impl RetiredSets {
    /// So many, and so many bytes of them, may wait for the end of their grace periods.
    const MOST: usize = 1024;
    const MOST_BYTES: usize = 32 << 20;

    /// None.
    pub(super) const fn new() -> Self {
        Self(KVec::new())
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives back those that nobody reads any more.
    pub(super) fn sweep(&mut self) {
        self.0.retain(|(retired, _)| !retired.is_over());
    }

    /// Makes room for one more, and waits where there are too many.
    fn make_room(&mut self, bytes: usize) -> Result<(), AllocError> {
        self.sweep();
        let all = self
            .0
            .iter()
            .fold(bytes, |sum, (_, bytes)| sum.saturating_add(*bytes));
        if self.0.len() >= Self::MOST || all > Self::MOST_BYTES {
            // The first one waits for a grace period, in which that of the others ends.
            self.0.clear();
        }
        self.0.reserve(1, GFP_KERNEL)
    }

    fn add(&mut self, retired: Retired<Arc<Contents>>, bytes: usize) {
        // There is room; else it would wait, and go.
        let _ = self.0.push((retired, bytes), GFP_KERNEL);
    }
}
