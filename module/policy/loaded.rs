// SPDX-License-Identifier: GPL-2.0

//! One policy in memory, verified.

use kernel::alloc::AllocError;
use kernel::prelude::*;
use kernel::rbtree::RBTree;
use kernel::uaccess::UserSliceWriter;
use zerocopy::{Immutable, IntoBytes};

use nftrace_core::policy::forest::{Box4, Box6, Forest, Tree};
use nftrace_core::policy::layout::{
    Cgroup, Condition, Header, Pattern, Range128, Range32, Rule, Span,
};
use nftrace_core::policy::{control::slot, verify_within, Limits, Needs, Refusal, Tables};
use nftrace_core::rate::Bucket;

use super::counters::Counters;
use crate::bindings::param::max_bound;
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

fn copy<T: Clone>(values: &[T]) -> Result<KVVec<T>, AllocError> {
    let mut copy = KVVec::with_capacity(values.len(), GFP_KERNEL)?;
    copy.extend_from_slice(values, GFP_KERNEL)?;
    Ok(copy)
}

/// A policy, its counters and its limits. Each part lies in memory of its own, so
/// that a packet finds it without a look at the blob's layout.
pub(super) struct Loaded {
    header: Header,
    rules: KVVec<Rule>,
    conditions: KVVec<Condition>,
    spans: [KVVec<Span>; 5],
    ranges32: KVVec<Range32>,
    ranges128: KVVec<Range128>,
    words: KVVec<u64>,
    cgroups: KVVec<Cgroup>,
    patterns: KVVec<Pattern>,
    namespaces: KVVec<u64>,
    boxes4: KVVec<Box4>,
    boxes6: KVVec<Box6>,
    forests: KVVec<Forest>,
    trees: KVVec<Tree>,
    nodes: KVVec<u64>,
    entries: KVVec<u32>,
    homes: KVVec<u8>,
    text: KVVec<u8>,
    /// Bytes of the blob.
    pub(super) size: usize,
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
}

impl Loaded {
    /// The policy of a blob. What stands in it is copied once it is verified, and
    /// the blob is private: nobody changes it in between.
    pub(super) fn new(
        blob: &[u8],
        generation: u32,
        epoch: u64,
        time: u64,
    ) -> Result<Self, Refused> {
        let tables = Tables::read(blob).map_err(Refused::Blob)?;
        let limits = Limits {
            max_bound: max_bound(),
        };
        let start = now();
        let needs = verify_within(&tables, &limits, pause).map_err(Refused::Blob)?;
        let verified = now().saturating_sub(start);
        let [ranges32, ranges128, words, cgroups, patterns] = tables.spans;
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
            header: *tables.header,
            rules: copy(tables.rules)?,
            conditions: copy(tables.conditions)?,
            spans: [
                copy(ranges32)?,
                copy(ranges128)?,
                copy(words)?,
                copy(cgroups)?,
                copy(patterns)?,
            ],
            ranges32: copy(tables.ranges32)?,
            ranges128: copy(tables.ranges128)?,
            words: copy(tables.words)?,
            cgroups: copy(tables.cgroups)?,
            patterns: copy(tables.patterns)?,
            namespaces: copy(tables.namespaces)?,
            boxes4: copy(tables.boxes4)?,
            boxes6: copy(tables.boxes6)?,
            forests: copy(tables.forests)?,
            trees: copy(tables.trees)?,
            nodes: copy(tables.nodes)?,
            entries: copy(tables.entries)?,
            homes: copy(tables.homes)?,
            text: copy(tables.text)?,
            size: blob.len(),
            needs,
            verified,
            generation,
            epoch,
            time,
            counters: Counters::new(slots)?,
            limits: buckets(|rule| rule.limit.events != 0)?,
            log_limits: buckets(|rule| rule.log_limit.events != 0)?,
        })
    }

    /// Its parts, for the classifier.
    #[inline]
    pub(super) fn tables(&self) -> Tables<'_> {
        let [ranges32, ranges128, words, cgroups, patterns] = &self.spans;
        Tables {
            header: &self.header,
            rules: &self.rules,
            conditions: &self.conditions,
            spans: [ranges32, ranges128, words, cgroups, patterns],
            ranges32: &self.ranges32,
            ranges128: &self.ranges128,
            words: &self.words,
            cgroups: &self.cgroups,
            patterns: &self.patterns,
            namespaces: &self.namespaces,
            boxes4: &self.boxes4,
            boxes6: &self.boxes6,
            forests: &self.forests,
            trees: &self.trees,
            nodes: &self.nodes,
            entries: &self.entries,
            homes: &self.homes,
            text: &self.text,
        }
    }

    /// Bytes of memory that it takes.
    pub(super) fn memory(&self) -> usize {
        let buckets = self.limits.as_ref().len() + self.log_limits.as_ref().len();
        self.size + self.counters.memory() + buckets * size_of::<Bucket>()
    }

    /// How many rules it has.
    pub(super) fn len(&self) -> u32 {
        self.rules.len() as u32
    }

    /// Writes the blob as it was given.
    pub(super) fn write(&self, out: &mut UserSliceWriter) -> Result {
        fn part<T: IntoBytes + Immutable>(out: &mut UserSliceWriter, values: &[T]) -> Result {
            out.write_slice(values.as_bytes())
        }
        let [ranges32, ranges128, words, cgroups, patterns] = &self.spans;
        out.write_slice(self.header.as_bytes())?;
        part(out, &self.rules)?;
        part(out, &self.ranges128)?;
        part(out, &self.words)?;
        part(out, &self.cgroups)?;
        part(out, &self.patterns)?;
        part(out, &self.namespaces)?;
        part(out, &self.nodes)?;
        part(out, &self.boxes6)?;
        part(out, &self.conditions)?;
        part(out, ranges32)?;
        part(out, ranges128)?;
        part(out, words)?;
        part(out, cgroups)?;
        part(out, patterns)?;
        part(out, &self.ranges32)?;
        part(out, &self.boxes4)?;
        part(out, &self.forests)?;
        part(out, &self.trees)?;
        part(out, &self.entries)?;
        part(out, &self.homes)?;
        part(out, &self.text)
    }

    /// Takes the counters and limits over of a policy that is no longer in force: those of
    /// the rules that both have, and the counters of the defaults.
    pub(super) fn take_over(&self, other: &Self) -> Result {
        // Which of our rules has an identity.
        let mut ours = RBTree::new();
        for (number, rule) in (0_u32..).zip(&self.rules) {
            ours.try_create_and_insert(rule.identity, number, GFP_KERNEL)?;
        }
        for (theirs, rule) in other.rules.iter().enumerate() {
            let Some(ours) = ours.get(&rule.identity) else {
                continue;
            };
            let buckets = [
                (&self.limits, &other.limits),
                (&self.log_limits, &other.log_limits),
            ];
            for (to, from) in buckets {
                let to = to.as_ref().get(*ours as usize);
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
            let identity = other.rules.get(slot as usize)?.identity;
            ours.get(&identity).copied()
        });
        Ok(())
    }
}
