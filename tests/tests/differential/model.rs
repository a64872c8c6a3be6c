// SPDX-License-Identifier: GPL-2.0

//! Rules that both nftrace and nftables can express.
//!
//! All addresses are of two networks of 65,536: 10.64.0.0/16 and fd64::/112.

use nftrace_tests::random::Random;

/// The addresses of `mid` itself, by their number in each network.
pub(crate) const OWN: [u16; 3] = [0x0701, 0x0707, 0x07c8];

/// A hook, as nftrace and as nftables call it.
pub(crate) const HOOKS: [(&str, &str); 5] = [
    ("pre_routing", "prerouting"),
    ("local_in", "input"),
    ("forward", "forward"),
    ("local_out", "output"),
    ("post_routing", "postrouting"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

pub(crate) fn address(family: Family, number: u16) -> String {
    match family {
        Family::V4 => format!("10.64.{}.{}", number >> 8, number & 0xff),
        Family::V6 => format!("fd64::{number:x}"),
    }
}

/// Numbers from one to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) low: u16,
    pub(crate) high: u16,
}

impl Range {
    fn text(self, family: Option<Family>) -> String {
        let one = |number: u16| match family {
            Some(family) => address(family, number),
            None => number.to_string(),
        };
        if self.low == self.high {
            return one(self.low);
        }
        let size = u32::from(self.high) - u32::from(self.low) + 1;
        let is_prefix = size.is_power_of_two() && u32::from(self.low) % size == 0;
        match family {
            Some(Family::V4) if is_prefix => format!("{}/{}", one(self.low), 32 - size.ilog2()),
            Some(Family::V6) if is_prefix => format!("{}/{}", one(self.low), 128 - size.ilog2()),
            _ => format!("{}-{}", one(self.low), one(self.high)),
        }
    }
}

/// What a field is compared with.
#[derive(Clone, Debug)]
pub(crate) struct Operand {
    pub(crate) not: bool,
    /// Apart from each other, in order.
    pub(crate) ranges: Vec<Range>,
}

impl Operand {
    fn of(random: &mut Random, mut ranges: Vec<Range>) -> Self {
        ranges.sort_by_key(|range| range.low);
        let mut apart: Vec<Range> = Vec::new();
        for range in ranges {
            // nft refuses what overlaps, and joins what touches.
            let is_behind = |before: &Range| u32::from(before.high) + 1 < u32::from(range.low);
            if apart.last().is_none_or(is_behind) {
                apart.push(range);
            }
        }
        Self {
            not: random.one_in(4),
            ranges: apart,
        }
    }

    fn addresses(random: &mut Random) -> Self {
        let count = 1 + random.below(3);
        let one = |random: &mut Random| {
            let number = near(random, &OWN);
            match random.below(3) {
                0 => Range {
                    low: number,
                    high: number,
                },
                1 => {
                    let bits = random.below(10);
                    let low = number >> bits << bits;
                    let high = low | ((1_u16 << bits) - 1);
                    Range { low, high }
                }
                _ => Range {
                    low: number,
                    high: number.saturating_add(1 + small(random, 300)),
                },
            }
        };
        let ranges = (0..count).map(|_| one(random)).collect();
        Self::of(random, ranges)
    }

    fn ports(random: &mut Random) -> Self {
        let count = 1 + random.below(3);
        let one = |random: &mut Random| {
            let low = 1 + small(random, 40);
            let high = if random.one_in(2) {
                low
            } else {
                low + small(random, 12)
            };
            Range { low, high }
        };
        let ranges = (0..count).map(|_| one(random)).collect();
        Self::of(random, ranges)
    }

    /// As nftrace writes it.
    pub(super) fn ours(&self, family: Option<Family>) -> String {
        let not = if self.not { "not " } else { "" };
        format!("{not}{}", self.list(family))
    }

    /// As nftables does, behind what is compared.
    pub(super) fn theirs(&self, family: Option<Family>) -> String {
        let not = if self.not { "!= " } else { "" };
        format!("{not}{}", self.list(family))
    }

    fn list(&self, family: Option<Family>) -> String {
        let parts: Vec<String> = self.ranges.iter().map(|range| range.text(family)).collect();
        match parts.as_slice() {
            [one] => one.clone(),
            many => format!("{{ {} }}", many.join(", ")),
        }
    }

    /// Where it begins and ends to hold.
    pub(crate) fn boundaries(&self) -> impl Iterator<Item = u16> + '_ {
        let around = |number: u16| [number.saturating_sub(1), number, number.saturating_add(1)];
        let ends = self.ranges.iter().flat_map(|range| [range.low, range.high]);
        ends.flat_map(around)
    }
}

pub(crate) fn small(random: &mut Random, below: usize) -> u16 {
    u16::try_from(random.below(below)).unwrap_or(u16::MAX)
}

/// One that is likely to be met: near one of these, or anywhere in a corner.
pub(crate) fn near(random: &mut Random, of: &[u16]) -> u16 {
    match random.below(3) {
        0 => *random.pick(of),
        1 => random
            .pick(of)
            .wrapping_add(small(random, 9))
            .wrapping_sub(4),
        _ => 0x0600 + small(random, 0x0300),
    }
}

/// One rule; what is none is not asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rule {
    pub(super) drops: bool,
    pub(super) states: Vec<&'static str>,
    pub(super) family: Option<Family>,
    pub(super) protocols: Vec<&'static str>,
    pub(super) icmp: Option<(u8, Option<u8>)>,
    pub(super) flags: Option<(&'static str, &'static str)>,
    pub(crate) from: Option<Operand>,
    pub(crate) to: Option<Operand>,
    pub(crate) from_port: Option<Operand>,
    pub(crate) to_port: Option<Operand>,
    pub(crate) port: Option<Operand>,
    pub(super) iif: Option<&'static str>,
    pub(super) oif: Option<&'static str>,
    /// Places in [`HOOKS`].
    pub(super) hooks: Vec<usize>,
}

impl Rule {
    fn of(random: &mut Random) -> Self {
        let family = match random.below(3) {
            0 => None,
            1 => Some(Family::V4),
            _ => Some(Family::V6),
        };
        let mut rule = Self {
            drops: random.one_in(2),
            family,
            ..Self::default()
        };
        // Addresses have a family.
        if family.is_some() {
            rule.from = random.one_in(3).then(|| Operand::addresses(random));
            rule.to = random.one_in(2).then(|| Operand::addresses(random));
        }
        match random.below(6) {
            0 => rule.protocols = vec!["tcp"],
            1 => rule.protocols = vec!["udp"],
            2 => rule.protocols = vec!["tcp", "udp"],
            3 => rule.icmp_of(random),
            4 => {
                rule.protocols = vec!["tcp"];
                rule.flags = Some(*random.pick(&[
                    ("syn", "syn,ack,fin,rst"),
                    ("syn,ack", "syn,ack"),
                    ("rst", "rst"),
                    ("none", "syn,ack"),
                    ("none", "fin,syn,rst,psh,ack,urg"),
                ]));
            }
            _ => {}
        }
        if rule.icmp.is_none() && random.one_in(2) {
            match random.below(4) {
                0 => rule.from_port = Some(Operand::ports(random)),
                1 => rule.port = Some(Operand::ports(random)),
                2 => {
                    rule.from_port = Some(Operand::ports(random));
                    rule.to_port = Some(Operand::ports(random));
                }
                _ => rule.to_port = Some(Operand::ports(random)),
            }
        }
        if random.one_in(8) {
            rule.states = random
                .pick(&[
                    vec!["new"],
                    vec!["established", "related"],
                    vec!["invalid"],
                    vec!["established"],
                    vec!["new", "invalid"],
                ])
                .clone();
        }
        if random.one_in(8) {
            rule.iif = Some(*random.pick(&["left", "le*", "right", "not left", "not lo"]));
        }
        if random.one_in(10) {
            rule.oif = Some(*random.pick(&["right", "ri*", "not right", "left"]));
        }
        rule.hooks_of(random);
        rule
    }

    fn icmp_of(&mut self, random: &mut Random) {
        let family = self.family.unwrap_or(Family::V4);
        let types: &[u8] = match family {
            Family::V4 => &[8, 0, 13, 14],
            Family::V6 => &[128, 129, 200, 201],
        };
        let code = random.one_in(2).then(|| u8::from(random.one_in(2)));
        self.family = Some(family);
        self.icmp = Some((*random.pick(types), code));
    }

    /// Some of those that can know what it asks.
    fn hooks_of(&mut self, random: &mut Random) {
        let can = |hook: &str| match hook {
            "pre_routing" => self.states.is_empty() && self.oif.is_none(),
            "local_in" => self.oif.is_none(),
            "local_out" => self.states.is_empty() && self.iif.is_none(),
            _ => true,
        };
        let all = 0..HOOKS.len();
        let possible: Vec<usize> = all.filter(|hook| can(HOOKS[*hook].0)).collect();
        let one = *random.pick(&possible);
        let is_chosen = |hook: &usize| *hook == one || random.one_in(4);
        self.hooks = possible.into_iter().filter(is_chosen).collect();
    }
}

/// Rules and what holds behind them.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) rules: Vec<Rule>,
    pub(super) drops: [bool; HOOKS.len()],
}

impl Policy {
    pub(crate) fn of(random: &mut Random) -> Self {
        let count = 10 + random.below(40);
        Self {
            rules: (0..count).map(|_| Rule::of(random)).collect(),
            drops: [(); HOOKS.len()].map(|()| random.one_in(3)),
        }
    }
}
