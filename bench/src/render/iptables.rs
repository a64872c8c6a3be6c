// SPDX-License-Identifier: GPL-2.0

//! As iptables-save says it: for iptables-restore and ip6tables-restore, legacy and nft.

use std::fmt::Write as _;

use nftrace_core::packet::Protocol;

use super::Verdicts;
use crate::rules::{Ports, RuleSet};

/// The table `raw` with a rule for each.
#[must_use]
pub fn iptables(set: &RuleSet, verdicts: Verdicts) -> String {
    let mut text = String::with_capacity(set.rules.len() * 96);
    text.push_str("*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n");
    for (number, rule) in set.rules.iter().enumerate() {
        text.push_str("-A PREROUTING");
        let mut add = |part: std::fmt::Arguments<'_>| {
            write!(text, " {part}").expect("memory takes all");
        };
        if !rule.src.is_any() {
            add(format_args!("-s {}", rule.src));
        }
        if !rule.dst.is_any() {
            add(format_args!("-d {}", rule.dst));
        }
        if let Some(proto) = rule.proto {
            add(format_args!("-p {proto}"));
            if rule.sport != Ports::ANY || rule.dport != Ports::ANY {
                let module = Protocol(proto).name().unwrap_or_default();
                add(format_args!("-m {module}"));
            }
        }
        for (word, ports) in [("--sport", rule.sport), ("--dport", rule.dport)] {
            if ports != Ports::ANY {
                add(format_args!("{word} {}", ports.text(":")));
            }
        }
        let target = if verdicts.drops(number) {
            "DROP"
        } else {
            "ACCEPT"
        };
        add(format_args!("-j {target}\n"));
    }
    text.push_str("COMMIT\n");
    text
}
