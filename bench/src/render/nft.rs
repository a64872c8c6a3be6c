// SPDX-License-Identifier: GPL-2.0

//! As nftables says it: rule by rule, as sets of ranges, as sets in layers, as a hash.

use std::fmt::{Arguments, Write as _};

use nftrace_core::packet::Protocol;

use super::{Fields, Unable, Verdicts, NAME};
use crate::overlap;
use crate::rules::{BenchRule, Family, Ports, RuleSet, TCP, UDP};

const fn ip(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

fn table(family: Family, sets: &str, rules: &str) -> String {
    format!(
        "table {} {NAME} {{\n{sets}\tchain prerouting {{\n\
         \t\ttype filter hook prerouting priority raw; policy accept;\n{rules}\t}}\n}}\n",
        ip(family)
    )
}

/// A rule for each, as people write them.
#[must_use]
pub fn nft_linear(set: &RuleSet, verdicts: Verdicts) -> String {
    let mut rules = String::with_capacity(set.rules.len() * 96);
    for (number, rule) in set.rules.iter().enumerate() {
        let mut add = |part: Arguments<'_>| rules.write_fmt(part).expect("memory takes all");
        let ip = ip(set.family);
        add(format_args!("\t\t"));
        if !rule.src.is_any() {
            add(format_args!("{ip} saddr {} ", rule.src));
        }
        if !rule.dst.is_any() {
            add(format_args!("{ip} daddr {} ", rule.dst));
        }
        if let Some(proto) = rule.proto {
            let has_ports = rule.sport != Ports::ANY || rule.dport != Ports::ANY;
            match proto {
                // Ports say which protocol.
                TCP | UDP if has_ports => {
                    let name = Protocol(proto).name().unwrap_or_default();
                    for (word, ports) in [("sport", rule.sport), ("dport", rule.dport)] {
                        if ports != Ports::ANY {
                            add(format_args!("{name} {word} {} ", ports.text("-")));
                        }
                    }
                }
                _ => add(format_args!("meta l4proto {proto} ")),
            }
        }
        add(format_args!("{}\n", verdicts.word(number)));
    }
    table(set.family, "", &rules)
}

/// A set, or a map of verdicts where they differ, and the rule that asks it.
struct Lookup<'a> {
    family: Family,
    fields: Fields,
    name: &'a str,
    flags: &'a str,
}

impl Lookup<'_> {
    fn add<'a>(
        &self,
        rules: impl Iterator<Item = (usize, &'a BenchRule)>,
        verdicts: Verdicts,
        (sets, chain): (&mut String, &mut String),
    ) {
        let Self { name, flags, .. } = self;
        let types = self.fields.types(self.family);
        let expression = self.fields.expression(self.family);
        let (kind, result) = match verdicts {
            Verdicts::Drop => ("set", ""),
            Verdicts::Alternate => ("map", " : verdict"),
        };
        let mut add = |part: Arguments<'_>| sets.write_fmt(part).expect("memory takes all");
        add(format_args!(
            "\t{kind} {name} {{\n\t\ttype {types}{result};\n{flags}\t\telements = {{\n"
        ));
        for (number, rule) in rules {
            add(format_args!("\t\t\t{}", self.fields.element(rule)));
            match verdicts {
                Verdicts::Drop => add(format_args!(",\n")),
                Verdicts::Alternate => add(format_args!(" : {},\n", verdicts.word(number))),
            }
        }
        add(format_args!("\t\t}}\n\t}}\n"));
        let use_of = match verdicts {
            Verdicts::Drop => format!("@{name} drop"),
            Verdicts::Alternate => format!("vmap @{name}"),
        };
        writeln!(chain, "\t\t{expression} {use_of}").expect("memory takes all");
    }
}

/// One set of ranges (pipapo, where it has more than one field) with an element for each rule:
/// for rules that do not overlap.
///
/// # Errors
///
/// Rules overlap, or there is no field to look at.
pub fn nft_ranges(set: &RuleSet, fields: Fields, verdicts: Verdicts) -> Result<String, Unable> {
    if overlap::layers(set).iter().any(|layer| *layer != 0) {
        return Err(Unable::Overlap);
    }
    nft_layers(set, fields, verdicts)
}

/// A set of ranges for each layer, in order: all that nft can do without a rule for each rule
/// where they overlap.
///
/// # Errors
///
/// There is no field to look at.
pub fn nft_layers(set: &RuleSet, fields: Fields, verdicts: Verdicts) -> Result<String, Unable> {
    if fields.count() == 0 {
        return Err(Unable::NoFields);
    }
    let layers = overlap::layers(set);
    let deepest = layers.iter().copied().max().unwrap_or(0);
    let mut members = vec![Vec::new(); deepest + 1];
    for ((number, rule), layer) in set.rules.iter().enumerate().zip(layers) {
        members[layer].push((number, rule));
    }
    let (mut sets, mut chain) = (String::new(), String::new());
    for (layer, rules) in members.into_iter().enumerate() {
        Lookup {
            family: set.family,
            fields,
            name: &format!("{NAME}{layer}"),
            flags: "\t\tflags interval;\n",
        }
        .add(rules.into_iter(), verdicts, (&mut sets, &mut chain));
    }
    Ok(table(set.family, &sets, &chain))
}

/// A hash of the fields that are asked for: for rules that ask for exact values, and of the
/// same fields.
///
/// # Errors
///
/// Some rule has a prefix or a range, or two rules are the same.
pub fn nft_hash(set: &RuleSet, verdicts: Verdicts) -> Result<String, Unable> {
    let fields = Fields::of(set);
    if fields.count() == 0 {
        return Err(Unable::NoFields);
    }
    if !set.rules.iter().all(|rule| fields.are_exact(rule)) {
        return Err(Unable::NotExact);
    }
    if overlap::layers(set).iter().any(|layer| *layer != 0) {
        return Err(Unable::Overlap);
    }
    let (mut sets, mut chain) = (String::new(), String::new());
    Lookup {
        family: set.family,
        fields,
        name: NAME,
        flags: "",
    }
    .add(
        set.rules.iter().enumerate(),
        verdicts,
        (&mut sets, &mut chain),
    );
    Ok(table(set.family, &sets, &chain))
}
