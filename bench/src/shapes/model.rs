// SPDX-License-Identifier: GPL-2.0

//! What rule sets written by people have in common, with parameters: how long the prefixes of
//! both ends are together, which protocols there are, which kinds of ports, and how much
//! addresses crowd.

use std::collections::HashSet;

use nftrace_tests::random::Random;

use crate::rules::{BenchRule, Family, Ports, Prefix, TCP, UDP};

/// A choice with its weight.
pub(super) type Weighted<T> = (u32, T);

/// One of them, by weight.
pub(super) fn choose<T: Copy>(of: &[Weighted<T>], random: &mut Random) -> T {
    let total: u32 = of.iter().map(|(weight, _)| weight).sum();
    let mut at = u32::try_from(random.below(total as usize)).unwrap_or(0);
    for (weight, choice) in of {
        if at < *weight {
            return *choice;
        }
        at -= weight;
    }
    of[0].1
}

/// A number from 0 to 1, without 1.
pub(super) fn fraction(random: &mut Random) -> f64 {
    f64::from(u32::try_from(random.number() >> 32).unwrap_or(0)) / 4_294_967_296.0
}

/// A number below `end`, the lower the likelier: evenly for a skew of 1.
pub(super) fn skewed(end: u32, skew: f64, random: &mut Random) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is between 0 and end"
    )]
    let number = (f64::from(end) * fraction(random).powf(skew)) as u32;
    number.min(end - 1)
}

/// What ports a rule has at one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PortClass {
    /// Any.
    Wildcard,
    /// 1024 to 65535.
    High,
    /// 0 to 1023.
    Low,
    /// Some range.
    Range,
    /// One.
    Exact,
}

impl PortClass {
    pub(super) fn ports(self, random: &mut Random) -> Ports {
        match self {
            Self::Wildcard => Ports::ANY,
            Self::High => Ports {
                low: 1024,
                high: u16::MAX,
            },
            Self::Low => Ports { low: 0, high: 1023 },
            Self::Range => range(random),
            Self::Exact => Ports::one(service(random)),
        }
    }
}

/// A range as people write them: some ports long, or some hundreds, from a round number.
fn range(random: &mut Random) -> Ports {
    let round = *random.pick(&[1, 1, 10, 100]);
    let low = (100 + random.below(60_000)) / round * round;
    let lengths = [1, 4, 9, 15, 19, 49, 99, 255, 999, 4999];
    let high = low + random.pick(&lengths);
    let port = |number| u16::try_from(number).unwrap_or(u16::MAX);
    Ports {
        low: port(low),
        high: port(high),
    }
}

/// Services that many machines offer, the usual ones first.
const SERVICES: [u16; 40] = [
    443, 80, 22, 53, 25, 8080, 3306, 5432, 123, 161, 21, 389, 636, 3389, 445, 139, 143, 993, 995,
    110, 587, 514, 1433, 1521, 6379, 9200, 27017, 5060, 5061, 1194, 500, 4500, 88, 111, 2049, 5900,
    8443, 9090, 6443, 2379,
];

fn service(random: &mut Random) -> u16 {
    if random.one_in(5) {
        u16::try_from(1024 + random.below(64_512)).unwrap_or(u16::MAX)
    } else {
        let number = skewed(40, 2.0, random);
        SERVICES[number as usize]
    }
}

/// How addresses crowd: how many values each eighth of an address has where it branches, and
/// how much more likely the first ones are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crowd {
    /// Values of the first, second, third, fourth part.
    pub(super) branches: [u32; 4],
    /// 1: all as likely.
    pub(super) skew: f64,
}

impl Crowd {
    /// An address of a tree that a seed stands for: what was drawn so far says which values
    /// may follow, so many addresses share how they begin.
    fn address(&self, family: Family, tree: u64, random: &mut Random) -> u128 {
        let mut path = tree;
        let mut address = 0;
        for branches in self.branches {
            let choice = skewed(branches, self.skew, random);
            path =
                Random::new(path ^ u64::from(choice).wrapping_mul(0x9e6c_63d0_876a_3f6b)).number();
            match family {
                Family::V4 => address = (address << 8) | u128::from(path >> 56),
                Family::V6 => address = (address << 32) | u128::from(path >> 32),
            }
        }
        match family {
            // Not in what nobody routes: 1.0.0.0 to 223.255.255.255.
            Family::V4 => (address & 0xff_ffff) | ((1 + (address >> 24) % 223) << 24),
            // Global unicast, 2000::/3.
            Family::V6 => (address & (u128::MAX >> 3)) | (1 << 125),
        }
    }
}

/// The length of a prefix of IPv6 that stands where IPv4 has this one: /16 a provider's /32,
/// /24 a site's /48, /28 a link's /64, a host a host.
pub(super) fn length(family: Family, len: u8) -> u8 {
    match (family, len) {
        (Family::V4, len) => len,
        (Family::V6, 32..) => 128,
        (Family::V6, 28..=31) => 64 + (len - 28) * 16,
        (Family::V6, 24..=27) => 48 + (len - 24) * 4,
        (Family::V6, len) => len * 2,
    }
}

/// The parameters.
#[derive(Clone, Debug)]
pub(super) struct Model {
    /// Shortest and longest prefix of source and destination, together.
    pub(super) lengths: Vec<Weighted<([u8; 2], [u8; 2])>>,
    /// Of the source.
    pub(super) sources: Crowd,
    /// Of the destination.
    pub(super) destinations: Crowd,
    /// The protocols; none is any, and 1 is the family's ICMP.
    pub(super) protocols: Vec<Weighted<Option<u8>>>,
    /// Source and destination ports of TCP and UDP, together.
    pub(super) ports: Vec<Weighted<(PortClass, PortClass)>>,
    /// By how many bits a rule may stand before one that is more specific.
    pub(super) disorder: f64,
}

impl Model {
    fn rule(&self, family: Family, tree: u64, random: &mut Random) -> BenchRule {
        let (src, dst) = choose(&self.lengths, random);
        let mut prefix = |crowd: &Crowd, [shortest, longest]: [u8; 2], tree| {
            let len = usize::from(shortest) + random.below(usize::from(longest - shortest) + 1);
            let len = length(family, u8::try_from(len).unwrap_or(u8::MAX));
            Prefix::new(family, crowd.address(family, tree, random), len)
        };
        let src = prefix(&self.sources, src, tree);
        let dst = prefix(&self.destinations, dst, !tree);
        let proto = match choose(&self.protocols, random) {
            Some(1) => Some(family.icmp()),
            proto => proto,
        };
        let (mut sport, mut dport) = (Ports::ANY, Ports::ANY);
        if matches!(proto, Some(TCP | UDP)) {
            let classes = choose(&self.ports, random);
            (sport, dport) = (classes.0.ports(random), classes.1.ports(random));
        }
        BenchRule {
            src,
            dst,
            proto,
            sport,
            dport,
        }
    }

    /// So many rules, no two the same as long as the model has that many; the more specific
    /// mostly before the others.
    pub(super) fn rules(
        &self,
        family: Family,
        count: usize,
        random: &mut Random,
    ) -> Vec<BenchRule> {
        let tree = random.number();
        let mut seen = HashSet::with_capacity(count);
        let mut rules = Vec::with_capacity(count);
        let mut attempts = count.saturating_mul(20);
        while rules.len() < count {
            let rule = self.rule(family, tree, random);
            attempts = attempts.saturating_sub(1);
            // Whoever wants all traffic says so at the end.
            let is_everything = rule == BenchRule::any(family);
            if (!is_everything && seen.insert(rule)) || attempts == 0 {
                let place = rule.specificity() + self.disorder * fraction(random);
                rules.push((place, rule));
            }
        }
        rules.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        rules.into_iter().map(|(_, rule)| rule).collect()
    }
}
