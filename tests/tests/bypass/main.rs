// SPDX-License-Identifier: GPL-2.0

//! Ways past a policy, tried on a real kernel with real traffic: docs/security.md says
//! what becomes of each.

mod frames;
mod program;
mod ways;
mod wire;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use nftrace_tests::kept::{objects, text};
use nftrace_tests::vm::{Report, Vm};
use pcap_file::pcap::{PcapPacket, PcapWriter};
use serde_json::Value;

use frames::{Case, Fate, CASES};
use ways::{Attempt, ATTEMPTS, BLIND, LATE, ON_A_BRIDGE, SEGMENTS};
use wire::{Way, BRIDGED, ROUTED};

/// The port of the first case; each has four.
const FIRST: u16 = 10_000;

/// Packets that are alike but for their port.
struct Twin {
    case: &'static Case,
    way: &'static Way,
    fate: Fate,
    port: u16,
    /// Whether a rule drops them.
    is_dropped: bool,
}

impl Twin {
    fn packets(&self) -> Vec<Vec<u8>> {
        let packets = (self.case.make)(self.way, self.port);
        let frame = |packet: Vec<u8>| wire::frame(self.way, self.case.tags, &packet);
        packets.into_iter().map(frame).collect()
    }

    fn rule(&self) -> String {
        let verdict = if self.is_dropped { "drop" } else { "accept" };
        format!(
            "{verdict} to any port {} at forward, bridge forward",
            self.port
        )
    }

    /// A rule stops what it decides about, and nothing else.
    fn arrives(&self) -> bool {
        self.fate.arrives && !(self.is_dropped && self.fate.counted > 0)
    }
}

fn twins() -> Vec<Twin> {
    let mut all = Vec::new();
    for (case, number) in CASES.iter().zip(0_u16..) {
        for (kind, is_dropped) in [(0, false), (1, true)] {
            let twin = |way, fate, kind| Twin {
                case,
                way,
                fate,
                port: FIRST + 4 * number + kind,
                is_dropped,
            };
            if let Some(fate) = case.routed {
                all.push(twin(&ROUTED, fate, kind));
            }
            all.push(twin(&BRIDGED, case.bridged, kind + 2));
        }
    }
    all
}

fn pcap<'a>(twins: impl Iterator<Item = &'a Twin>) -> Vec<u8> {
    let mut writer = PcapWriter::new(Vec::new()).unwrap();
    for frame in twins.flat_map(Twin::packets) {
        let len = u32::try_from(frame.len()).unwrap();
        writer
            .write_packet(&PcapPacket::new(Duration::ZERO, len, &frame))
            .unwrap();
    }
    writer.into_writer()
}

/// The ports at which something arrived as it was sent.
fn arrived(report: &Report) -> BTreeSet<u16> {
    let mut ports = BTreeSet::new();
    for line in text(report, "arrivals").lines() {
        let port = line.split(' ').next().unwrap().parse().unwrap();
        assert_eq!(line, frames::line(port));
        assert!(ports.insert(port), "{port}: twice");
    }
    // Segments of TCP, of which nobody reads the payload.
    let tables = &objects(report, "tcp")[0];
    let sets = tables["nftables"].as_array().unwrap();
    let elements = sets.iter().find_map(|one| one["set"]["elem"].as_array());
    for element in elements.expect("some TCP arrives") {
        ports.insert(u16::try_from(element.as_u64().unwrap()).unwrap());
    }
    ports
}

fn packets(counters: &Value, default: &str) -> u64 {
    let defaults = counters["defaults"].as_array().unwrap();
    let mut found = defaults.iter().filter(|one| one["of"] == default);
    found
        .next()
        .map_or(0, |one| one["packets"].as_u64().unwrap())
}

#[test]
fn packets_made_by_hand_are_decided_about_as_docs_security_says() {
    let twins = twins();
    let mut policy = String::new();
    for twin in &twins {
        writeln!(policy, "{}", twin.rule()).unwrap();
    }
    let of_way = |next| twins.iter().filter(move |twin| twin.way.next == next);
    let last = FIRST + 4 * u16::try_from(CASES.len()).unwrap();
    let report = Vm::new("bypass frames")
        .script(
            "tests/lab/bypass-frames.sh",
            &[&FIRST.to_string(), &last.to_string()],
        )
        .file("routed.pcap", pcap(of_way(ROUTED.next)))
        .file("bridged.pcap", pcap(of_way(BRIDGED.next)))
        .file("frames.policy", policy.into_bytes())
        .file("arrivals", program(env!("CARGO_BIN_EXE_arrivals")))
        .with_command()
        .size(1, "1G")
        .timeout(Duration::from_secs(900))
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"));

    let counters = &objects(&report, "counters")[0];
    let arrived = arrived(&report);
    let pppoe = text(&report, "pppoe");
    let mut wrong = Vec::new();
    for (twin, rule) in twins.iter().zip(counters["rules"].as_array().unwrap()) {
        assert_eq!(rule["text"], twin.rule());
        let counted = rule["packets"].as_u64().unwrap();
        // Nobody here ends a session of PPPoE; that its frames come is counted below.
        let is_pppoe = twin.case.tags.starts_with(&wire::PPPOE);
        let arrives = arrived.contains(&twin.port) || is_pppoe;
        if (counted, arrives) != (twin.fate.counted, twin.arrives()) {
            let way = if twin.way.next == ROUTED.next {
                "routed"
            } else {
                "bridged"
            };
            wrong.push(format!(
                "{way}, {}: counted {counted}, {}; {:?} is expected of '{}'",
                twin.case.name,
                if arrives { "arrived" } else { "did not arrive" },
                twin.fate,
                twin.rule(),
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(pppoe.contains("packets 2 "), "{pppoe}");
    let sum = |of: fn(&Fate) -> u64| twins.iter().map(|twin| of(&twin.fate)).sum::<u64>();
    assert_eq!(
        packets(counters, "default malformed drop"),
        sum(|fate| fate.malformed)
    );
    assert_eq!(
        packets(counters, "default fragments accept"),
        sum(|fate| fate.fragments)
    );
}

fn program(path: &str) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

/// The port of each attempt.
fn port(name: &str) -> u16 {
    let attempts = ATTEMPTS.iter().chain(ON_A_BRIDGE).chain(BLIND);
    let names = attempts.map(|attempt| attempt.name);
    let names = names.chain(SEGMENTS.iter().map(|(name, _)| *name));
    let at = names.zip(9000..).find(|(other, _)| *other == name);
    at.expect("it has one").1
}

/// The file in which the scripts find them.
fn ports(names: impl Iterator<Item = &'static str>) -> Vec<u8> {
    let lines = names.map(|name| format!("{name} {}\n", port(name)));
    lines.collect::<String>().into_bytes()
}

fn rule(name: &str, rule: &str) -> String {
    rule.replace("PORT", &port(name).to_string())
        .replace("OLD", &(port(name) + 1000).to_string())
}

/// What is not as it should be of these attempts.
fn wrong(report: &Report, attempts: &[Attempt], counters: &Value) -> Vec<String> {
    let roles = ["ctr", "outside", "mac"];
    let arrivals = roles.map(|role| report.file(&format!("arrivals-{role}.txt")));
    let rules = counters["rules"].as_array().unwrap();
    let mut wrong = Vec::new();
    for attempt in attempts {
        let text = rule(attempt.name, attempt.rule);
        let rule = rules.iter().find(|rule| rule["text"] == text);
        let counted = rule.unwrap_or_else(|| panic!("no '{text}'"))["packets"]
            .as_u64()
            .unwrap();
        let line = format!("{} {}", port(attempt.name), attempt.name);
        let times = arrivals.iter().flatten().flat_map(|text| text.lines());
        let times = times.filter(|other| *other == line).count();
        let arrived = attempt.arrives.map(usize::from).unwrap_or_default();
        if (counted, times) != (attempt.counted, arrived) {
            wrong.push(format!(
                "{}: '{text}' counted {counted}, not {}; it arrived {times} times, not {arrived}",
                attempt.name, attempt.counted
            ));
        }
    }
    wrong
}

#[test]
fn ways_around_a_hook_lead_where_docs_security_says() {
    let mut policy = "default drop in new\n".to_owned();
    let rules = ATTEMPTS.iter().map(|attempt| (attempt.name, attempt.rule));
    for (name, text) in rules.chain(SEGMENTS) {
        writeln!(policy, "{}", rule(name, text)).unwrap();
    }
    let mut macvlan = String::new();
    for attempt in ON_A_BRIDGE {
        writeln!(macvlan, "{}", rule(attempt.name, attempt.rule)).unwrap();
    }
    let names = ATTEMPTS.iter().chain(ON_A_BRIDGE).map(|one| one.name);
    let names = names.chain(SEGMENTS.map(|(name, _)| name));
    let report = Vm::new("bypass ways")
        .script("tests/lab/bypass-ways.sh", &["9000", "9060"])
        .file("ways.policy", policy.into_bytes())
        .file("macvlan.policy", macvlan.into_bytes())
        .file("ports", ports(names))
        .file("arrivals", program(env!("CARGO_BIN_EXE_arrivals")))
        .file("knock", program(env!("CARGO_BIN_EXE_knock")))
        .with_command()
        .size(1, "1G")
        .timeout(Duration::from_secs(900))
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"));

    let counters = &objects(&report, "counters")[0];
    let mut wrong_ones = wrong(&report, ATTEMPTS, counters);
    wrong_ones.extend(wrong(&report, ON_A_BRIDGE, &objects(&report, "macvlan")[0]));
    assert!(wrong_ones.is_empty(), "{}", wrong_ones.join("\n"));
    assert_eq!(text(&report, "tproxied"), "tproxy_accepted");
    let outcomes = text(&report, "outcomes");
    let outcomes: BTreeSet<&str> = outcomes.lines().collect();
    let expected = [
        // A packet socket also hears what a hook is about to drop.
        "captured seen",
        "error_from_10.10.10.3 refused",
        "error_from_10.10.10.4 silence",
        "newborn_accepted sent",
        "newborn_dropped refused",
        "segments_accepted 2000000",
        "segments_dropped silence",
    ];
    assert_eq!(outcomes, BTreeSet::from(expected));
    segments_are_counted_as_they_are(counters);
}

/// What devices split and join is one packet for the policy, and its bytes are all there.
fn segments_are_counted_as_they_are(counters: &Value) {
    let rules = counters["rules"].as_array().unwrap();
    let text = rule(SEGMENTS[0].0, SEGMENTS[0].1);
    let rule = rules.iter().find(|rule| rule["text"] == text).unwrap();
    let (packets, bytes) = (rule["packets"].as_u64(), rule["bytes"].as_u64());
    let (packets, bytes) = (packets.unwrap(), bytes.unwrap());
    assert!(bytes > 2_000_000, "{rule}");
    assert!(bytes / packets > 1500, "nothing was joined: {rule}");
}

#[test]
fn ways_past_the_hooks_are_what_docs_security_says_and_the_doctor_shows_them() {
    let mut policy = String::new();
    for attempt in BLIND {
        writeln!(policy, "{}", rule(attempt.name, attempt.rule)).unwrap();
    }
    writeln!(policy, "{LATE}").unwrap();
    let report = Vm::new("bypass blind")
        .script("tests/lab/bypass-blind.sh", &["9000", "9060"])
        .file("blind.policy", policy.into_bytes())
        .file("ports", ports(BLIND.iter().map(|attempt| attempt.name)))
        .file("redirect.o", program::redirect(77))
        .file("arrivals", program(env!("CARGO_BIN_EXE_arrivals")))
        .with_command()
        .size(1, "1G")
        .timeout(Duration::from_secs(900))
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"));

    let wrong = wrong(&report, BLIND, &objects(&report, "counters")[0]);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The flow table had the third one, and no rule was asked.
    assert_eq!(text(&report, "flow"), "first\nsecond\nthird\n");
    let counters = &objects(&report, "flow-counters")[0];
    let rules = counters["rules"].as_array().unwrap();
    let late = rules.iter().find(|rule| rule["text"] == LATE).unwrap();
    assert_eq!(late["packets"], 0, "{late}");

    let subjects = ["xdp", "tc", "flowtable", "packet-sockets"];
    let found = |name: &str, subject: &str| {
        let lines = objects(&report, name);
        let mut found = lines.iter().filter(|line| line["subject"] == subject);
        found.next().map(|line| line["found"].to_string())
    };
    for subject in subjects {
        assert_eq!(found("healthy", subject), None);
    }
    let places = [
        " on ens160",
        "tc filter matchall at ens160 ingress",
        "ens160 ingress, veth0 ingress",
        "a packet socket is open",
    ];
    for (subject, place) in subjects.into_iter().zip(places) {
        let found = found("doctor", subject).unwrap_or_else(|| panic!("no {subject}"));
        assert!(found.contains(place), "{subject}: {found}");
    }
}
