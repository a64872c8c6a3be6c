// SPDX-License-Identifier: GPL-2.0

//! What programs write: block lists, policies of containers, firewalls of one host.

use nftrace_tests::random::Random;

use super::model::{choose, length, skewed, PortClass};
use crate::rules::{BenchRule, Family, Ports, Prefix, TCP, UDP};

/// Sources of some countries: prefixes as registries give them out, none within another, in
/// no order.
pub(super) fn geo(family: Family, count: usize, random: &mut Random) -> Vec<BenchRule> {
    let lengths = [
        (45, 24),
        (10, 23),
        (15, 22),
        (10, 21),
        (8, 20),
        (5, 19),
        (3, 18),
        (2, 17),
        (2, 16),
    ];
    // What is given out, in the smallest blocks: /24 of 1.0.0.0 to 223.255.255.255; /48 of 2000::/3.
    let (start, blocks, small) = match family {
        Family::V4 => (1 << 24, 223 << 16, 24),
        Family::V6 => (1 << 125, 1_u64 << 45, 48),
    };
    let shift = family.width() - small;
    // At most an eighth of it, whatever is asked for: a block is up to 256 small ones.
    let room = blocks / count as u64;
    let mut rules = Vec::with_capacity(count);
    for number in 0..count as u64 {
        let len = choose(&lengths, random);
        let wanted = if family == Family::V4 { len } else { 2 * len };
        // In a stretch of its own, so that no two overlap.
        let mut len = wanted;
        while 1_u64 << (small - len) > room.max(1) {
            len += 1;
        }
        let size = 1_u64 << (small - len);
        let (from, to) = (number * room, (number + 1) * room);
        let first = from.next_multiple_of(size);
        let places = (to - first.min(to)) / size;
        let block = if places == 0 {
            from
        } else {
            first + size * (random.number() % places)
        };
        let len = if places == 0 { small } else { len };
        let address = start + (u128::from(block) << shift);
        rules.push(BenchRule {
            src: Prefix::new(family, address, len),
            ..BenchRule::any(family)
        });
    }
    shuffle(&mut rules, random);
    rules
}

fn shuffle(rules: &mut [BenchRule], random: &mut Random) {
    for at in (1..rules.len()).rev() {
        rules.swap(at, random.below(at + 1));
    }
}

/// The subnet of a node of a cluster, and a pod in it.
fn pod(family: Family, node: u32, number: u32) -> u128 {
    let (node, number) = (u128::from(node), u128::from(number));
    match family {
        // 10.0.0.0/9, a /24 a node.
        Family::V4 => (10 << 24) | (node << 8) | (number + 2),
        // fd00:10:244::/48, a /64 a node.
        Family::V6 => (0xfd00_0010_0244 << 80) | (node << 64) | (number + 2),
    }
}

/// Applications of some pods each; what they call and who calls them. A rule is one pod's
/// address, one port, and one caller: a pod, or sometimes all of a node.
pub(super) fn containers(family: Family, count: usize, random: &mut Random) -> Vec<BenchRule> {
    let nodes = u32::try_from(count / 200 + 3).unwrap_or(3);
    let mut rules = Vec::with_capacity(count);
    let one = |random: &mut Random| {
        let node = u32::try_from(random.below(nodes as usize)).unwrap_or(0);
        (node, skewed(110, 1.0, random))
    };
    while rules.len() < count {
        let ports = [80, 443, 8080, 8443, 3000, 5432, 6379, 9090, 9092, 50051];
        let port = Ports::one(*random.pick(&ports));
        let proto = if random.one_in(12) { UDP } else { TCP };
        let callers: Vec<Prefix> = (0..=random.below(6))
            .map(|_| {
                let (node, number) = one(random);
                let whole = random.one_in(10);
                let len = match (whole, family) {
                    (false, _) => family.width(),
                    (true, Family::V4) => 24,
                    (true, Family::V6) => 64,
                };
                Prefix::new(family, pod(family, node, number), len)
            })
            .collect();
        for _ in 0..=random.below(4) {
            let (node, number) = one(random);
            let dst = Prefix::new(family, pod(family, node, number), family.width());
            for src in &callers {
                rules.push(BenchRule {
                    src: *src,
                    dst,
                    proto: Some(proto),
                    sport: Ports::ANY,
                    dport: port,
                });
            }
        }
    }
    rules.truncate(count);
    rules
}

/// One host with one to three addresses and a few services, and who may or may not use them:
/// hosts and networks, kept in order of neither. Some are about all that the host has.
pub(super) fn host(family: Family, count: usize, random: &mut Random) -> Vec<BenchRule> {
    let base = match family {
        Family::V4 => 0xc633_6400,
        Family::V6 => 0x2001_0db8_0064_0001 << 64,
    };
    let addresses: Vec<Prefix> = (0..=random.below(3) as u128)
        .map(|number| Prefix::new(family, base + 10 + number, family.width()))
        .collect();
    let services: Vec<Ports> = (0..4 + random.below(8))
        .map(|_| PortClass::Exact.ports(random))
        .collect();
    let lengths = [(60, 32), (22, 24), (6, 22), (6, 20), (6, 16)];
    (0..count)
        .map(|_| {
            let source = family.any_address(random);
            let source = match family {
                Family::V4 => source & 0x7fff_ffff,
                Family::V6 => (source >> 3) | (1 << 125),
            };
            let len = length(family, choose(&lengths, random));
            let proto = choose(&[(70, Some(TCP)), (12, Some(UDP)), (18, None)], random);
            let dport = if proto.is_some() {
                *random.pick(&services)
            } else {
                Ports::ANY
            };
            BenchRule {
                src: Prefix::new(family, source, len),
                dst: *random.pick(&addresses),
                proto,
                sport: Ports::ANY,
                dport,
            }
        })
        .collect()
}
