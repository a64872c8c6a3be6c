// SPDX-License-Identifier: GPL-2.0

//! Random policies that nftables can express, too: of the same packets, the same come
//! through.

mod languages;
mod model;
mod packets;

use std::collections::BTreeSet;
use std::time::Duration;

use nftrace_tests::kept::{codes, errors, text};
use nftrace_tests::random::Random;
use nftrace_tests::vm::{Report, Vm};
use serde_json::Value;

use model::{address, Family, Policy, OWN};
use packets::{packets, pcap, Packet};

const POLICIES: usize = 30;
const PACKETS: usize = 200;
/// `NFTRACE_SEED` in its place tries others.
const SEED: u64 = 64;

struct Case {
    policy: Policy,
    packets: Vec<Packet>,
}

fn cases(seed: u64) -> Vec<Case> {
    let mut random = Random::new(seed);
    let case = |_| {
        let policy = Policy::of(&mut random);
        let packets = packets(&mut random, &policy, PACKETS);
        Case { policy, packets }
    };
    (0..POLICIES).map(case).collect()
}

fn run(cases: &[Case]) -> Report {
    let own = |family| OWN.map(|number| address(family, number)).join(" ");
    let mut vm = Vm::new("differential")
        .script(
            "tests/lab/differential.sh",
            &[&cases.len().to_string(), &own(Family::V4), &own(Family::V6)],
        )
        .with_command()
        .timeout(Duration::from_secs(900));
    for (number, case) in cases.iter().enumerate() {
        vm = vm
            .file(&format!("{number}.policy"), case.policy.ours().into_bytes())
            .file(&format!("{number}.nft"), case.policy.theirs().into_bytes())
            .file(&format!("{number}.pcap"), pcap(&case.packets));
    }
    vm.run().unwrap_or_else(|failure| panic!("{failure}"))
}

/// The lengths of the packets that came through, those of IPv4 and those of IPv6.
fn came(report: &Report, name: &str) -> [BTreeSet<u64>; 2] {
    assert_eq!(codes(report)[name], 0, "{name}: {}", errors(report, name));
    let listed: Value = serde_json::from_str(&text(report, name)).unwrap();
    let entries = listed["nftables"].as_array().unwrap();
    ["v4", "v6"].map(|name| {
        let mut sets = entries.iter().map(|entry| &entry["set"]);
        let set = sets.find(|set| set["name"] == name).unwrap();
        let elements = set["elem"].as_array().into_iter().flatten();
        let number = |element: &Value| {
            // Those that time out come with their timeout.
            let value = element.get("elem").map_or(element, |elem| &elem["val"]);
            value
                .as_u64()
                .unwrap_or_else(|| panic!("no number: {element}"))
        };
        elements.map(number).collect()
    })
}

#[test]
fn the_same_packets_come_through_nftables_and_through_us() {
    let seed = std::env::var("NFTRACE_SEED").map_or(SEED, |seed| seed.parse().unwrap());
    println!("seed {seed}");
    let cases = cases(seed);
    let report = run(&cases);
    let (mut through, mut stopped, mut differ) = (0, 0, Vec::new());
    for (number, case) in cases.iter().enumerate() {
        let load = format!("load-{number}");
        assert_eq!(codes(&report)[&load], 0, "{}", errors(&report, &load));
        let ours = came(&report, &format!("ours-{number}"));
        let theirs = came(&report, &format!("theirs-{number}"));
        for (index, packet) in case.packets.iter().enumerate() {
            let length = u64::from(Packet::length(packet.family, index));
            let set = usize::from(packet.family == Family::V6);
            let (here, there) = (ours[set].contains(&length), theirs[set].contains(&length));
            through += usize::from(here);
            stopped += usize::from(!here);
            if here != there {
                differ.push((number, index, here));
            }
        }
    }
    println!("{through} packets came through, {stopped} did not");
    if let Some((number, index, here)) = differ.first() {
        let case = &cases[*number];
        let packet = &case.packets[*index];
        panic!(
            "seed {seed}: {} disagreements; the first: policy {number}, packet {index}: came through \
             {}, from {} to {}: {packet:?}\n{}\n{}",
            differ.len(),
            if *here { "us alone" } else { "nftables alone" },
            address(packet.family, packet.src),
            address(packet.family, packet.dst),
            case.policy.ours(),
            case.policy.theirs(),
        );
    }
    // Policies that let everything pass, or nothing, would agree, too.
    let few = POLICIES * PACKETS / 10;
    assert!(through > few && stopped > few, "{through} {stopped}");
}
