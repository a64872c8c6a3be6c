// SPDX-License-Identifier: GPL-2.0

//! Generators of rule sets. Each is a model of its own of what rule sets look like; none has
//! data of real ones. The same shape, family, number and seed make the same rules.

mod degenerate;
mod extremes;
mod model;
mod models;
mod plain;

use std::fmt;
use std::str::FromStr;

use nftrace_tests::random::Random;

use crate::overlap;
use crate::rules::{BenchRule, Family, RuleSet};

/// What a rule set looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shape {
    /// Access list of a router: narrow destinations and services, broad sources.
    Acl,
    /// Firewall between zones: many wildcards, ports at both ends, protocols without ports.
    Fw,
    /// Chains between known machines: pairs of hosts and subnets, all kinds of ports.
    Ipc,
    /// Block list of countries: sources only, none within another.
    Geo,
    /// Policy of containers: one address and port, from a few others.
    Containers,
    /// Firewall of one host: fixed destination, few ports, many sources.
    Host,
    /// Adversarial: every prefix length as often, any range of ports.
    Uniform,
    /// Adversarial: no prefix longer than 8 (32 for IPv6), any range of ports: all overlap.
    Broad,
    /// Prefixes, each within the one after it, 32 deep.
    Nested,
    /// The same rule again and again.
    Identical,
    /// An access list behind a rule that matches all: only the first is ever met.
    Shadowed,
    /// An access list before a rule that matches all; of one rule, that rule alone.
    CatchAll,
}

impl Shape {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Acl,
        Self::Fw,
        Self::Ipc,
        Self::Geo,
        Self::Containers,
        Self::Host,
        Self::Uniform,
        Self::Broad,
        Self::Nested,
        Self::Identical,
        Self::Shadowed,
        Self::CatchAll,
    ];

    /// Those that people have: what averages are taken over.
    pub const REALISTIC: [Self; 6] = [
        Self::Acl,
        Self::Fw,
        Self::Ipc,
        Self::Geo,
        Self::Containers,
        Self::Host,
    ];

    /// Whether nothing may be tuned to it: it tells whether what was tuned to the others holds.
    #[must_use]
    pub const fn held_out(self) -> bool {
        matches!(self, Self::Ipc | Self::Host)
    }

    /// Its name in reports and on command lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Acl => "acl",
            Self::Fw => "fw",
            Self::Ipc => "ipc",
            Self::Geo => "geo",
            Self::Containers => "containers",
            Self::Host => "host",
            Self::Uniform => "uniform",
            Self::Broad => "broad",
            Self::Nested => "nested",
            Self::Identical => "identical",
            Self::Shadowed => "shadowed",
            Self::CatchAll => "catch-all",
        }
    }

    /// So many rules, at least one.
    #[must_use]
    pub fn generate(self, family: Family, count: usize, seed: u64) -> RuleSet {
        let count = count.max(1);
        let random = &mut Random::new(seed ^ (self as u64 + 1).wrapping_mul(0xd134_2543_de82_ef95));
        let rules = match self {
            Self::Acl => models::acl().rules(family, count, random),
            Self::Fw => models::fw().rules(family, count, random),
            Self::Ipc => models::ipc().rules(family, count, random),
            Self::Geo => plain::geo(family, count, random),
            Self::Containers => plain::containers(family, count, random),
            Self::Host => plain::host(family, count, random),
            Self::Uniform => extremes::uniform(family, count, random),
            Self::Broad => extremes::broad(family, count, random),
            Self::Nested => extremes::nested(family, count, random),
            Self::Identical => degenerate::identical(family, count, random),
            Self::Shadowed => degenerate::shadowed(family, count, random),
            Self::CatchAll => degenerate::catch_all(family, count, random),
        };
        RuleSet {
            shape: self,
            family,
            seed,
            rules,
        }
    }

    /// So many rules no two of which overlap, in any order, so that peers without an order of
    /// rules can hold them; none where the shape has not so many among ten thousands of rules,
    /// or thirty times as many.
    #[must_use]
    pub fn generate_disjoint(self, family: Family, count: usize, seed: u64) -> Option<RuleSet> {
        let most = count.saturating_mul(30).max(10_000);
        let mut from = count;
        loop {
            let mut set = disjoint(&self.generate(family, from, seed));
            if set.rules.len() >= count {
                // Not the first ones: these are more specific than those behind.
                let random = &mut Random::new(seed ^ 0x6469_736a);
                while set.rules.len() > count {
                    set.rules.swap_remove(random.below(set.rules.len()));
                }
                return Some(set);
            }
            if from == most {
                return None;
            }
            from = from.saturating_mul(2).min(most);
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// There is no shape of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no shape `{0}`; there are acl, fw, ipc, geo, containers, host, uniform, broad, nested, identical, shadowed, catch-all")]
pub struct NoSuchShape(String);

impl FromStr for Shape {
    type Err = NoSuchShape;

    fn from_str(name: &str) -> Result<Self, NoSuchShape> {
        let found = Self::ALL.into_iter().find(|shape| shape.name() == name);
        found.ok_or_else(|| NoSuchShape(name.to_owned()))
    }
}

/// Those rules of a set that overlap none that was taken before, the most specific first; in
/// their order.
#[must_use]
pub fn disjoint(set: &RuleSet) -> RuleSet {
    let mut order: Vec<(usize, &BenchRule)> = set.rules.iter().enumerate().collect();
    order.sort_by(|(_, a), (_, b)| b.specificity().total_cmp(&a.specificity()));
    let mut taken = overlap::Index::new(set.family);
    let mut numbers = Vec::new();
    for (number, rule) in order {
        if !taken.any_overlaps(rule) {
            taken.add(*rule);
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    RuleSet {
        rules: numbers
            .into_iter()
            .map(|number| set.rules[number])
            .collect(),
        ..*set
    }
}
