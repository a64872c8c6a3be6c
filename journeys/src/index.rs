// SPDX-License-Identifier: GPL-2.0

//! Finds the journeys of which a record may be the next one.

use std::collections::{HashMap, VecDeque};

use nftrace_core::hook::Hook;

use crate::observation::{Endpoint, NamespaceId, Observation};
use crate::open::Open;

/// The most journeys that are looked at for one record whose identity is new.
const MOST_CANDIDATES: usize = 32;
/// How many journeys that are over may stay in the index.
const MOST_OVER: usize = 4096;

/// The numbers of journeys that are not over, by what their records show.
#[derive(Debug, Default)]
pub(crate) struct Index {
    by_skb: HashMap<u64, usize>,
    /// Those that had this sender (true), or this receiver.
    by_end: HashMap<(bool, Endpoint), VecDeque<usize>>,
    /// The one that was last seen to leave a namespace, or to arrive in it.
    by_namespace: HashMap<NamespaceId, usize>,
    /// How many journeys were removed since those that are over were last forgotten.
    removed: usize,
}

impl Index {
    /// Makes a journey findable by its newest record; `last` is the one before.
    pub(crate) fn insert(
        &mut self,
        number: usize,
        last: Option<&Observation>,
        record: &Observation,
    ) {
        if let Some(skb) = record.skb {
            self.by_skb.insert(skb, number);
        }
        if matches!(record.hook, Some(Hook::PostRouting | Hook::LocalIn)) {
            self.by_namespace.insert(record.namespace, number);
        }
        let before = last
            .map(|last| (last.src(), last.dst()))
            .unwrap_or_default();
        for (is_src, end, before) in [
            (true, record.src(), before.0),
            (false, record.dst(), before.1),
        ] {
            if let Some(end) = end.filter(|_| end != before) {
                self.by_end
                    .entry((is_src, end))
                    .or_default()
                    .push_back(number);
            }
        }
    }

    /// The journey in which this identity was last seen.
    pub(crate) fn identity(&self, skb: u64) -> Option<usize> {
        self.by_skb.get(&skb).copied()
    }

    /// Journeys with this sender.
    pub(crate) fn senders(&self, end: Endpoint) -> impl Iterator<Item = usize> + '_ {
        self.by_end.get(&(true, end)).into_iter().flatten().copied()
    }

    /// Journeys that may go on with `record`, although its identity is new.
    pub(crate) fn candidates(&self, record: &Observation) -> impl Iterator<Item = usize> + '_ {
        let tunnel = self.by_namespace.get(&record.namespace).copied();
        // What a socket sends has not been anywhere, but in a tunnel.
        let sent = record.hook == Some(Hook::LocalOut) && !record.is_bridge();
        [(true, record.src()), (false, record.dst())]
            .into_iter()
            .filter(move |_| !sent)
            .filter_map(|(is_src, end)| self.by_end.get(&(is_src, end?)))
            .flat_map(|numbers| numbers.iter().rev().take(MOST_CANDIDATES).copied())
            .chain(tunnel)
    }

    /// A journey is over.
    pub(crate) fn remove(&mut self, open: &Open) {
        self.removed += 1;
        for record in &open.records {
            if let Some(skb) = record.skb {
                if self.by_skb.get(&skb) == Some(&open.number) {
                    self.by_skb.remove(&skb);
                }
            }
        }
    }

    /// Forgets the journeys that are over, where they are many.
    pub(crate) fn forget(&mut self, is_open: impl Fn(usize) -> bool) {
        if self.removed < MOST_OVER {
            return;
        }
        self.removed = 0;
        self.by_end.retain(|_, numbers| {
            numbers.retain(|number| is_open(*number));
            !numbers.is_empty()
        });
        self.by_namespace.retain(|_, number| is_open(*number));
    }
}
