// SPDX-License-Identifier: GPL-2.0

//! Rules that no packet reaches, where that is easily proved: one earlier rule takes
//! all that they are about.

use super::{places, possible_protocols};
use crate::ast::{Address, Bound, Endpoint, NamespaceSpec, Operand, Policy, Port, Rule, State};
use crate::diagnostic::Diagnostic;
use crate::ranges::Addresses;
use crate::sets::Sets;
use nftrace_core::packet::Protocol;
use nftrace_core::policy::layout::Range32;
use std::sync::Arc;

/// Policies with more rules are not looked through: each rule is compared with each.
const MOST_RULES: usize = 1000;
/// Nor are larger operands, unless they are equal.
const MOST_RANGES: usize = 1000;

/// Warns of rules that cannot be reached.
pub(super) fn warnings(policy: &Policy, sets: &Sets, found: &mut Vec<Diagnostic>) {
    if policy.rules().count() > MOST_RULES {
        return;
    }
    let known: Vec<Known<'_>> = policy.rules().map(|rule| Known::of(rule, sets)).collect();
    for (number, rule) in known.iter().enumerate() {
        let mut earlier = known[..number].iter();
        if let Some(other) = earlier.find(|other| other.takes_all_of(rule)) {
            found.push(
                Diagnostic::warning(rule.rule.at.span(), "this rule is never reached")
                    .other(other.rule.at.span(), "this one takes all that it is about")
                    .help("move it before that one, or leave it out"),
            );
        }
    }
}

/// A rule, and what has been found out about it.
struct Known<'a> {
    rule: &'a Rule,
    places: u16,
    /// A bit for each number.
    protocols: [u128; 2],
    ends: [Option<Arc<Addresses>>; 3],
    ports: [Option<Arc<Vec<Range32>>>; 4],
}

/// The ends of a packet that a rule speaks of.
fn ends(rule: &Rule) -> [(Bound, Option<&Endpoint>); 3] {
    [
        (Bound::From, rule.from.as_ref()),
        (Bound::To, rule.to.as_ref()),
        (Bound::Original, rule.original.as_ref()),
    ]
}

/// The operands that are ports.
fn ports(rule: &Rule) -> [Option<&Operand<Port>>; 4] {
    let [from, to, original] = ends(rule).map(|(_, end)| end?.ports.as_ref());
    [rule.port.as_ref(), from, to, original]
}

fn addresses(rule: &Rule) -> [Option<&Operand<Address>>; 3] {
    ends(rule).map(|(_, end)| end?.addresses.as_ref())
}

fn bits(protocols: &[Protocol]) -> [u128; 2] {
    let mut bits = [0; 2];
    for Protocol(number) in protocols {
        bits[usize::from(number >> 7)] |= 1 << (number & 0x7f);
    }
    bits
}

fn has_bits(all: [u128; 2], some: [u128; 2]) -> bool {
    all.iter().zip(some).all(|(all, some)| some & !all == 0)
}

impl<'a> Known<'a> {
    fn of(rule: &'a Rule, sets: &Sets) -> Self {
        let is_fixed = |one: &Address| match one {
            Address::Range(_) => true,
            Address::Set(name) => sets.dynamic(name).is_none(),
            _ => false,
        };
        Self {
            rule,
            places: places(rule)
                .iter()
                .fold(0, |all, place| all | (1 << place.number())),
            protocols: bits(&possible_protocols(rule)),
            ends: addresses(rule).map(|operand| {
                let operand = operand?;
                let is_plain = !operand.not && operand.items.iter().all(is_fixed);
                is_plain.then(|| sets.addresses(&operand.items))
            }),
            ports: ports(rule).map(|operand| {
                let operand = operand?;
                (!operand.not).then(|| sets.ports(&operand.items))
            }),
        }
    }

    /// Whether every packet that `other` is about is decided here.
    fn takes_all_of(&self, other: &Self) -> bool {
        let (all, some) = (self.rule, other.rule);
        let is_final = !all.shadow && all.limit.is_none();
        is_final
            && other.places & !self.places == 0
            && is_left_out_or_equal(all.flags.as_ref(), some.flags.as_ref())
            && is_left_out_or_equal(all.family.as_ref(), some.family.as_ref())
            && is_left_out_or_equal(all.mark.as_ref(), some.mark.as_ref())
            && is_left_out_or_equal(all.iif.as_ref(), some.iif.as_ref())
            && is_left_out_or_equal(all.oif.as_ref(), some.oif.as_ref())
            && is_left_out_or_equal(all.cgroup.as_ref(), some.cgroup.as_ref())
            && is_left_out_or_equal(all.classid.as_ref(), some.classid.as_ref())
            && is_left_out_or_equal(all.uid.as_ref(), some.uid.as_ref())
            && (!all.fragment || some.fragment)
            && has_states(&all.states, &some.states)
            && has_icmp(all, some)
            && has_namespaces(all, some)
            && has_bits(self.protocols, other.protocols)
            && self.has_addresses_of(other)
            && self.has_ports_of(other)
    }

    fn has_addresses_of(&self, other: &Self) -> bool {
        let written = addresses(self.rule).into_iter().zip(addresses(other.rule));
        let ranges = self.ends.iter().zip(&other.ends);
        written.zip(ranges).all(|((all, some), ranges)| {
            is_left_out_or_equal(all, some)
                || match ranges {
                    (Some(all), Some(some)) => has_ranges(all, some),
                    _ => false,
                }
        })
    }

    fn has_ports_of(&self, other: &Self) -> bool {
        let written = ports(self.rule).into_iter().zip(ports(other.rule));
        let ranges = self.ports.iter().zip(&other.ports);
        written.zip(ranges).all(|((all, some), ranges)| {
            is_left_out_or_equal(all, some)
                || match ranges {
                    (Some(all), Some(some)) => {
                        let is_in = |one: &Range32| {
                            all.iter()
                                .any(|all| all.holds(one.low) && all.holds(one.high))
                        };
                        some.len() <= MOST_RANGES && some.iter().all(is_in)
                    }
                    _ => false,
                }
        })
    }
}

fn is_left_out_or_equal<T: PartialEq>(all: Option<&T>, some: Option<&T>) -> bool {
    all.is_none() || all == some
}

fn has_states(all: &[State], some: &[State]) -> bool {
    all.is_empty() || (!some.is_empty() && some.iter().all(|one| all.contains(one)))
}

fn has_icmp(all: &Rule, some: &Rule) -> bool {
    match (all.icmp, some.icmp) {
        (None, _) => true,
        (Some(all), Some(some)) => {
            all.family == some.family
                && all.kind == some.kind
                && (all.code.is_none() || all.code == some.code)
        }
        (Some(_), None) => false,
    }
}

fn has_namespaces(all: &Rule, some: &Rule) -> bool {
    match (&all.namespaces, &some.namespaces) {
        (None, _) => true,
        (Some(all), _) if !all.not && all.items.contains(&NamespaceSpec::All) => true,
        (Some(all), Some(some)) if !all.not && !some.not => {
            some.items.iter().all(|one| all.items.contains(one))
        }
        (all, some) => all == some,
    }
}

fn has_ranges(all: &Addresses, some: &Addresses) -> bool {
    let is_small = some.v4.len() + some.v6.len() <= MOST_RANGES;
    is_small
        && some.v4.iter().all(|one| {
            let at = all.v4.partition_point(|range| range.high < one.high);
            all.v4.get(at).is_some_and(|range| range.low <= one.low)
        })
        && some.v6.iter().all(|one| {
            let at = all.v6.partition_point(|range| range.high < one.high);
            all.v6.get(at).is_some_and(|range| range.low <= one.low)
        })
}
