// SPDX-License-Identifier: GPL-2.0

//! nftrace's policy of a rule set means what the set means.

use nftrace_bench::judge::Judge;
use nftrace_bench::packets::{hits, misses, PacketTuple};
use nftrace_bench::render::{policy, Verdicts};
use nftrace_bench::rules::Family;
use nftrace_bench::shapes::Shape;
use nftrace_core::policy::{verify_within, Action, By, Limits};
use nftrace_tests::guest::compiled;

/// What the set says of a packet: the rule, and whether it drops.
fn check(shape: Shape, family: Family, count: usize) {
    let set = shape.generate(family, count, 11);
    for verdicts in [Verdicts::Drop, Verdicts::Alternate] {
        let judge = Judge::new(&policy(&set, verdicts)).unwrap_or_else(|error| panic!("{error}"));
        let tables = judge.tables();
        let mut packets: Vec<PacketTuple> = hits(&set, 150, 12);
        packets.extend(misses(&set, 50, 12));
        for packet in packets {
            let decision = Judge::classify(&tables, &Judge::packet(&packet));
            let first = set.first_match(&packet);
            let by = first.map_or(By::Default, |number| {
                By::Rule(u32::try_from(number).expect("a rule's number"))
            });
            let drops = first.is_some_and(|number| verdicts.drops(number));
            let action = if drops { Action::Drop } else { Action::Accept };
            assert_eq!(
                (decision.action, decision.by),
                (action, by),
                "{shape}, {count}: {packet:?}"
            );
        }
    }
}

#[test]
fn the_policy_of_a_set_decides_as_its_first_match() {
    for shape in Shape::ALL {
        for family in Family::ALL {
            for count in [1, 7, 60, 300] {
                check(shape, family, count);
            }
        }
    }
}

/// Steps of the proof, a rule.
fn proof(shape: Shape, family: Family, count: usize) -> usize {
    let set = shape.generate(family, count, 1);
    let blob = compiled(&policy(&set, Verdicts::Drop)).expect("a sound policy");
    let tables = blob.tables().expect("a whole blob");
    // It pauses each so many steps.
    let mut steps = 0;
    let limits = Limits {
        max_bound: u32::MAX,
    };
    let proved = verify_within(&tables, &limits, || {
        steps += 4096;
        true
    });
    proved.expect("a sound policy");
    steps / set.rules.len().max(1)
}

#[test]
fn the_proof_of_a_large_policy_is_about_as_long_as_the_policy() {
    for shape in Shape::ALL {
        for family in Family::ALL {
            let steps = proof(shape, family, 10_000);
            assert!(steps < 600, "{shape}, {family:?}: {steps} steps a rule");
        }
    }
    // Broad rules behind broad rules: where most that a rule meets is decided before it.
    let steps = proof(Shape::Fw, Family::V6, 100_000);
    assert!(steps < 600, "{steps} steps a rule");
}
