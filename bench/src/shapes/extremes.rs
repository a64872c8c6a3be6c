// SPDX-License-Identifier: GPL-2.0

//! What is hard for a classifier.

use nftrace_tests::random::Random;

use super::model::choose;
use crate::rules::{BenchRule, Family, Ports, Prefix, TCP, UDP};

/// Chains of prefixes are so deep.
pub(super) const DEPTH: usize = 32;

fn ports(random: &mut Random) -> Ports {
    let mut port = || u16::try_from(random.below(65_536)).unwrap_or(0);
    let (a, b) = (port(), port());
    Ports {
        low: a.min(b),
        high: a.max(b),
    }
}

/// Rules whose prefixes are up to so long, every length as often.
fn random_rules(family: Family, longest: u8, count: usize, random: &mut Random) -> Vec<BenchRule> {
    let prefix = |random: &mut Random| {
        let len = random.below(usize::from(longest) + 1);
        Prefix::new(
            family,
            family.any_address(random),
            u8::try_from(len).unwrap_or(0),
        )
    };
    (0..count)
        .map(|_| {
            let (src, dst) = (prefix(random), prefix(random));
            let proto = choose(&[(40, Some(TCP)), (40, Some(UDP)), (20, None)], random);
            let (mut sport, mut dport) = (Ports::ANY, Ports::ANY);
            if proto.is_some() {
                (sport, dport) = (ports(random), ports(random));
            }
            BenchRule {
                src,
                dst,
                proto,
                sport,
                dport,
            }
        })
        .collect()
}

/// All lengths.
pub(super) fn uniform(family: Family, count: usize, random: &mut Random) -> Vec<BenchRule> {
    random_rules(family, family.width(), count, random)
}

/// Short prefixes only.
pub(super) fn broad(family: Family, count: usize, random: &mut Random) -> Vec<BenchRule> {
    random_rules(family, family.width() / 4, count, random)
}

/// Chains of prefixes around one address, of sources and destinations in turn, each with a
/// port of its own; all /32 before all /31, and so on (/128, /124 for IPv6).
pub(super) fn nested(family: Family, count: usize, random: &mut Random) -> Vec<BenchRule> {
    let chains: Vec<(u128, bool, Ports)> = (0..count.div_ceil(DEPTH))
        .map(|number| {
            let port = u16::try_from(number % 65_536).unwrap_or(0);
            (
                family.any_address(random),
                number % 2 == 0,
                Ports::one(port),
            )
        })
        .collect();
    let step = usize::from(family.width()) / DEPTH;
    let lengths = (1..=DEPTH).rev();
    lengths
        .flat_map(|depth| {
            let len = u8::try_from(depth * step).unwrap_or(u8::MAX);
            chains.iter().map(move |(address, is_source, dport)| {
                let prefix = Prefix::new(family, *address, len);
                let any = Prefix::any(family);
                let (src, dst) = if *is_source {
                    (prefix, any)
                } else {
                    (any, prefix)
                };
                BenchRule {
                    src,
                    dst,
                    proto: Some(TCP),
                    sport: Ports::ANY,
                    dport: *dport,
                }
            })
        })
        .take(count)
        .collect()
}
