// SPDX-License-Identifier: GPL-2.0

//! Dynamic sets on a real kernel: what is banned stops, and what is not passes.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use nftrace_core::abi::ABI;
use nftrace_core::policy::control::{IOC_SET_CHANGE, IOC_SET_LIST};
use nftrace_tests::kept::{codes, errors, objects, text, told};
use nftrace_tests::vm::{Report, Vm};
use serde_json::json;

static REPORT: LazyLock<Report> = LazyLock::new(|| {
    let words = [IOC_SET_CHANGE, IOC_SET_LIST, ABI].map(|number| number.to_string());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Vm::new("sets")
        .script("tests/lab/sets.sh", &words)
        .file("sets", std::fs::read(env!("CARGO_BIN_EXE_sets")).unwrap())
        .with_command()
        .timeout(Duration::from_secs(900))
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"))
});

#[test]
fn what_is_in_a_set_holds_for_the_next_packet_and_goes_with_its_policy() {
    let outcomes = REPORT.file("outcomes.txt").unwrap();
    let found: BTreeMap<&str, &str> = outcomes
        .lines()
        .filter_map(|line| line.split_once(' '))
        .collect();
    let expected = BTreeMap::from([
        ("unbanned", "passes"),
        ("unbanned6", "ok"),
        ("talking", "passes"),
        ("banned", "silence"),
        ("other_family", "ok"),
        ("talking_banned", "silence"),
        ("banned6", "failed"),
        ("talking_again", "passes"),
        ("deleted", "passes"),
        ("banned6_still", "failed"),
        ("deleted6", "ok"),
        ("prefix", "silence"),
        ("out_of_prefix", "passes"),
        ("reloaded", "passes"),
        ("kept", "silence"),
        ("kept_by_another_policy", "silence"),
        ("without_sets", "passes"),
        ("rolled_back", "silence"),
        ("on_trial", "passes"),
        ("behind_trial", "silence"),
        ("panic", "ok"),
        ("behind_panic", "failed"),
        ("behind_panic4", "passes"),
        ("agent_banned", "silence"),
        ("agent_kept", "silence"),
        ("flushed", "passes"),
        ("forced", "silence"),
        ("among_ten_thousand", "silence"),
    ]);
    assert_eq!(found, expected);
}

/// What was counted of a rule, by its number.
fn packets(name: &str, rule: usize) -> u64 {
    let shown = &objects(&REPORT, name)[0];
    shown["rules"][rule]["packets"].as_u64().unwrap()
}

#[test]
fn a_change_of_a_set_is_no_change_of_the_policy() {
    let [before, after] = ["counters_before", "counters_after"].map(|name| objects(&REPORT, name));
    assert_eq!(before[0]["generation"], 1);
    assert_eq!(after[0]["generation"], 1);
    assert_eq!(before[0]["loaded"], after[0]["loaded"]);
    assert_eq!(packets("counters_before", 0), 0);
    assert!(packets("counters_after", 0) >= 3, "{:?}", after[0]);
    assert!(packets("counters_after", 1) >= 8, "{:?}", after[0]);
    let history = text(&REPORT, "history");
    let loads = history.lines().filter(|line| line.contains("load")).count();
    assert_eq!(loads, 1, "{history}");
}

#[test]
fn the_command_tells_what_it_changed_and_what_there_is() {
    assert_eq!(
        text(&REPORT, "add"),
        "banned: 1 added; it has 2 ranges now\n"
    );
    assert_eq!(
        text(&REPORT, "del"),
        "banned: 1 deleted; it has 2 ranges now\n"
    );
    assert_eq!(
        objects(&REPORT, "add_again"),
        [json!({ "set": "banned", "given": 2, "changed": 1, "ranges": { "ipv4": 2, "ipv6": 1 } })]
    );
    let show = text(&REPORT, "show");
    assert!(
        show.contains(
            "set banned dynamic = { 192.0.2.7 }  # 3 ranges now: nftrace set list banned\n"
        ),
        "{show}"
    );
    assert_eq!(
        objects(&REPORT, "show_json")[0]["sets"],
        json!({ "banned": { "ipv4": 2, "ipv6": 1 } })
    );
    assert_eq!(
        text(&REPORT, "list"),
        "# generation 1, addresses\nbanned: 2 ranges of IPv4, 1 range of IPv6\n"
    );
    assert_eq!(
        objects(&REPORT, "list_json"),
        [
            json!({ "generation": 1, "sets": [{ "set": "banned", "ranges": { "ipv4": 2, "ipv6": 1 } }] })
        ]
    );
    assert_eq!(
        text(&REPORT, "elements"),
        "10.10.10.3\n192.0.2.7\nfd00:10::/64\n"
    );
    assert_eq!(
        text(&REPORT, "rest"),
        "10.10.10.0-10.10.10.2\n10.10.10.4-10.10.10.255\n192.0.2.7\n"
    );
    assert_eq!(text(&REPORT, "behind_trial"), "10.10.10.3\n192.0.2.7\n");
    let batch = &objects(&REPORT, "batch")[0];
    assert_eq!(
        (&batch["given"], &batch["changed"]),
        (&json!(10_000), &json!(10_000))
    );
}

#[test]
fn the_policy_in_force_is_explained_with_what_its_sets_have_now() {
    let verdict = |name: &str| objects(&REPORT, name)[0]["verdict"].clone();
    assert_eq!(verdict("explain"), "drop", "{}", errors(&REPORT, "explain"));
    assert_eq!(verdict("explain_file"), "accept");
}

#[test]
fn who_loads_is_told_what_becomes_of_sets() {
    let said = errors(&REPORT, "reload");
    assert!(
        said.contains(
            "the set 'banned' begins anew with 1 range, in place of 2 ranges; --keep-sets"
        ),
        "{said}"
    );
    assert_eq!(errors(&REPORT, "kept"), "");
}

#[test]
fn who_is_refused_is_told_what_there_is_instead() {
    let codes = codes(&REPORT);
    for (name, words) in [
        (
            "no_set",
            "none is dynamic; declare one in the policy: set banned dynamic = {}",
        ),
        ("no_policy", "no policy is in force"),
        (
            "unknown_set",
            "has no set 'baned'; those that can be changed: banned",
        ),
        ("static_set", "the set 'office' is not dynamic"),
        ("no_element", "`10.10.10.256` is no address"),
        ("wrong_file", "/tmp/wrong:3:1"),
        ("powerless", "CAP_NET_ADMIN"),
        ("own_connection", "would cut the SSH connection"),
    ] {
        let said = errors(&REPORT, name);
        assert_eq!(codes[name], 1, "{name}: {said}");
        assert!(said.contains(words), "{name}: {said}");
    }
    for name in ["own_connection_elsewhere", "own_connection_forced"] {
        assert_eq!(codes[name], 0, "{name}: {}", errors(&REPORT, name));
    }
    assert_eq!(text(&REPORT, "after_refusals"), "192.0.2.7\n");
}

#[test]
fn requests_that_are_none_are_refused_by_their_numbers() {
    for (name, error) in [
        ("raw_abi", "Protocol not supported"),
        ("raw_what", "Invalid argument"),
        ("raw_count4", "Argument list too long"),
        ("raw_count6", "Argument list too long"),
        ("raw_address", "Bad address"),
        ("raw_stale", "Stale file handle"),
        ("raw_set", "No such file or directory"),
        ("raw_list_abi", "Protocol not supported"),
        ("raw_list_set", "No such file or directory"),
        ("raw_list_kept", "No such process"),
    ] {
        assert_ne!(codes(&REPORT)[name], 0, "{name}");
        assert_eq!(errors(&REPORT, name), format!("{error}\n"), "{name}");
    }
    assert_eq!(codes(&REPORT)["raw_nothing"], 0);
}

#[test]
fn ranges_that_are_none_or_too_many_change_nothing() {
    let told = told(&REPORT, "hostile");
    let invalid = "Invalid argument";
    for (name, words) in [
        ("reversed", invalid),
        ("unsorted", invalid),
        ("overlapping", invalid),
        ("twice", invalid),
        ("reversed6", invalid),
        ("unsorted6", invalid),
        ("overlapping6", invalid),
        ("good_and_bad", invalid),
        ("neither", invalid),
        ("too_many", "at most 1000000 ranges"),
        ("unknown", "no dynamic set 'nosuch'"),
        ("long_name", "no dynamic set"),
        ("stale", "somebody else has changed the policy"),
        ("full", "more than 1000000 ranges"),
        ("filled", "ok"),
        ("joined", "ok"),
        ("emptied", "ok"),
        ("restored", "ok"),
    ] {
        let said = told["tries"][name]
            .as_str()
            .unwrap_or_else(|| panic!("no {name}"));
        assert!(said.contains(words), "{name}: {said}");
    }
    assert_eq!(told["is_empty"], true);
    assert_eq!(text(&REPORT, "after_hostile"), "192.0.2.7\n");
}

#[test]
fn thousands_of_changes_at_once_and_one_by_one_leave_what_they_should() {
    let rates = told(&REPORT, "rates");
    assert_eq!(rates.as_array().map(Vec::len), Some(5));
    let churn = told(&REPORT, "churn");
    for what in ["changes", "swaps"] {
        assert!(churn[what].as_u64().unwrap() > 20, "{churn}");
    }
}
