// SPDX-License-Identifier: GPL-2.0

//! Which rules overlap which.

use std::collections::BTreeMap;

use crate::rules::{BenchRule, Family, Prefix, RuleSet};

/// By first address and length, the numbers of rules.
type ByPrefix = BTreeMap<(u128, u8), Vec<usize>>;

/// Rules to be asked which of them overlap another. Without it, sets of 100,000 rules would
/// need a comparison of every two.
#[derive(Clone, Debug)]
pub struct Index {
    family: Family,
    rules: Vec<BenchRule>,
    by_src: ByPrefix,
    by_dst: ByPrefix,
}

impl Index {
    /// No rules yet.
    #[must_use]
    pub fn new(family: Family) -> Self {
        Self {
            family,
            rules: Vec::new(),
            by_src: ByPrefix::new(),
            by_dst: ByPrefix::new(),
        }
    }

    /// Adds a rule.
    pub fn add(&mut self, rule: BenchRule) {
        let number = self.rules.len();
        let key = |prefix: Prefix| (prefix.first(), prefix.length());
        self.by_src.entry(key(rule.src)).or_default().push(number);
        self.by_dst.entry(key(rule.dst)).or_default().push(number);
        self.rules.push(rule);
    }

    /// Whether any of the rules overlaps this one.
    #[must_use]
    pub fn any_overlaps(&self, rule: &BenchRule) -> bool {
        self.overlapping(rule).next().is_some()
    }

    /// The numbers of the rules, in the order of adding from 0, that overlap this one; in any
    /// order.
    pub fn overlapping<'a>(&'a self, rule: &'a BenchRule) -> impl Iterator<Item = usize> + 'a {
        // Who is found by the address that leaves out more is compared in full.
        let (map, prefix) = if rule.src.length() >= rule.dst.length() {
            (&self.by_src, rule.src)
        } else {
            (&self.by_dst, rule.dst)
        };
        let around = (0..prefix.length()).filter_map(move |len| {
            let wider = Prefix::new(self.family, prefix.first(), len);
            map.get(&(wider.first(), len))
        });
        let within = (prefix.first(), prefix.length())..=(prefix.last(), u8::MAX);
        let within = map.range(within).map(|(_, numbers)| numbers);
        let candidates = around.chain(within).flatten().copied();
        candidates.filter(|number| self.rules[*number].overlaps(rule))
    }
}

/// The layer of each rule: one more than the highest of the rules before it that it overlaps,
/// from 0. No two rules of a layer overlap, and of all rules that match a packet the first is
/// in the lowest layer: so sets without an order, asked layer by layer, answer as the list.
#[must_use]
pub fn layers(set: &RuleSet) -> Vec<usize> {
    let mut index = Index::new(set.family);
    let mut layers: Vec<usize> = Vec::with_capacity(set.rules.len());
    for rule in &set.rules {
        let below = index.overlapping(rule).map(|number| layers[number] + 1);
        let layer = below.max().unwrap_or(0);
        layers.push(layer);
        index.add(*rule);
    }
    layers
}
