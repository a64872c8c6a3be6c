// SPDX-License-Identifier: GPL-2.0

//! The condition of a rule, so that two of them can be made one: a rule that is reached
//! by a jump has its own and that of the jump.

use super::among::{Among, Ranges};
use crate::ast::{Device, Flags, IcmpFamily, IpFamily, Limit, Mark, Operand};

/// What holds for each packet that is meant; nothing said means all packets.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Condition {
    pub(super) family: Option<IpFamily>,
    pub(super) protocols: Option<Among>,
    pub(super) icmp: Option<IcmpParts>,
    pub(super) either_port: Option<Among>,
    pub(super) source_port: Option<Among>,
    pub(super) destination_port: Option<Among>,
    pub(super) source: Option<Among>,
    pub(super) destination: Option<Among>,
    pub(super) original: Option<Among>,
    pub(super) original_port: Option<Among>,
    pub(super) flags: Option<Flags>,
    pub(super) iif: Option<Operand<Device>>,
    pub(super) oif: Option<Operand<Device>>,
    pub(super) mark: Option<Mark>,
    /// Bits of [`State::ALL`](crate::ast::State::ALL), by their places there.
    pub(super) states: Option<u8>,
    pub(super) cgroup: Option<Operand<String>>,
    pub(super) classid: Option<Among>,
    pub(super) uid: Option<Among>,
    /// Whether it is a later fragment.
    pub(super) fragment: Option<bool>,
    pub(super) limit: Option<Limit>,
}

/// An ICMP's type and code, which nft asks for one by one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct IcmpParts {
    pub(super) family: IcmpFamily,
    pub(super) kind: Option<u8>,
    pub(super) code: Option<u8>,
}

/// Why two conditions do not become one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Not {
    /// No packet fulfils both.
    Possible,
    /// A rule has no words for it: the reason.
    Expressible(String),
}

fn inexpressible(reason: &str) -> Not {
    Not::Expressible(reason.to_string())
}

/// Both of two clauses, if both are there.
fn both<T: Clone>(
    one: &Option<T>,
    other: &Option<T>,
    join: impl Fn(&T, &T) -> Result<T, Not>,
) -> Result<Option<T>, Not> {
    match (one, other) {
        (Some(one), Some(other)) => join(one, other).map(Some),
        (Some(only), None) | (None, Some(only)) => Ok(Some(only.clone())),
        (None, None) => Ok(None),
    }
}

fn same<T: Clone + PartialEq>(one: &T, other: &T) -> Result<T, Not> {
    if one == other {
        Ok(one.clone())
    } else {
        Err(Not::Possible)
    }
}

fn among(one: &Among, other: &Among) -> Result<Among, Not> {
    let both = one.and(other);
    if both.is_never() {
        Err(Not::Possible)
    } else {
        Ok(both)
    }
}

impl Condition {
    /// Both at once.
    pub(super) fn and(&self, other: &Self) -> Result<Self, Not> {
        let joined = Self {
            family: both(&self.family, &other.family, same)?,
            protocols: both(&self.protocols, &other.protocols, among)?,
            icmp: both(&self.icmp, &other.icmp, icmp)?,
            either_port: both(&self.either_port, &other.either_port, |one, other| {
                same(one, other)
                    .map_err(|_| inexpressible("it asks twice for a port of either end"))
            })?,
            source_port: both(&self.source_port, &other.source_port, among)?,
            destination_port: both(&self.destination_port, &other.destination_port, among)?,
            source: both(&self.source, &other.source, among)?,
            destination: both(&self.destination, &other.destination, among)?,
            original: both(&self.original, &other.original, among)?,
            original_port: both(&self.original_port, &other.original_port, among)?,
            flags: both(&self.flags, &other.flags, flags)?,
            iif: both(&self.iif, &other.iif, devices)?,
            oif: both(&self.oif, &other.oif, devices)?,
            mark: both(&self.mark, &other.mark, marks)?,
            states: both(&self.states, &other.states, |one, other| {
                Some(one & other)
                    .filter(|bits| *bits != 0)
                    .ok_or(Not::Possible)
            })?,
            cgroup: both(&self.cgroup, &other.cgroup, |one, other| {
                same(one, other).map_err(|_| inexpressible("it asks for two cgroups"))
            })?,
            classid: both(&self.classid, &other.classid, among)?,
            uid: both(&self.uid, &other.uid, among)?,
            fragment: both(&self.fragment, &other.fragment, same)?,
            limit: both(&self.limit, &other.limit, |_, _| {
                Err(inexpressible("a rule has one limit"))
            })?,
        };
        if joined.is_possible() {
            Ok(joined)
        } else {
            Err(Not::Possible)
        }
    }

    fn is_possible(&self) -> bool {
        let protocols = self.protocols.as_ref();
        let is_only =
            |number: u8| protocols.is_none_or(|one| !one.and(&Among::one(number)).is_never());
        let icmp_fits = self.icmp.is_none_or(|icmp| match icmp.family {
            IcmpFamily::Icmp => is_only(1) && self.family != Some(IpFamily::Ipv6),
            IcmpFamily::Icmpv6 => is_only(58) && self.family != Some(IpFamily::Ipv4),
        });
        // Later fragments have no transport header.
        let is_whole = self.fragment != Some(true) || !self.asks_for_transport();
        icmp_fits && is_whole
    }

    /// Whether it asks for what only the first fragment has.
    pub(super) fn asks_for_transport(&self) -> bool {
        self.icmp.is_some()
            || self.flags.is_some()
            || self.either_port.is_some()
            || self.source_port.is_some()
            || self.destination_port.is_some()
    }

    /// Whether all packets fulfil it.
    pub(super) fn is_trivial(&self) -> bool {
        *self == Self::default()
    }

    /// These flags of TCP, or none but these: then it takes several conditions, no two of
    /// which a packet fulfils.
    pub(super) fn of_flags(not: bool, flags: Flags) -> Vec<Self> {
        let only = |flags| Self {
            flags: Some(flags),
            ..Self::default()
        };
        if !not {
            return vec![only(flags)];
        }
        let mut before = 0;
        let mut all = Vec::new();
        for bit in (0..8)
            .map(|bit| 1_u8 << bit)
            .filter(|bit| flags.mask & bit != 0)
        {
            all.push(only(Flags {
                value: flags.value & before | !flags.value & bit,
                mask: before | bit,
            }));
            before |= bit;
        }
        all
    }
}

fn icmp(one: &IcmpParts, other: &IcmpParts) -> Result<IcmpParts, Not> {
    Ok(IcmpParts {
        family: same(&one.family, &other.family)?,
        kind: both(&one.kind, &other.kind, same)?,
        code: both(&one.code, &other.code, same)?,
    })
}

fn flags(one: &Flags, other: &Flags) -> Result<Flags, Not> {
    let common = one.mask & other.mask;
    if (one.value ^ other.value) & common != 0 {
        return Err(Not::Possible);
    }
    Ok(Flags {
        value: one.value | other.value,
        mask: one.mask | other.mask,
    })
}

fn marks(one: &Mark, other: &Mark) -> Result<Mark, Not> {
    let differ = (one.value ^ other.value) & one.mask & other.mask != 0;
    match (one.not, other.not) {
        _ if one == other => Ok(*one),
        (false, false) if differ => Err(Not::Possible),
        (false, false) => Ok(Mark {
            not: false,
            value: one.value | other.value,
            mask: one.mask | other.mask,
        }),
        // What is this is not that already.
        (false, true) if differ => Ok(*one),
        (true, false) if differ => Ok(*other),
        (false, true) if other.mask & !one.mask == 0 => Err(Not::Possible),
        (true, false) if one.mask & !other.mask == 0 => Err(Not::Possible),
        _ => Err(inexpressible("it asks for two marks")),
    }
}

/// Whether all devices that one means are meant by the other.
fn is_within(one: &Device, other: &Device) -> bool {
    if other.any_end {
        one.name.starts_with(&other.name)
    } else {
        one == other
    }
}

fn devices(one: &Operand<Device>, other: &Operand<Device>) -> Result<Operand<Device>, Not> {
    let items = |items: Vec<Device>, not| {
        let mut unique: Vec<Device> = Vec::new();
        for item in items {
            if !unique.contains(&item) {
                unique.push(item);
            }
        }
        Operand { not, items: unique }
    };
    match (one.not, other.not) {
        (true, true) => {
            let all = one.items.iter().chain(&other.items).cloned().collect();
            Ok(items(all, true))
        }
        (false, false) => {
            let narrower = |a: &Operand<Device>, b: &Operand<Device>| {
                let of_b = b.items.clone();
                let is_in = move |item: &&Device| of_b.iter().any(|wide| is_within(item, wide));
                a.items.iter().filter(is_in).cloned().collect::<Vec<_>>()
            };
            let mut all = narrower(one, other);
            all.extend(narrower(other, one));
            if all.is_empty() {
                return Err(Not::Possible);
            }
            Ok(items(all, false))
        }
        (true, false) => devices(other, one),
        (false, true) => {
            let left: Vec<Device> = one
                .items
                .iter()
                .filter(|item| !other.items.iter().any(|not| is_within(item, not)))
                .cloned()
                .collect();
            let cuts = |item: &Device| other.items.iter().any(|not| is_within(not, item));
            if left.is_empty() {
                Err(Not::Possible)
            } else if left.iter().any(cuts) {
                Err(inexpressible(
                    "it asks for devices of which others are left out",
                ))
            } else {
                Ok(items(left, false))
            }
        }
    }
}

/// The protocols with ports.
pub(super) fn with_ports() -> Ranges {
    let numbers = crate::words::WITH_PORTS.iter();
    Ranges::of(numbers.map(|one| (one.0.into(), one.0.into())))
}
