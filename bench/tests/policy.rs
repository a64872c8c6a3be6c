// SPDX-License-Identifier: GPL-2.0

//! nftrace's policy of a rule set means what the set means.

use nftrace_bench::judge::Judge;
use nftrace_bench::packets::{hits, misses, PacketTuple};
use nftrace_bench::render::{policy, Verdicts};
use nftrace_bench::rules::Family;
use nftrace_bench::shapes::Shape;
use nftrace_core::policy::{Action, By};

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
