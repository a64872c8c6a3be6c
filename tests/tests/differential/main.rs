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
use nftrace_tests::setting::setting;
use nftrace_tests::vm::{Report, Vm};
use serde_json::Value;

use model::{address, Family, Policy, OWN};
use packets::{packets, pcap, Packet};

const POLICIES: usize = 30;
/// What the router gets, and what it sends itself.
const PACKETS: usize = 200;
const SENT: usize = 100;
/// `NFTRACE_SEED` in its place tries others.
const SEED: u64 = 64;

struct Case {
    policy: Policy,
    packets: Vec<Packet>,
    sent: Vec<Packet>,
}

fn cases(seed: u64) -> Vec<Case> {
    let mut random = Random::new(seed);
    let case = |_| {
        let policy = Policy::of(&mut random);
        let packets = packets(&mut random, &policy, PACKETS);
        let sent = crate::packets::packets(&mut random, &policy, SENT);
        Case {
            policy,
            packets,
            sent,
        }
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
            .file(&format!("{number}.pcap"), pcap(&case.packets))
            .file(&format!("{number}.sent.pcap"), pcap(&case.sent));
    }
    vm.run().unwrap_or_else(|failure| panic!("{failure}"))
}

/// The lengths of the packets that came through, as they are in the sets of these names:
/// those of IPv4 and those of IPv6.
fn came(report: &Report, name: &str, sets: [&str; 2]) -> [BTreeSet<u64>; 2] {
    assert_eq!(codes(report)[name], 0, "{name}: {}", errors(report, name));
    let listed: Value = serde_json::from_str(&text(report, name)).unwrap();
    let entries = listed["nftables"].as_array().unwrap();
    sets.map(|name| {
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

/// What came of packets that were sent to both.
#[derive(Default)]
struct Compared<'a> {
    through: usize,
    stopped: usize,
    /// The policy, the packet and its number, and whether we let it through.
    differ: Vec<(usize, &'a Packet, usize, bool)>,
}

fn compared<'a>(
    cases: &'a [Case],
    report: &Report,
    packets: impl Fn(&Case) -> &[Packet],
    sets: [&str; 2],
) -> Compared<'a> {
    let mut compared = Compared::default();
    for (number, case) in cases.iter().enumerate() {
        let load = format!("load-{number}");
        assert_eq!(codes(report)[&load], 0, "{}", errors(report, &load));
        let ours = came(report, &format!("ours-{number}"), sets);
        let theirs = came(report, &format!("theirs-{number}"), sets);
        for (index, packet) in packets(case).iter().enumerate() {
            let length = u64::from(Packet::length(packet.family, index));
            let set = usize::from(packet.family == Family::V6);
            let (here, there) = (ours[set].contains(&length), theirs[set].contains(&length));
            compared.through += usize::from(here);
            compared.stopped += usize::from(!here);
            if here != there {
                compared.differ.push((number, packet, index, here));
            }
        }
    }
    compared
}

#[test]
fn the_same_packets_come_through_nftables_and_through_us() {
    let seed = setting("NFTRACE_SEED", SEED);
    println!("seed {seed}");
    let cases = cases(seed);
    let report = run(&cases);
    let of_others = compared(&cases, &report, |case| &case.packets, ["v4", "v6"]);
    let own = compared(&cases, &report, |case| &case.sent, ["sent4", "sent6"]);
    let differ = [&of_others.differ[..], &own.differ[..]].concat();
    if let Some((number, packet, index, here)) = differ.first() {
        let case = &cases[*number];
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
    for (compared, count) in [(of_others, PACKETS), (own, SENT)] {
        let (through, stopped) = (compared.through, compared.stopped);
        println!("{through} packets came through, {stopped} did not");
        let few = POLICIES * count / 10;
        assert!(through > few && stopped > few, "{through} {stopped}");
    }
}
