// SPDX-License-Identifier: GPL-2.0

//! A blob taken apart, so that it can be put together wrongly.

use nftrace_core::policy::dynamic::Dynamic;
use nftrace_core::policy::forest::{Box4, Box6, Forest, Tree};
use nftrace_core::policy::layout::{
    Cgroup, Condition, Header, Pattern, Range128, Range32, Rule, Span,
};
use nftrace_core::policy::Tables;
use nftrace_policy::Blob;

/// Its sections.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) header: Header,
    pub(crate) rules: Vec<Rule>,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) spans: [Vec<Span>; 5],
    pub(crate) ranges32: Vec<Range32>,
    pub(crate) ranges128: Vec<Range128>,
    pub(crate) words: Vec<u64>,
    pub(crate) cgroups: Vec<Cgroup>,
    pub(crate) patterns: Vec<Pattern>,
    pub(crate) namespaces: Vec<u64>,
    pub(crate) boxes4: Vec<Box4>,
    pub(crate) boxes6: Vec<Box6>,
    pub(crate) forests: Vec<Forest>,
    pub(crate) trees: Vec<Tree>,
    pub(crate) nodes: Vec<u64>,
    pub(crate) entries: Vec<u32>,
    pub(crate) dynamics: Vec<Dynamic>,
    pub(crate) homes: Vec<u8>,
    pub(crate) text: Vec<u8>,
}

impl Parts {
    /// Those of a sound blob.
    pub(crate) fn of(blob: &Blob) -> Self {
        let tables = blob.tables().expect("it is a blob");
        Self {
            header: *tables.header,
            rules: tables.rules.to_vec(),
            conditions: tables.conditions.to_vec(),
            spans: tables.spans.map(<[Span]>::to_vec),
            ranges32: tables.ranges32.to_vec(),
            ranges128: tables.ranges128.to_vec(),
            words: tables.words.to_vec(),
            cgroups: tables.cgroups.to_vec(),
            patterns: tables.patterns.to_vec(),
            namespaces: tables.namespaces.to_vec(),
            boxes4: tables.boxes4.to_vec(),
            boxes6: tables.boxes6.to_vec(),
            forests: tables.forests.to_vec(),
            trees: tables.trees.to_vec(),
            nodes: tables.nodes.to_vec(),
            entries: tables.entries.to_vec(),
            dynamics: tables.dynamics.to_vec(),
            homes: tables.homes.to_vec(),
            text: tables.text.to_vec(),
        }
    }

    /// The parts as they are, whatever the header says of them.
    pub(crate) fn tables(&self) -> Tables<'_> {
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
            dynamics: &self.dynamics,
            homes: &self.homes,
            text: &self.text,
        }
    }

    /// Put together again.
    pub(crate) fn blob(&self) -> Blob {
        Blob::new(&self.tables()).expect("it is small")
    }
}
