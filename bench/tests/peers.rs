// SPDX-License-Identifier: GPL-2.0

//! Peers take the rule sets that are rendered for them, on a real kernel.

use std::collections::BTreeMap;
use std::time::Duration;

use nftrace_bench::render::{
    ipset, iptables, nft_hash, nft_layers, nft_linear, nft_ranges, Fields, Unable, Verdicts,
};
use nftrace_bench::rules::{BenchRule, Family, Ports, RuleSet, TCP};
use nftrace_bench::shapes::{disjoint, Shape};
use nftrace_tests::kept::{codes, errors};
use nftrace_tests::vm::Vm;

/// Every rendering of some rules, by the name of its file.
fn renderings() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for shape in Shape::ALL {
        for family in Family::ALL {
            let set = shape.generate(family, 40, 1);
            let apart = disjoint(&set);
            let name = |what: &str, kind| format!("rules-{shape}-{what}.{}.{kind}", family.name());
            for verdicts in [Verdicts::Drop, Verdicts::Alternate] {
                let name = |what: &str, kind| name(&format!("{what}-{}", verdicts.word(0)), kind);
                files.insert(name("linear", "nft"), nft_linear(&set, verdicts));
                files.insert(name("linear", "iptables"), iptables(&set, verdicts));
                let layers = nft_layers(&set, Fields::ALL, verdicts).expect("five fields");
                files.insert(name("layers", "nft"), layers);
                for (what, fields) in [("ranges", Fields::ALL), ("fair", Fields::of(&apart))] {
                    if let Ok(text) = nft_ranges(&apart, fields, verdicts) {
                        files.insert(name(what, "nft"), text);
                    }
                }
                if let Ok(text) = nft_hash(&exact(&apart), verdicts) {
                    files.insert(name("hash", "nft"), text);
                }
                if let Ok((sets, _)) = ipset(&set, verdicts) {
                    files.insert(name("set", "ipset"), sets);
                }
            }
        }
    }
    files
}

/// Those of exact addresses and one port.
fn exact(set: &RuleSet) -> RuleSet {
    let is_exact = |rule: &&BenchRule| {
        rule.src.is_host() && rule.dst.is_host() && rule.proto == Some(TCP) && rule.dport.is_one()
    };
    RuleSet {
        rules: set.rules.iter().filter(is_exact).copied().collect(),
        ..*set
    }
}

#[test]
fn tools_take_what_is_rendered_for_them() {
    let files = renderings();
    let count = |end: &str| files.keys().filter(|name| name.ends_with(end)).count();
    assert!(count(".nft") > 150 && count(".iptables") == 48 && count(".ipset") > 3);
    let mut vm = Vm::new("renderings")
        .script("tests/lab/renderings.sh", &[])
        .without_module()
        .timeout(Duration::from_secs(400));
    for (name, text) in &files {
        vm = vm.file(name, text.clone().into_bytes());
    }
    let report = vm.run().unwrap_or_else(|failure| panic!("{failure}"));
    let codes = codes(&report);
    for name in files.keys() {
        match codes.get(name) {
            Some(0) => {}
            // Where the guest has no ipset.
            None if name.ends_with(".ipset") => {}
            code => panic!("{name}: {code:?}: {}", errors(&report, name)),
        }
    }
}

#[test]
fn what_a_peer_cannot_say_is_refused() {
    let drop = Verdicts::Drop;
    let of = |rules: Vec<BenchRule>| RuleSet {
        rules,
        ..Shape::Acl.generate(Family::V4, 1, 1)
    };
    let any = BenchRule::any(Family::V4);
    let web = BenchRule {
        proto: Some(TCP),
        dport: Ports::one(80),
        ..any
    };
    let from = BenchRule {
        sport: Ports::one(53),
        ..web
    };
    let twice = of(vec![web, web]);
    assert_eq!(nft_ranges(&twice, Fields::ALL, drop), Err(Unable::Overlap));
    assert_eq!(nft_hash(&twice, drop), Err(Unable::Overlap));
    assert_eq!(nft_hash(&of(vec![any]), drop), Err(Unable::NoFields));
    let broad = Shape::Geo.generate(Family::V4, 20, 1);
    assert_eq!(nft_hash(&broad, drop), Err(Unable::NotExact));
    assert_eq!(ipset(&of(vec![from]), drop), Err(Unable::SourcePorts));
    assert_eq!(ipset(&of(vec![web, any]), drop), Err(Unable::AnyProtocol));
    let alternate = Verdicts::Alternate;
    assert_eq!(ipset(&of(vec![web]), alternate), Err(Unable::Verdicts));
    let wide = BenchRule {
        dport: Ports::ANY,
        ..web
    };
    assert_eq!(ipset(&of(vec![wide; 17]), drop), Err(Unable::TooLarge));
}

#[test]
fn a_set_of_layers_answers_as_the_list() {
    let text = nft_layers(
        &Shape::Identical.generate(Family::V4, 3, 1),
        Fields::ALL,
        Verdicts::Alternate,
    )
    .expect("five fields");
    let order = ["vmap @bench0", "vmap @bench1", "vmap @bench2"].map(|rule| text.find(rule));
    assert!(
        order.iter().all(Option::is_some) && order.is_sorted(),
        "{text}"
    );
    let verdicts: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim().strip_suffix(','))
        .filter_map(|line| line.rsplit(' ').next())
        .collect();
    assert_eq!(verdicts, ["accept", "drop", "accept"]);
}
