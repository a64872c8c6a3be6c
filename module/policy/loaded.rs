// SPDX-License-Identifier: GPL-2.0

//! One policy in memory, verified.

use kernel::alloc::AllocError;
use kernel::prelude::*;
use kernel::uaccess::UserSliceWriter;

use nftrace_core::policy::layout::Rule;
use nftrace_core::policy::{
    control::slot, verify_within, Identities, Limits, Needs, Refusal, Tables,
};
use nftrace_core::rate::Bucket;

use super::counters::Counters;
use super::sets::LiveSets;
use crate::bindings::blob::Blob;
use crate::bindings::param::max_bound;
use crate::bindings::random;
use crate::bindings::work::pause;
use crate::module::datapath::now;
use crate::module::rings::Storage;

/// Why a blob is not taken.
pub(super) enum Refused {
    /// It is not sound.
    Blob(Refusal),
    /// The kernel cannot do it.
    Kernel(Error),
}

impl From<AllocError> for Refused {
    fn from(error: AllocError) -> Self {
        Self::Kernel(error.into())
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Kernel(error)
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self::Blob(refusal)
    }
}

/// A policy, its counters and its limits.
pub(super) struct Loaded {
    blob: Blob,
    /// What it asks of the kernel.
    pub(super) needs: Needs,
    /// Nanoseconds that verifying took.
    pub(super) verified: u64,
    /// The generation.
    pub(super) generation: u32,
    /// Namespaces that were made in this epoch or later are new to it.
    pub(super) epoch: u64,
    /// When it was loaded.
    pub(super) time: u64,
    /// What it decided.
    pub(super) counters: Counters,
    /// How often rules may still match, and write to the log; empty where no rule
    /// has a limit.
    pub(super) limits: Storage<Bucket>,
    pub(super) log_limits: Storage<Bucket>,
    /// What is in its dynamic sets, where that has changed.
    pub(super) sets: LiveSets,
}

impl Loaded {
    /// The policy of a blob, which is private: nobody changes it once it is verified. Its
    /// generation and time are 0 until it is loaded.
    pub(super) fn new(blob: Blob, epoch: u64) -> Result<Self, Refused> {
        let tables = blob.tables();
        let limits = Limits {
            max_bound: max_bound(),
        };
        let start = now();
        let needs = verify_within(tables, &limits, pause)?;
        let verified = now().saturating_sub(start);
        let buckets = |is_limited: fn(&Rule) -> bool| {
            let count = if tables.rules.iter().any(is_limited) {
                tables.rules.len()
            } else {
                0
            };
            Storage::new(count, Bucket::default)
        };
        let slots = tables.rules.len().saturating_add(slot::DEFAULTS as usize);
        Ok(Self {
            needs,
            verified,
            generation: 0,
            epoch,
            time: 0,
            counters: Counters::new(slots)?,
            limits: buckets(|rule| rule.limit.events != 0)?,
            log_limits: buckets(|rule| rule.log_limit.events != 0)?,
            sets: LiveSets::new(tables.dynamics.len())?,
            blob,
        })
    }

    /// Its parts, for the classifier.
    #[inline(always)]
    pub(super) fn tables(&self) -> &Tables<'_> {
        self.blob.tables()
    }

    /// Its rules.
    fn rules(&self) -> &[Rule] {
        self.tables().rules
    }

    /// Bytes of its blob.
    pub(super) fn size(&self) -> usize {
        self.blob.bytes().len()
    }

    /// Bytes of memory that it takes.
    pub(super) fn memory(&self) -> usize {
        let buckets = self.limits.as_ref().len() + self.log_limits.as_ref().len();
        self.size() + self.counters.memory() + buckets * size_of::<Bucket>() + self.sets.memory()
    }

    /// How many rules it has.
    #[inline(always)]
    pub(super) fn len(&self) -> u32 {
        self.tables().rules.len() as u32
    }

    /// Writes the blob as it was given.
    pub(super) fn write(&self, out: &mut UserSliceWriter) -> Result {
        out.write_slice(self.blob.bytes())
    }

    /// Takes the counters and limits over of a policy that is no longer in force: those of
    /// the rules that both have, and the counters of the defaults.
    pub(super) fn take_over(&self, other: &Self) -> Result {
        let mut places = Storage::new(Identities::places(self.rules().len()), || 0)?;
        let mine = Identities::new(self.rules(), places.as_mut(), random());
        for (theirs, rule) in other.rules().iter().enumerate() {
            let Some(ours) = mine.find(rule.identity) else {
                continue;
            };
            let buckets = [
                (&self.limits, &other.limits),
                (&self.log_limits, &other.log_limits),
            ];
            for (to, from) in buckets {
                let to = to.as_ref().get(ours as usize);
                if let (Some(to), Some(from)) = (to, from.as_ref().get(theirs)) {
                    to.take_over(from);
                }
            }
        }
        let (rules, their_rules) = (self.len(), other.len());
        self.counters.take_over(&other.counters, |slot| {
            if let Some(default) = slot.checked_sub(their_rules) {
                return rules.checked_add(default);
            }
            let identity = other.rules().get(slot as usize)?.identity;
            mine.find(identity)
        });
        Ok(())
    }
}
