// SPDX-License-Identifier: GPL-2.0

//! Rule sets and packets are what they are said to be.

use std::collections::HashSet;

use nftrace_bench::overlap::layers;
use nftrace_bench::packets::{hits, misses, LENGTH};
use nftrace_bench::rules::{BenchRule, Family, RuleSet, TCP, UDP};
use nftrace_bench::shapes::{disjoint, Shape};
use nftrace_core::packet::{parse, Network};

fn every() -> impl Iterator<Item = (Shape, Family)> {
    let shapes = Shape::ALL.into_iter();
    shapes.flat_map(|shape| Family::ALL.map(|family| (shape, family)))
}

fn distinct(set: &RuleSet) -> usize {
    set.rules.iter().collect::<HashSet<_>>().len()
}

#[test]
fn the_same_seed_makes_the_same_rules_and_another_seed_others() {
    for (shape, family) in every() {
        let set = shape.generate(family, 300, 7);
        assert_eq!(set, shape.generate(family, 300, 7), "{shape}");
        assert_ne!(set.rules, shape.generate(family, 300, 8).rules, "{shape}");
    }
}

/// The figures that are kept are of these very rules: whoever changes a generator measures anew.
#[test]
fn the_rules_of_a_seed_stay_what_they_were() {
    let all: Vec<String> = every()
        .map(|(shape, family)| format!("{:?}", shape.generate(family, 1000, 1).rules))
        .collect();
    assert_eq!(
        nftrace_policy::identity(&all.concat(), 0),
        14_652_805_756_810_780_510
    );
}

#[test]
fn sets_have_the_size_that_is_asked_for() {
    for (shape, family) in every() {
        for count in [1, 2, 31, 33, 1000] {
            let set = shape.generate(family, count, 1);
            assert_eq!(set.rules.len(), count, "{shape}");
        }
    }
    for (shape, family) in every().filter(|(shape, _)| !shape.held_out()) {
        let set = shape.generate(family, 100_000, 1);
        assert_eq!(set.rules.len(), 100_000, "{shape}");
    }
}

#[test]
fn rules_are_sound() {
    for (shape, family) in every() {
        for rule in &shape.generate(family, 3000, 3).rules {
            assert_eq!(rule.src.family(), family, "{shape}: {rule:?}");
            assert_eq!(rule.dst.family(), family, "{shape}: {rule:?}");
            assert!(rule.sport.low <= rule.sport.high, "{shape}: {rule:?}");
            assert!(rule.dport.low <= rule.dport.high, "{shape}: {rule:?}");
            let has_ports = matches!(rule.proto, Some(TCP | UDP));
            let asks = rule.sport.count().min(rule.dport.count()) != 65_536;
            assert!(has_ports || !asks, "{shape}: {rule:?}");
        }
    }
}

#[test]
fn people_do_not_write_a_rule_twice() {
    for shape in Shape::REALISTIC {
        for family in Family::ALL {
            let set = shape.generate(family, 10_000, 5);
            let distinct = distinct(&set);
            assert!(distinct > 9_900, "{shape}: {distinct} of 10000");
        }
    }
}

#[test]
fn shapes_have_what_they_are_named_for() {
    for family in Family::ALL {
        assert_eq!(distinct(&Shape::Identical.generate(family, 50, 1)), 1);
        let any = BenchRule::any(family);
        assert_eq!(Shape::Shadowed.generate(family, 50, 1).rules[0], any);
        assert_eq!(Shape::CatchAll.generate(family, 50, 1).rules[49], any);
        assert_eq!(Shape::CatchAll.generate(family, 1, 1).rules, [any]);

        let geo = Shape::Geo.generate(family, 5000, 1);
        assert_eq!(layers(&geo).into_iter().max(), Some(0));
        assert!(geo.rules.iter().all(|rule| rule.dst.is_any()));

        let nested = Shape::Nested.generate(family, 32, 1).rules;
        for pair in nested.windows(2) {
            assert!(pair[0].src.length() > pair[1].src.length());
            assert!(pair[1].src.contains(pair[0].src.first()));
        }
        for rule in &Shape::Broad.generate(family, 500, 1).rules {
            assert!(rule.src.length() <= family.width() / 4);
        }
        let lengths = Shape::Uniform.generate(family, 5000, 1).rules;
        let lengths: HashSet<u8> = lengths.iter().map(|rule| rule.src.length()).collect();
        assert_eq!(lengths.len(), usize::from(family.width()) + 1);
    }
}

#[test]
fn hits_hit_and_misses_miss() {
    for (shape, family) in every() {
        let set = shape.generate(family, 500, 2);
        let packets = hits(&set, 400, 9);
        assert_eq!(packets.len(), 400);
        assert_ne!(packets, hits(&set, 400, 10), "{shape}");
        let missed = packets
            .iter()
            .find(|packet| set.first_match(packet).is_none());
        assert_eq!(missed, None, "{shape}");
        let packets = misses(&set, 400, 9);
        let hit = packets
            .iter()
            .find(|packet| set.first_match(packet).is_some());
        assert_eq!(hit, None, "{shape}");
        if matches!(shape, Shape::Shadowed | Shape::CatchAll) {
            assert_eq!(packets, []);
        }
        if Shape::REALISTIC.contains(&shape) {
            assert_eq!(packets.len(), 400, "{shape}");
        }
    }
}

#[test]
fn hits_meet_rules_all_over_the_set() {
    for shape in Shape::REALISTIC {
        let set = shape.generate(Family::V4, 1000, 2);
        let met: HashSet<usize> = hits(&set, 5000, 1)
            .iter()
            .filter_map(|packet| set.first_match(packet))
            .collect();
        assert!(met.len() > 500, "{shape}: {} of 1000 rules", met.len());
    }
}

#[test]
fn disjoint_rules_overlap_nowhere_and_leave_out_only_what_would() {
    for (shape, family) in every() {
        let set = shape.generate(family, 700, 4);
        let apart = disjoint(&set);
        for (number, rule) in apart.rules.iter().enumerate() {
            let others = &apart.rules[number + 1..];
            assert!(!others.iter().any(|other| other.overlaps(rule)), "{shape}");
        }
        let left_out = set
            .rules
            .iter()
            .find(|rule| !apart.rules.iter().any(|taken| taken.overlaps(rule)));
        assert_eq!(left_out, None, "{shape}");
    }
}

#[test]
fn realistic_shapes_have_three_thousand_disjoint_rules() {
    for shape in Shape::REALISTIC {
        for family in Family::ALL {
            let set = shape.generate_disjoint(family, 3000, 1);
            let set = set.unwrap_or_else(|| panic!("{shape}, {family:?}"));
            assert_eq!(set.rules.len(), 3000);
            assert_eq!(layers(&set).into_iter().max(), Some(0), "{shape}");
        }
    }
}

/// The index of overlaps against comparing every two.
#[test]
fn a_layer_is_one_more_than_the_highest_before_it_that_overlaps() {
    for (shape, family) in every() {
        let set = shape.generate(family, 400, 6);
        let mut expected: Vec<usize> = Vec::new();
        for (number, rule) in set.rules.iter().enumerate() {
            let before = set.rules[..number].iter().zip(&expected);
            let overlapping = before.filter(|(other, _)| other.overlaps(rule));
            let layer = overlapping.map(|(_, layer)| layer + 1).max().unwrap_or(0);
            expected.push(layer);
        }
        assert_eq!(layers(&set), expected, "{shape}");
    }
}

#[test]
fn packets_are_what_they_say_with_right_lengths_and_checksums() {
    for (shape, family) in every() {
        let set = shape.generate(family, 100, 1);
        let network = match family {
            Family::V4 => Network::Ipv4,
            Family::V6 => Network::Ipv6,
        };
        for tuple in hits(&set, 100, 1) {
            let bytes = tuple.bytes();
            assert_eq!(bytes.len(), LENGTH);
            let packet = parse(network, &bytes, bytes.len()).expect("a sound packet");
            assert_eq!(packet.src, family.address(tuple.src));
            assert_eq!(packet.dst, family.address(tuple.dst));
            assert_eq!(packet.protocol.0, tuple.proto);
            let ports = packet
                .ports()
                .map_or((0, 0), |ports| (ports.src, ports.dst));
            assert_eq!(ports, (tuple.sport, tuple.dport));
            assert_eq!(packet.fragment, None);
            assert_eq!(wrong_checksums(family, &bytes), 0, "{tuple:?}");
        }
    }
}

/// The sum of 16-bit words, in ones' complement: 0xffff over what its own checksum covers.
fn sum(bytes: &[u8]) -> u32 {
    let words = bytes.chunks(2);
    let sum: u32 = words
        .map(|word| (u32::from(word[0]) << 8) | u32::from(*word.get(1).unwrap_or(&0)))
        .sum();
    sum % 0xffff
}

fn wrong_checksums(family: Family, bytes: &[u8]) -> usize {
    let (header, proto, addresses) = match family {
        Family::V4 => (20, bytes[9], 12..20),
        Family::V6 => (40, bytes[6], 8..40),
    };
    let wrong_header = family == Family::V4 && sum(&bytes[..header]) != 0;
    let payload = &bytes[header..];
    let pseudo = match proto {
        6 | 17 | 58 => {
            let length = u8::try_from(payload.len()).expect("it is short");
            sum(&bytes[addresses]) + u32::from(length) + u32::from(proto)
        }
        1 => 0,
        _ => return usize::from(wrong_header),
    };
    let wrong_payload = (sum(payload) + pseudo) % 0xffff != 0;
    usize::from(wrong_header) + usize::from(wrong_payload)
}
