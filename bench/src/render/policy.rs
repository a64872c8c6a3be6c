// SPDX-License-Identifier: GPL-2.0

//! As nftrace's policy language says it.

use std::fmt::Write as _;

use nftrace_core::packet::Protocol;

use super::Verdicts;
use crate::rules::{Ports, Prefix, RuleSet};

/// A policy: a rule a line, at `pre_routing`.
#[must_use]
pub fn policy(set: &RuleSet, verdicts: Verdicts) -> String {
    let mut text = String::with_capacity(set.rules.len() * 96);
    for (number, rule) in set.rules.iter().enumerate() {
        text.push_str(verdicts.word(number));
        let mut add = |part: std::fmt::Arguments<'_>| {
            write!(text, " {part}").expect("memory takes all");
        };
        if rule.src.is_any() && rule.dst.is_any() {
            add(format_args!("{}", set.family.name()));
        }
        if let Some(proto) = rule.proto {
            match Protocol(proto).name() {
                Some(name) => add(format_args!("{name}")),
                None => add(format_args!("protocol {proto}")),
            }
        }
        let mut end = |word: &str, prefix: Prefix, ports: Ports| {
            if prefix.is_any() && ports == Ports::ANY {
                return;
            }
            if prefix.is_any() {
                add(format_args!("{word} any"));
            } else {
                add(format_args!("{word} {prefix}"));
            }
            if ports != Ports::ANY {
                add(format_args!("port {}", ports.text("-")));
            }
        };
        end("from", rule.src, rule.sport);
        end("to", rule.dst, rule.dport);
        text.push_str(" at pre_routing\n");
    }
    text
}
