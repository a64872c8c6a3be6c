// SPDX-License-Identifier: GPL-2.0

//! What the kernel's classifier makes of compiled policies is what they say.

mod damage;
mod mutants;
mod oracle;
mod parts;
mod rules;
mod universe;
mod unsound;

use nftrace_core::packet::{Network, Packet, Plain};
use nftrace_core::policy::{
    classify, glance, layout, outcome, verify, By, Decision, Observer, Place, Tables,
};
use nftrace_policy::ast::{DefaultFor, Rule};
use nftrace_policy::{compile, load_text, resolve, Document, Memory};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::fmt::Write as _;
use universe::World;

/// The policy with those of these rules that are not refused.
fn document(rules: &[Rule], defaults: &[DefaultFor]) -> Document {
    let mut text = universe::SETS.to_string();
    for default in defaults {
        let at = nftrace_policy::ast::Spans::default();
        let what = default.clone();
        writeln!(text, "{}", nftrace_policy::ast::Default { what, at }).expect("memory");
    }
    for rule in rules {
        let alone = format!("{}{rule}\n", universe::SETS);
        if load_text("rule", &alone, &Memory::default()).is_ok() {
            writeln!(text, "{rule}").expect("memory");
        }
    }
    load_text("policy", &text, &Memory::default()).unwrap_or_else(|report| panic!("{report}"))
}

#[derive(Default)]
struct Shadowed(Vec<u32>);

impl Observer for Shadowed {
    fn is_within_limit(&mut self, number: u32, _: &layout::Rule) -> bool {
        oracle::is_within_limit(number)
    }

    fn shadowed(&mut self, number: u32, _: &layout::Rule) {
        self.0.push(number);
    }
}

/// What a glance at the packet says; none as well where it is not as most are.
fn at_a_glance(
    tables: &Tables<'_>,
    place: Place,
    packet: Option<&Packet>,
    world: &World,
) -> Option<Decision> {
    let packet = packet?;
    let network = if packet.src.is_ipv4() {
        Network::Ipv4
    } else {
        Network::Ipv6
    };
    let bytes = universe::bytes(packet)?;
    let plain = Plain::new(network, &bytes, bytes.len()).expect("it is as most are");
    let ask = |number| outcome(tables, number, &plain.packet(), world);
    glance(tables, place, &plain, || world.cookie, ask)
}

/// Without this the comparison below would say little.
#[test]
fn many_random_packets_meet_random_rules() {
    let mut runner = TestRunner::deterministic();
    let rules = prop::collection::vec(rules::rule(), 40);
    let cases = (rules, universe::packet(), universe::world());
    let (mut by_rule, mut by_fragment, mut refused, mut glances) = (0, 0, 0, 0);
    for _ in 0..100 {
        let (rules, packet, world) = cases.new_tree(&mut runner).expect("any will do").current();
        let document = document(&rules, &[]);
        refused += rules.len() - document.policy.rules().count();
        let program = resolve(&document, &universe::Names).expect("they are all there");
        let blob = compile(&program).expect("it is small");
        let tables = blob.tables().expect("it is a blob");
        for place in Place::all() {
            match oracle::decide(&document.policy, &world, place, packet.as_ref()).1 {
                By::Rule(_) => by_rule += 1,
                By::Fragment(_) => by_fragment += 1,
                _ => {}
            }
            let glance = at_a_glance(&tables, place, packet.as_ref(), &world);
            glances += usize::from(glance.is_some_and(|one| matches!(one.by, By::Rule(_))));
        }
    }
    assert!(glances > 20, "{glances} of 1000 decisions");
    assert!(by_rule > 200, "{by_rule} of 1000 decisions");
    assert!(by_fragment > 3, "{by_fragment} of 1000 decisions");
    assert!((400..3600).contains(&refused), "{refused} of 4000 rules");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn compiled_policies_decide_as_their_text_says(
        rules in prop::collection::vec(rules::rule(), 0..40),
        defaults in rules::defaults(),
        packets in prop::collection::vec((universe::packet(), universe::world()), 40),
    ) {
        let document = document(&rules, &defaults);
        let program = resolve(&document, &universe::Names)
            .unwrap_or_else(|report| panic!("{report}"));
        let report = document.report();
        let unreached: Vec<usize> = report.places().map(|(position, _)| position.line).collect();
        let blob = compile(&program).expect("it is small");
        let tables = blob.tables().expect("it is a blob");
        prop_assert!(verify(&tables).is_ok(), "{:?}\n{}", verify(&tables), document.policy);
        for (packet, mut world) in packets {
            // Connections are of one family.
            world.original = world.original.filter(|(address, _)| {
                packet.is_none_or(|packet| packet.src.is_ipv4() == address.is_ipv4())
            });
            for place in Place::all() {
                let mut shadowed = Shadowed::default();
                let decision = classify(&tables, place, packet.as_ref(), &world, &mut shadowed);
                if let By::Rule(number) | By::Fragment(number) = decision.by {
                    let line = program.rules[number as usize].position.line;
                    prop_assert!(!unreached.contains(&line), "{report}");
                }
                let wanted = oracle::decide(&document.policy, &world, place, packet.as_ref());
                if let Some(one) = at_a_glance(&tables, place, packet.as_ref(), &world) {
                    prop_assert_eq!((one.action, one.by, Vec::new()), wanted.clone());
                }
                prop_assert_eq!(
                    (decision.action, decision.by, shadowed.0),
                    wanted,
                    "{:?} {:?} at {:?}\n{}", packet, world, place, document.policy
                );
            }
        }
    }
}
