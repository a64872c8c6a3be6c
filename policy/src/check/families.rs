// SPDX-License-Identifier: GPL-2.0

//! Which families of addresses a rule is about.

use super::{possible_protocols, Check};
use crate::ast::{Address, Bound, Clause, IpFamily, Operand, Rule};
use crate::diagnostic::Diagnostic;
use crate::sets::Sets;
use crate::source::Span;
use nftrace_core::packet::Protocol;
use nftrace_core::policy::layout::{IPV4, IPV6};

const BOTH: u8 = IPV4 | IPV6;

/// The families that the words of a rule leave, without its addresses.
pub(crate) fn named_families(rule: &Rule) -> u8 {
    by_family(rule) & by_protocol(rule)
}

fn by_family(rule: &Rule) -> u8 {
    match rule.family {
        Some(IpFamily::Ipv4) => IPV4,
        Some(IpFamily::Ipv6) => IPV6,
        None => BOTH,
    }
}

/// ICMP is of IPv4, ICMPv6 of IPv6.
fn by_protocol(rule: &Rule) -> u8 {
    match possible_protocols(rule)[..] {
        [Protocol::ICMP] => IPV4,
        [Protocol::ICMPV6] => IPV6,
        _ => BOTH,
    }
}

/// The families of the addresses that are written; both where that is not all that
/// there are: containers, files and dynamic sets change.
fn by_addresses(addresses: &Operand<Address>, sets: &Sets) -> u8 {
    let mut families = 0;
    for address in &addresses.items {
        families |= match address {
            Address::Range(range) if range.first().is_ipv4() => IPV4,
            Address::Range(_) => IPV6,
            Address::Set(name) => match sets.get(name) {
                Some(set) if !set.is_in_file && !set.is_dynamic => {
                    let v4 = if set.addresses.v4.is_empty() { 0 } else { IPV4 };
                    let v6 = if set.addresses.v6.is_empty() { 0 } else { IPV6 };
                    v4 | v6
                }
                _ => BOTH,
            },
            Address::Container(_) | Address::Netns(_) | Address::Pid(_) => BOTH,
        };
    }
    if families == 0 {
        BOTH
    } else {
        families
    }
}

impl Check<'_> {
    pub(super) fn families(&mut self) {
        let rule = self.rule;
        let mut parts: Vec<(Clause, u8)> = vec![(Clause::Family, by_family(rule))];
        let by_word = if rule.icmp.is_some() {
            Clause::Icmp
        } else {
            Clause::Protocols
        };
        parts.push((by_word, by_protocol(rule)));
        for (bound, end) in [
            (Bound::From, &rule.from),
            (Bound::To, &rule.to),
            (Bound::Original, &rule.original),
        ] {
            let addresses = end.as_ref().and_then(|end| end.addresses.as_ref());
            if let Some(addresses) = addresses {
                parts.push((Clause::Addresses(bound), by_addresses(addresses, self.sets)));
            }
        }
        parts.retain(|(_, families)| *families != BOTH);
        let Some(&(first, families)) = parts.first() else {
            return;
        };
        let Some((second, _)) = parts.iter().find(|(_, other)| *other != families) else {
            return;
        };
        let name = |families: u8| if families == IPV4 { "IPv4" } else { "IPv6" };
        let (one, other): (Span, Span) = (self.at().clause(first), self.at().clause(*second));
        let error = Diagnostic::error(
            other,
            "the rule could never match: no packet has both families",
        )
        .label(format!("{} only", name(BOTH & !families)))
        .other(one, format!("{} only", name(families)))
        .help("make two rules of it");
        self.report(error);
    }
}
