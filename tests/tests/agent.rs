// SPDX-License-Identifier: GPL-2.0

//! The agent with a real Docker: rules hold for a container wherever it is.

use std::collections::BTreeMap;
use std::time::Duration;

use nftrace_tests::kept::{codes, errors, objects, text};
use nftrace_tests::vm::{Report, Vm};

#[test]
fn rules_about_a_container_hold_wherever_it_comes_back() {
    let report = Vm::new("agent")
        .script("tests/lab/agent.sh", &[])
        .file(
            "nftrace-agent.service",
            include_bytes!("../../docs/nftrace-agent.service").to_vec(),
        )
        .with_command()
        .size(2, "2G")
        .timeout(Duration::from_secs(900))
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"));
    its_traffic_is_held_while_it_comes_and_goes(&report);
    its_address_did_change(&report);
    the_policy_in_force_is_explained(&report);
    a_wrong_file_changes_nothing(&report);
    what_somebody_else_does_is_left_alone(&report);
    systemd_is_told(&report);
}

fn its_traffic_is_held_while_it_comes_and_goes(report: &Report) {
    let outcomes = report.file("outcomes.txt").unwrap();
    let found: BTreeMap<&str, &str> = outcomes
        .lines()
        .filter_map(|line| line.split_once(' '))
        .collect();
    let expected = BTreeMap::from([
        ("without_agent_to", "passes"),
        ("without_agent_in", "passes"),
        ("at_first_to", "silence"),
        ("at_first_in", "silence"),
        ("other", "passes"),
        ("restarted_to", "silence"),
        ("restarted_in", "silence"),
        ("another", "passes"),
        ("second_network_to", "silence"),
        ("new_namespace", "silence"),
        ("new_namespace_other_port", "passes"),
        ("flushed_to", "passes"),
        ("flushed_in", "passes"),
        ("hung_up_to", "silence"),
        ("hung_up_in", "silence"),
        ("ended_to", "silence"),
        ("ended_in", "silence"),
        ("ended_still_to", "silence"),
        ("ended_still_in", "silence"),
    ]);
    assert_eq!(found, expected);
}

fn pairs(report: &Report, file: &str) -> BTreeMap<String, String> {
    let text = report.file(file).unwrap();
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// Else the test shows nothing.
fn its_address_did_change(report: &Report) {
    let addresses = pairs(report, "addresses.txt");
    assert_ne!(addresses["first"], addresses["second"]);
    let said = report.file("agent.txt").unwrap();
    let now = format!("addresses of container:web: {}", addresses["second"]);
    assert!(said.contains(&now), "{said}");
}

fn the_policy_in_force_is_explained(report: &Report) {
    let blue = objects(report, "explain");
    assert_eq!(blue[0]["verdict"], "drop", "{}", errors(report, "explain"));
    assert_eq!(blue[0]["rule"], 3);
    let web = text(report, "explain-web");
    assert!(web.contains("local_in: drop, by rule 2"), "{web}");
    let other = text(report, "explain-other");
    assert!(
        other.contains("local_in: accept, by the default"),
        "{other}"
    );
}

fn a_wrong_file_changes_nothing(report: &Report) {
    let generations = pairs(report, "generations.txt");
    let (before, after) = generations["wrong"].split_once(' ').unwrap();
    assert_eq!(before, after);
    assert!(text(report, "wrong-file").contains("no 9090"));
    let codes = codes(report);
    for start in ["wrong-start", "no-file"] {
        assert_eq!(codes[start], 1, "{start}");
    }
    assert!(errors(report, "wrong-start").contains("dorp"));
    assert!(errors(report, "no-file").contains("/nonexistent/policy"));
}

fn what_somebody_else_does_is_left_alone(report: &Report) {
    assert_eq!(pairs(report, "generations.txt")["flushed"], "0 0");
    assert_eq!(codes(report)["agent"], 0);
    let history = text(report, "history");
    assert!(history.contains("flush"), "{history}");
}

fn systemd_is_told(report: &Report) {
    let told = report.file("notify.txt").unwrap();
    for part in [
        "READY=1",
        "STATUS=generation 1 in force",
        "RELOADING=1",
        "STOPPING=1",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}
