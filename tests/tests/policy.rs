// SPDX-License-Identifier: GPL-2.0

//! Policies on a real kernel: who gets through.

use std::collections::BTreeMap;
use std::time::Duration;

use nftrace_tests::kept::{codes, errors, objects, text};
use nftrace_tests::vm::{Report, Vm};
use serde_json::Value;

fn run(script: &str) -> Report {
    let queue = std::fs::read(env!("CARGO_BIN_EXE_queue")).unwrap();
    Vm::new(script)
        .script(&format!("tests/lab/{script}.sh"), &[])
        .file("queue", queue)
        .with_command()
        .timeout(Duration::from_secs(900))
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"))
}

fn outcomes(report: &Report) -> BTreeMap<String, String> {
    let text = report.file("outcomes.txt").unwrap();
    let parse = |line: &str| {
        let (case, outcome) = line.split_once(' ').expect("two words");
        (case.to_owned(), outcome.to_owned())
    };
    text.lines().map(parse).collect()
}

/// Compares all outcomes at once, so that one failure shows all.
fn assert_outcomes(report: &Report, expected: &[(&str, &str)]) {
    let owned = |(case, outcome): &(&str, &str)| ((*case).to_owned(), (*outcome).to_owned());
    let expected: BTreeMap<String, String> = expected.iter().map(owned).collect();
    assert_eq!(outcomes(report), expected);
}

#[test]
fn a_published_port_is_stopped_at_every_hook_on_its_way() {
    let report = run("policy");
    assert_outcomes(
        &report,
        &[
            ("without_policy", "passes"),
            ("drop_at_forward", "silence"),
            ("drop_at_post_routing", "silence"),
            ("drop_at_pre_routing", "silence"),
            ("reject_at_pre_routing", "refused"),
            ("reject_at_forward", "refused"),
            ("reject_at_local_in", "refused"),
            ("unreachable_at_forward", "refused"),
            ("reject_at_local_out", "refused"),
            ("drop_elsewhere", "passes"),
            ("drop_in_the_wrong_namespace", "passes"),
            ("first_match_accepts", "passes"),
            ("second_match_drops", "silence"),
            ("shadow", "passes"),
            ("established", "passes"),
            ("no_established", "silence"),
            ("original_destination", "silence"),
            ("other_original_destination", "passes"),
            ("flushed", "passes"),
        ],
    );
}

#[test]
fn what_others_cannot_protect_is_protected() {
    let report = run("protection");
    assert_outcomes(
        &report,
        &[
            // S2: two containers on one bridge.
            ("pair_without_policy", "passes"),
            ("pair_in_the_container", "silence"),
            ("pair_at_the_bridge", "silence"),
            ("pair_other_way", "passes"),
            ("pair_at_forward_without_br_netfilter", "passes"),
            ("pair_at_forward_with_br_netfilter", "silence"),
            ("pair_at_the_bridge_with_br_netfilter", "silence"),
            // A new rule holds for connections that are established.
            ("established_before", "passes"),
            ("established_dropped_at_the_bridge", "silence"),
            ("established_flushed", "passes"),
            ("established_answers_dropped", "silence"),
            ("established_flushed_again", "passes"),
            // Who flushes rules, on the host or in the container, changes nothing.
            ("flushed_rulesets", "silence"),
            ("the_container_has_no_device", "failed"),
            ("after_the_container_tried", "silence"),
            // S9: one process and its neighbour.
            ("classid_neighbour", "passes"),
            ("classid_itself", "refused"),
            ("cgroup_neighbour", "passes"),
            ("cgroup_below", "refused"),
            ("cgroup_of_a_listener", "silence"),
            ("cgroup_of_another_listener", "passes"),
            ("uid_of_another", "passes"),
            ("uid_itself", "failed"),
            // S17: a program decides, and what happens without it.
            ("queue_without_listener_else_accept", "passes"),
            ("queue_without_listener_else_drop", "silence"),
            ("queue_accepted", "passes"),
            ("queue_dropped", "silence"),
            // S1: published ports pass by the host's own firewall.
            ("input_chain_of_the_host", "passes"),
            ("policy_beside_the_input_chain", "silence"),
        ],
    );
    for consumer in ["queue-accept.txt", "queue-drop.txt"] {
        let lines = report.file(consumer).unwrap();
        assert!(
            lines.contains(" bytes"),
            "{consumer} held no packet: {lines}"
        );
    }
}

#[test]
fn docker_starts_anew_and_the_policy_still_holds() {
    let report = run("docker-policy");
    assert_outcomes(
        &report,
        &[
            ("docker_without_policy", "passes"),
            ("docker_neighbour_without_policy", "ok"),
            ("docker_container_by_name", "silence"),
            ("docker_neighbour_at_the_bridge", "failed"),
            ("docker_published_beside_the_bridge", "passes"),
            ("docker_published_port", "silence"),
            ("docker_restarted", "silence"),
            ("docker_rules_flushed", "silence"),
            ("docker_policy_flushed", "passes"),
        ],
    );
}

/// What was counted of the rule that has this text.
fn packets(report: &Report, name: &str, text: &str) -> u64 {
    let shown = &objects(report, name)[0];
    let rules = shown["rules"].as_array().unwrap();
    let mut found = rules.iter().filter(|rule| rule["text"] == text);
    let rule = found
        .next()
        .unwrap_or_else(|| panic!("{name}: no '{text}': {shown}"));
    rule["packets"].as_u64().unwrap()
}

#[test]
fn policies_come_and_go_safely() {
    let report = run("safety");
    assert_outcomes(&report, &SAFETY);
    trials_are_told(&report);
    what_is_restored_is_what_held(&report);
    own_connections_are_kept(&report);
    bad_policies_change_nothing(&report);
    counters_follow_their_rules(&report);
    the_log_has_what_rules_say(&report);
    a_journey_names_the_rule_that_ended_it(&report);
    the_module_says_that_protection_ends(&report);
}

const SAFETY: [(&str, &str); 37] = [
    ("rollback_of_nothing", "failed"),
    ("confirm_of_nothing", "failed"),
    ("before", "passes"),
    ("trial_in_force", "silence"),
    ("trial_over", "passes"),
    ("trial_of_the_dead", "silence"),
    ("trial_of_the_dead_over", "passes"),
    ("confirm", "ok"),
    ("confirmed", "silence"),
    ("rollback", "ok"),
    ("rolled_back", "passes"),
    ("rollback_to_none", "ok"),
    ("rollback_to_4", "ok"),
    ("rolled_back_to_4", "silence"),
    ("rollback_behind_refusal", "ok"),
    ("panic_accept", "ok"),
    ("panic_accept_passes", "passes"),
    ("panic_drop", "ok"),
    ("panic_drop_stops", "silence"),
    ("panic_drop_lo", "ok"),
    ("panic_off", "ok"),
    ("panic_off_policy_again", "silence"),
    ("alive", "passes"),
    ("cut", "silence"),
    ("counted", "passes"),
    ("logged", "silence"),
    ("shadow_logged", "passes"),
    ("new_drop", "failed"),
    ("new_drop_old", "ok"),
    ("new_drop_known", "ok"),
    ("until_known", "ok"),
    ("until_known_old", "failed"),
    ("until_known_known", "failed"),
    ("conntrack_without_help", "failed"),
    ("conntrack_in_a_new_namespace", "failed"),
    ("unloaded", "passes"),
    ("closed_still_in_force", "silence"),
];

fn trials_are_told(report: &Report) {
    let codes = codes(report);
    assert_eq!(codes["try"], 0);
    let said = text(report, "try");
    assert!(
        said.contains("generation 2 is in force for 12 s")
            && said.contains("generation 1 is restored"),
        "{said}"
    );
    assert_eq!(codes["load_while_on_trial"], 1);
    let said = errors(report, "load_while_on_trial");
    assert!(
        said.contains("'nftrace confirm' or 'nftrace rollback'"),
        "{said}"
    );
    assert_eq!(codes["rollback_to_unknown"], 1);
    let said = errors(report, "rollback_to_unknown");
    assert!(said.contains("generation 77 is not there"), "{said}");
    let history = text(report, "history");
    let events: Vec<&str> = history
        .lines()
        .filter(|line| !line.starts_with(' '))
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    assert_eq!(
        events,
        [
            "load", "try", "expire", "try", "expire", "try", "confirm", "rollback", "rollback",
            "rollback"
        ],
        "{history}"
    );
    assert!(history.contains("by the module's timer"), "{history}");
    assert!(
        history.contains("    - accept tcp to any port 8080 at local_in in host\n")
            && history.contains("    + drop tcp to any port 8080 at local_in in host\n"),
        "{history}"
    );
}

fn what_is_restored_is_what_held(report: &Report) {
    let before = text(report, "in_front_of_trials");
    assert_eq!(text(report, "behind_trials"), before);
    assert_eq!(text(report, "behind_flushes"), before);
    assert_eq!(codes(report)["refused_meanwhile"], 1);
}

fn own_connections_are_kept(report: &Report) {
    let codes = codes(report);
    for name in [
        "own_connection",
        "own_connection_sudo",
        "own_connection_device",
        "own_connection_default",
    ] {
        let said = errors(report, name);
        assert_eq!(codes[name], 1, "{name}: {said}");
        assert!(
            said.contains("would cut the SSH connection")
                && said.contains("tcp 10.10.10.3:4000 > 10.10.10.2:22")
                && said.contains("LOCAL_IN")
                && said.contains("The policy in force stays"),
            "{name}: {said}"
        );
    }
    assert!(errors(report, "own_connection_default").contains("by the default"));
    for name in [
        "own_connection_other_device",
        "own_connection_allowed",
        "own_connection_forced",
    ] {
        assert_eq!(codes[name], 0, "{name}: {}", errors(report, name));
    }
    let said = errors(report, "live_connections");
    assert_eq!(codes["live_connections"], 0, "{said}");
    assert!(
        said.contains("this cuts") && said.contains("> 10.10.10.2:7000"),
        "{said}"
    );
}

fn bad_policies_change_nothing(report: &Report) {
    let codes = codes(report);
    for (name, reason) in [
        ("bad_syntax", "drop"),
        ("bad_file", "there-is-none"),
        ("bad_container", "nobody"),
        ("bad_bridge", "insmod nftrace.ko bridge=1"),
        ("powerless", "CAP_NET_ADMIN"),
    ] {
        let said = errors(report, name);
        assert_eq!(codes[name], 1, "{name}: {said}");
        assert!(said.contains(reason), "{name}: {said}");
    }
    assert_eq!(objects(report, "after_refusals")[0]["generation"], 0);
    assert!(text(report, "show_nothing").contains("no policy is in force"));
}

fn counters_follow_their_rules(report: &Report) {
    const WEB: &str = "accept tcp to any port 8080 at local_in in host";
    let before = packets(report, "counters_before", WEB);
    assert!(
        before >= 4,
        "a connection has at least so many packets: {before}"
    );
    assert_eq!(
        packets(
            report,
            "counters_before",
            "accept udp to any port 1 at local_in"
        ),
        0
    );
    // Nothing came in between.
    assert_eq!(packets(report, "counters_moved", WEB), before);
    let moved = &objects(report, "counters_moved")[0];
    let inside = &moved["rules"][1]["namespaces"];
    assert_eq!(inside[0]["name"], "host", "{moved}");
    assert_eq!(inside[0]["packets"].as_u64(), Some(before), "{moved}");
    let changed = &objects(report, "counters_changed")[0];
    assert_eq!(
        changed["rules"][0]["packets"], 0,
        "another rule begins at 0: {changed}"
    );
    let limited = &objects(report, "counters_limit")[0];
    let of = |rule: usize| limited["rules"][rule]["packets"].as_u64();
    assert_eq!((of(0), of(1)), (Some(3), Some(3)), "{limited}");
}

fn the_log_has_what_rules_say(report: &Report) {
    let logged = text(report, "logged");
    let line = logged.lines().next().expect("a line");
    for part in [
        "hook=LOCAL_IN",
        "dst=10.10.10.2:8080",
        "verdict=drop rule=1",
        "generation=",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let shadow = text(report, "shadow");
    let line = shadow.lines().next().expect("a line");
    assert!(
        line.contains("verdict=accept rule=- ") && line.ends_with("shadow=1"),
        "{line}"
    );
    assert_eq!(text(report, "log-limit").lines().count(), 2);
}

fn a_journey_names_the_rule_that_ended_it(report: &Report) {
    let journeys: Vec<Value> = report
        .file("journey.json")
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|value: &Value| value.get("journey").is_some())
        .collect();
    let dropped = journeys.iter().find(|journey| journey["end"] == "dropped");
    let dropped = dropped.unwrap_or_else(|| panic!("{journeys:?}"));
    let drop = &dropped["drop"];
    let record = usize::try_from(drop["record"].as_u64().unwrap()).unwrap();
    let decided = &dropped["records"][record];
    assert_eq!(decided["hook"], "LOCAL_IN", "{dropped}");
    assert_eq!(decided["verdict"], "drop", "{dropped}");
    assert_eq!(decided["rule"], 2, "{dropped}");
    assert_eq!(
        (&drop["by"], &drop["rule"]),
        (&"verdict".into(), &2.into()),
        "{dropped}"
    );
    assert_eq!(
        drop["rule_text"], "drop tcp to any port 8080 at local_in in host",
        "{dropped}"
    );
    assert_eq!(drop["reason"], "NETFILTER_DROP", "{dropped}");
    assert_eq!(
        drop["location"], "nftrace_policy_drop[nftrace]",
        "{dropped}"
    );
    let text = report.file("journey.txt").unwrap();
    assert!(
        text.contains("dropped at LOCAL_IN in host")
            && text.contains("rule 2 of nftrace: drop tcp to any port 8080 at local_in in host"),
        "{text}"
    );
}

fn the_module_says_that_protection_ends(report: &Report) {
    let farewell = text(report, "farewell");
    assert!(farewell.contains("nothing is protected"), "{farewell}");
    assert_ne!(text(report, "tracked").trim(), "0", "conntrack was asked");
    assert_eq!(text(report, "still_tracked"), "0\n".repeat(8));
    let codes = codes(report);
    assert_ne!(codes["closed_rmmod"], 0);
    assert!(errors(report, "closed_rmmod").contains("in use"));
    assert_ne!(codes["bad_fail"], 0);
    let log = text(report, "bad_fail_log");
    assert!(log.contains("use open or closed"), "{log}");
}
