// SPDX-License-Identifier: GPL-2.0

//! Policies that can be restored, and what was changed when.

use kernel::prelude::*;
use kernel::sync::Arc;

use nftrace_core::policy::control::{Entry, Event, HISTORY, KEPT, KEPT_BYTES};

use super::loaded::Loaded;
use crate::bindings::policy::{realtime, Task};

/// A policy, or that there is none.
pub(super) type Policy = Option<Arc<Loaded>>;

/// Its number; 0 for none.
pub(super) fn generation(policy: &Policy) -> u32 {
    policy.as_ref().map_or(0, |loaded| loaded.generation)
}

/// Policies that are kept, the newest last.
pub(super) struct Kept(KVec<Arc<Loaded>>);

impl Kept {
    /// With one more, and without those that are too many, but with all that are needed.
    pub(super) fn with(
        &self,
        loaded: &Arc<Loaded>,
        is_needed: impl Fn(u32) -> bool,
    ) -> Result<Self> {
        let mut kept = KVec::with_capacity(KEPT.saturating_add(1), GFP_KERNEL)?;
        let (mut count, mut bytes) = (1_usize, 0_usize);
        for one in self.0.iter().rev() {
            let size = bytes
                .saturating_add(one.size())
                .saturating_add(one.sets.memory());
            if is_needed(one.generation) || (count < KEPT && size <= KEPT_BYTES) {
                kept.push(one.clone(), GFP_KERNEL)?;
                count = count.saturating_add(1);
                bytes = size;
            }
        }
        kept.reverse();
        kept.push(loaded.clone(), GFP_KERNEL)?;
        Ok(Self(kept))
    }

    fn has(&self, wanted: u32) -> bool {
        wanted == 0 || self.0.iter().any(|one| one.generation == wanted)
    }

    /// That of a number, which may be none; nothing where it is not kept.
    pub(super) fn find(&self, wanted: u32) -> Option<Policy> {
        if wanted == 0 {
            return Some(None);
        }
        let mut kept = self.0.iter();
        kept.find(|one| one.generation == wanted).cloned().map(Some)
    }
}

/// The last changes and the policies that are kept.
pub(super) struct Past {
    pub(super) kept: Kept,
    /// A ring once it is full.
    history: KVec<Entry>,
    /// The oldest entry of a full ring.
    oldest: usize,
}

impl Past {
    /// Without any.
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            kept: Kept(KVec::new()),
            history: KVec::with_capacity(HISTORY, GFP_KERNEL)?,
            oldest: 0,
        })
    }

    /// Notes a change.
    pub(super) fn write(&mut self, event: Event, before: u32, after: u32, by: &Task) {
        let entry = Entry {
            time: realtime(),
            event: event as u32,
            before,
            after,
            is_kept: 0,
            uid: by.uid,
            pid: by.pid,
            comm: by.comm,
        };
        if self.history.len() < HISTORY {
            // There is room: `new` made it.
            let _ = self.history.push(entry, GFP_KERNEL);
        } else if let Some(slot) = self.history.get_mut(self.oldest) {
            *slot = entry;
            self.oldest = self.oldest.wrapping_add(1);
            if self.oldest >= HISTORY {
                self.oldest = 0;
            }
        }
        let name = event.name();
        let (uid, pid) = (by.uid, by.pid);
        pr_info!("policy: {name}: generation {before} -> {after}, by uid {uid}, process {pid}\n");
    }

    /// The last changes, the oldest first.
    pub(super) fn list(&self) -> Result<KVVec<Entry>> {
        let mut list = KVVec::with_capacity(self.history.len(), GFP_KERNEL)?;
        let (newer, older) = (
            self.history.get(..self.oldest).unwrap_or_default(),
            self.history.get(self.oldest..).unwrap_or_default(),
        );
        for entry in Iterator::chain(older.iter(), newer) {
            let mut entry = *entry;
            entry.is_kept = self.kept.has(entry.after).into();
            list.push(entry, GFP_KERNEL)?;
        }
        Ok(list)
    }
}
