// SPDX-License-Identifier: GPL-2.0

//! Every namespace has our hooks: those from before the module and those from
//! after it, until they end or it does.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use nftrace_core::record::{v1, Kind, Record};
use nftrace_tests::hooks;
use nftrace_tests::vm::{Report, Vm};

/// How many namespaces are made while the module is loaded.
const COUNT: usize = 200;

/// How many of them the host sends to when they end (in the script, too).
const LINKED: usize = 40;

/// A datagram to a port of the same namespace where nobody listens, and the error about it.
fn way(family: &str, error: &str) -> Vec<String> {
    let hooks = ["LOCAL_OUT", "POST_ROUTING", "PRE_ROUTING", "LOCAL_IN"];
    ["udp", error]
        .iter()
        .flat_map(|protocol| hooks.map(|hook| format!("{family} {protocol} {hook}")))
        .collect()
}

fn both_families() -> Vec<String> {
    [way("ipv4", "icmp"), way("ipv6", "icmpv6")].concat()
}

fn step(record: &Record) -> String {
    let packet = record.packet();
    let family = record.family().map_or("-", |family| family.name());
    let protocol = packet.protocol.name().unwrap_or("-");
    let hook = record.hook().map_or("-", |hook| hook.name());
    format!("{family} {protocol} {hook}")
}

/// The records between a mark and the next; without a mark, from the start.
fn records_after(report: &Report, mark: Option<&str>) -> Vec<Record> {
    let mut inside = mark.is_none();
    let mut records = Vec::new();
    for message in report.messages() {
        if let Some(text) = message.strip_prefix("lab: ") {
            inside = Some(text) == mark;
        } else if inside {
            // Where packets end is none of our business here.
            records.extend(v1::parse(message).filter(|record| record.kind() == Kind::Entry));
        }
    }
    records
}

/// The steps in one namespace, in order.
fn steps(records: &[Record], inode: u32) -> Vec<String> {
    let here = records.iter().filter(|record| record.inode == inode);
    here.map(step).collect()
}

#[test]
fn two_hundred_namespaces_are_covered_until_they_are_destroyed_under_traffic() {
    let report = Vm::new("namespaces")
        .script("tests/lab/namespaces.sh", &[&COUNT.to_string()])
        .timeout(Duration::from_secs(900))
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"));

    // The host and three that were there before.
    let first = report
        .messages()
        .find(|message| message.contains(" loaded: "))
        .expect("a first line");
    assert!(first.ends_with(" namespaces=4"), "{first}");
    assert!(first.contains(" families=ipv4,ipv6,bridge "), "{first}");

    let visited = report.file("visited.txt").unwrap();
    let inodes: HashMap<&str, u32> = visited
        .lines()
        .map(|line| {
            let (role, inode) = line.split_once(' ').expect("two words");
            (role, inode.parse().expect("a number"))
        })
        .collect();
    assert_eq!(inodes.len(), COUNT + 4);
    assert!(
        first.contains(&format!(" init_net={} ", inodes["host"])),
        "{first}"
    );

    let records = records_after(&report, None);
    let mut cookies = HashSet::new();
    for (role, &inode) in &inodes {
        assert_eq!(steps(&records, inode), both_families(), "in {role}");
        let here = records.iter().filter(|record| record.inode == inode);
        let here: HashSet<u64> = here.map(|record| record.cookie).collect();
        assert_eq!(here.len(), 1, "in {role}");
        cookies.extend(here);
    }
    assert_eq!(records.len(), 16 * inodes.len());
    assert_eq!(cookies.len(), inodes.len());

    let before = report.file("before.txt").unwrap();
    let before: BTreeSet<String> = before.lines().map(str::to_owned).collect();
    let all = hooks::all(inodes.keys().copied(), &["ip", "ip6", "bridge"]);
    let missing: Vec<_> = all.symmetric_difference(&before).collect();
    assert!(missing.is_empty(), "not as it must be: {missing:?}");

    // Each had traffic when its end came, and the host went on sending.
    let records = records_after(&report, Some("traffic"));
    for number in 1..=LINKED + 8 {
        let inode = inodes[format!("n{number}").as_str()];
        assert!(
            steps(&records, inode).contains(&"ipv4 udp PRE_ROUTING".to_owned()),
            "no traffic in n{number}"
        );
    }
    let sent: u64 = report.file("sent.txt").unwrap().trim().parse().unwrap();
    assert!(sent > 0, "no traffic while namespaces were destroyed");

    let records = records_after(&report, Some("survivors"));
    for role in ["early1", "early2", "early3", "n199", "n200"] {
        assert_eq!(steps(&records, inodes[role]), both_families(), "in {role}");
    }
    assert_eq!(report.file("after.txt").unwrap(), "");
}
