// SPDX-License-Identifier: GPL-2.0

//! Which protocols a rule can be about.

use super::Check;
use crate::ast::{Bound, Clause, IcmpFamily, RejectWith, Rule, Verdict};
use crate::diagnostic::Diagnostic;
use crate::words::WITH_PORTS;
use nftrace_core::packet::Protocol;

/// The clauses that only some protocols can fulfil, and these.
fn demands(rule: &Rule) -> Vec<(Clause, &'static str, &'static [Protocol])> {
    let mut demands: Vec<(Clause, &'static str, &'static [Protocol])> = Vec::new();
    match rule.icmp.map(|icmp| icmp.family) {
        Some(IcmpFamily::Icmp) => {
            demands.push((Clause::Icmp, "types of ICMP", &[Protocol::ICMP]));
        }
        Some(IcmpFamily::Icmpv6) => {
            demands.push((Clause::Icmp, "types of ICMPv6", &[Protocol::ICMPV6]));
        }
        None => {}
    }
    if rule.port.is_some() {
        demands.push((Clause::Port, "ports", &WITH_PORTS));
    }
    for (bound, end) in [
        (Bound::From, &rule.from),
        (Bound::To, &rule.to),
        (Bound::Original, &rule.original),
    ] {
        if end.as_ref().is_some_and(|end| end.ports.is_some()) {
            demands.push((Clause::Ports(bound), "ports", &WITH_PORTS));
        }
    }
    if rule.flags.is_some() {
        demands.push((Clause::Flags, "TCP's flags", &[Protocol::TCP]));
    }
    demands
}

/// The protocols that a packet can have for which the rule holds.
pub(crate) fn possible_protocols(rule: &Rule) -> Vec<Protocol> {
    let demands = demands(rule);
    // Every rule is asked for it: mostly one of a few.
    let few = demands
        .iter()
        .map(|(_, _, by)| *by)
        .min_by_key(|by| by.len());
    let is_possible =
        |one: &Protocol| is_named(rule, *one) && demands.iter().all(|(_, _, by)| by.contains(one));
    match few {
        Some(few) => few.iter().copied().filter(is_possible).collect(),
        None => (0..=u8::MAX).map(Protocol).filter(is_possible).collect(),
    }
}

/// Whether the rule's list of protocols lets it be.
fn is_named(rule: &Rule, protocol: Protocol) -> bool {
    rule.protocols
        .as_ref()
        .is_none_or(|named| named.items.contains(&protocol) != named.not)
}

impl Check<'_> {
    pub(super) fn protocols(&mut self) {
        let rule = self.rule;
        let mut possible: Vec<Protocol> = (0..=u8::MAX)
            .map(Protocol)
            .filter(|one| is_named(rule, *one))
            .collect();
        let mut because = self.at().written(Clause::Protocols);
        for (clause, what, by) in demands(rule) {
            possible.retain(|one| by.contains(one));
            let span = self.at().clause(clause);
            if possible.is_empty() && (because.is_some() || rule.protocols.is_some()) {
                let names: Vec<&str> = by.iter().filter_map(|one| one.name()).collect();
                let mut error = Diagnostic::error(
                    span,
                    format!(
                        "the rule could never match: {what} are those of {} only",
                        names.join(", ")
                    ),
                );
                if let Some(because) = because {
                    error = error.other(because, "this is about others");
                }
                self.report(error.help("leave one of the two out, or make two rules"));
                return;
            }
            because = because.or(Some(span));
        }
        let is_tcp = possible == [Protocol::TCP];
        if rule.flags.is_some() && (!is_tcp || rule.protocols.is_none()) {
            let span = self.at().clause(Clause::Flags);
            let error = Diagnostic::error(span, "`flags` are those of TCP");
            self.report(error.help("say `tcp` behind the verdict"));
        }
        if rule.verdict == Verdict::Reject(RejectWith::TcpReset) && !is_tcp {
            let span = self.at().clause(Clause::Verdict);
            let error = Diagnostic::error(span, "a reset answers TCP only");
            self.report(error.help("say `tcp`, or `reject` alone: it fits the protocol"));
        }
        self.fragments();
    }

    /// Later fragments have nothing of the transport header.
    fn fragments(&mut self) {
        if !self.rule.fragment {
            return;
        }
        let original = Clause::Ports(Bound::Original);
        for (clause, what, _) in demands(self.rule) {
            if clause != original {
                let message = format!("the rule could never match: later fragments have no {what}");
                let error = Diagnostic::error(self.at().clause(clause), message)
                    .other(self.at().clause(Clause::Fragment), "later fragments only");
                self.report(error.help("leave one of the two out"));
            }
        }
    }
}
