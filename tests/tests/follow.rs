// SPDX-License-Identifier: GPL-2.0

//! What a filter catches of a connection that NAT rewrites, and the ends of hooks.

use std::sync::OnceLock;
use std::time::Duration;

use nftrace_tests::command;
use nftrace_tests::vm::{Report, Vm};
use serde_json::Value;

/// One run for all tests.
fn report() -> &'static Report {
    static REPORT: OnceLock<Report> = OnceLock::new();
    REPORT.get_or_init(|| {
        let binary = command::binary().unwrap();
        Vm::new("follow")
            .script("tests/lab/follow.sh", &[])
            .file("nftrace", std::fs::read(binary).unwrap())
            .timeout(Duration::from_secs(900))
            .run()
            .unwrap_or_else(|failure| panic!("{failure}"))
    })
}

/// The journeys that came of a filter.
fn journeys(name: &str) -> Vec<Value> {
    let text = report().file(&format!("{name}.json")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|value: &Value| value.get("journey").is_some())
        .collect()
}

/// The hooks of a journey, each as `namespace HOOK`, the ends of hooks as `namespace HOOK/exit`.
fn hooks(journey: &Value) -> Vec<String> {
    let records = journey["records"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let hook = |record: &Value| {
        let end = if record["at"] == "exit" { "/exit" } else { "" };
        format!("{} {}{end}", text(&record["name"]), text(&record["hook"]))
    };
    records.iter().map(hook).collect()
}

fn is_request(journey: &Value) -> bool {
    journey["records"][0]["src"]
        .as_str()
        .is_some_and(|src| src.starts_with("10.10.10.3:"))
}

const REQUEST: [&str; 7] = [
    "outside LOCAL_OUT",
    "outside POST_ROUTING",
    "host PRE_ROUTING",
    "host FORWARD",
    "host POST_ROUTING",
    "ctr PRE_ROUTING",
    "ctr LOCAL_IN",
];

const REPLY: [&str; 7] = [
    "ctr LOCAL_OUT",
    "ctr POST_ROUTING",
    "host PRE_ROUTING",
    "host FORWARD",
    "host POST_ROUTING",
    "outside PRE_ROUTING",
    "outside LOCAL_IN",
];

/// Every packet of the connection was seen everywhere.
fn assert_whole(journeys: &[Value]) {
    assert!(journeys.len() >= 8, "{} journeys", journeys.len());
    for journey in journeys {
        let expected = if is_request(journey) { REQUEST } else { REPLY };
        assert_eq!(hooks(journey), expected);
        assert_eq!(journey["end"], "delivered");
    }
}

#[test]
fn a_connection_that_is_asked_for_by_its_published_port_is_followed_behind_the_nat() {
    assert_whole(&journeys("published"));
}

#[test]
fn a_connection_that_is_asked_for_by_its_address_before_the_nat_is_followed_behind_it() {
    assert_whole(&journeys("address"));
}

#[test]
fn a_connection_that_is_asked_for_by_its_port_behind_the_nat_lacks_only_what_came_before() {
    let journeys = journeys("inner");
    let (first, rest) = journeys.split_first().unwrap();
    // Nobody can know yet where the first packet will go.
    assert_eq!(hooks(first), REQUEST[3..]);
    assert_whole(rest);
}

#[test]
fn an_expression_about_packets_catches_these_everywhere_and_not_their_connection() {
    let journeys = journeys("syn");
    assert_eq!(journeys.len(), 1);
    assert_eq!(hooks(&journeys[0]), REQUEST);
}

#[test]
fn a_condition_on_namespaces_or_devices_says_where_it_starts() {
    let inside = journeys("namespace");
    assert!(inside.len() >= 8);
    for journey in &inside {
        let hooks = hooks(journey);
        let expected: &[&str] = if is_request(journey) {
            &REQUEST[5..]
        } else {
            &REPLY
        };
        assert!(
            hooks == expected || hooks == REQUEST,
            "{hooks:?}: in the namespace, and what follows from it"
        );
    }
    let at_device = journeys("device");
    assert_eq!(hooks(&at_device[0]), REQUEST[2..]);
}

#[test]
fn what_is_not_asked_for_is_not_traced() {
    assert_eq!(journeys("other"), Vec::<Value>::new());
}

#[test]
fn the_ends_of_hooks_show_what_each_hook_made_of_the_packet() {
    let journeys = journeys("ends");
    assert!(journeys.len() >= 8);
    for journey in &journeys {
        let expected = if is_request(journey) { REQUEST } else { REPLY };
        let both: Vec<_> = expected
            .iter()
            .flat_map(|hook| [(*hook).to_owned(), format!("{hook}/exit")])
            .collect();
        assert_eq!(hooks(journey), both);
    }
    let records = journeys[0]["records"].as_array().unwrap();
    let destinations: Vec<_> = records[4..6].iter().map(|r| r["dst"].clone()).collect();
    assert_eq!(destinations, ["10.10.10.2:8081", "172.17.0.2:8080"]);
}

#[test]
fn a_packet_that_dies_in_a_hook_does_not_leave_it_and_the_kernel_says_why() {
    let journeys = journeys("died");
    let first = &journeys[0];
    assert_eq!(first["end"], "dropped");
    assert_eq!(first["drop"]["reason"], "NETFILTER_DROP");
    assert_eq!(first["drop"]["hook"], "FORWARD");
    let hooks = hooks(first);
    let forward = hooks.iter().filter(|hook| hook.ends_with(" FORWARD/exit"));
    assert_eq!(forward.count(), 0, "{hooks:?}");
}
