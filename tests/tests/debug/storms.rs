// SPDX-License-Identifier: GPL-2.0

//! The module, policies and namespaces come and go under traffic.

use nftrace_tests::kept::{number, others_went_on, told};
use nftrace_tests::vm::DebugKernel;
use serde_json::{json, Value};

use super::vm;

const LOADS: usize = 100;
const SWAPS: u64 = 1000;
const DAMAGED: u64 = 1000;
const NAMESPACES: usize = 1000;

/// Both policies that take turns let through and drop the same, whichever was in force.
fn no_packet_saw_a_gap_or_a_mix(told: &Value) {
    for account in told["accounts"].as_array().expect("accounts") {
        assert_eq!(account["gaps"], json!([]), "{told}");
        assert_eq!(account["mixes"], json!([]), "{told}");
        assert_eq!(account["sent"], account["arrived"], "{told}");
        assert!(account["sent"].as_u64() > Some(100), "{told}");
    }
    assert_eq!(told["late"], json!([]), "{told}");
}

fn loads(kernel: DebugKernel) {
    let report = vm("loads", kernel)
        .script("tests/lab/reload.sh", &[&LOADS.to_string()])
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"));
    let count = |what: &str| {
        let said = report.messages().filter(|message| message.contains(what));
        said.count()
    };
    assert_eq!(count(" loaded: ports="), LOADS);
    assert_eq!(count("unloaded: printed="), LOADS);
    let fetches = report.file("fetches.txt").unwrap();
    let (good, bad) = fetches.trim().split_once(' ').expect("two words");
    assert_eq!(bad, "0", "pages that could not be fetched");
    assert!(
        good.parse::<usize>().unwrap() > LOADS / 2,
        "{good} pages only"
    );
    assert_eq!(report.file("after.txt").unwrap(), "", "hooks that stayed");
}

#[test]
fn a_hundred_loads_and_unloads_under_traffic_break_no_rule_of_memory() {
    loads(DebugKernel::Kasan);
}

#[test]
fn a_hundred_loads_and_unloads_under_traffic_break_no_rule_of_locks() {
    loads(DebugKernel::Lockdep);
}

fn swaps(kernel: DebugKernel) {
    let report = vm("swaps", kernel)
        .script(
            "tests/lab/swaps.sh",
            &[&SWAPS.to_string(), "20261122", &DAMAGED.to_string()],
        )
        .file("swaps", std::fs::read(env!("CARGO_BIN_EXE_swaps")).unwrap())
        .with_command()
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"));
    let traffic = told(&report, "traffic");
    no_packet_saw_a_gap_or_a_mix(&traffic);
    let number = |name: &str| number(&traffic[name]);
    assert_eq!(number("generation"), number("begin") + SWAPS, "{traffic}");
    let mutants = told(&report, "mutants");
    let tried = mutants["accepted"].as_u64().unwrap() + mutants["refused"].as_u64().unwrap();
    assert_eq!(tried, DAMAGED, "{mutants}");
    assert_eq!(told(&report, "large")["stays"], true);
    let waits = told(&report, "waits");
    assert!(others_went_on(&waits), "{waits}");
}

#[test]
fn a_thousand_swaps_and_damaged_blobs_under_traffic_break_no_rule_of_memory() {
    swaps(DebugKernel::Kasan);
}

#[test]
fn a_thousand_swaps_and_damaged_blobs_under_traffic_break_no_rule_of_locks() {
    swaps(DebugKernel::Lockdep);
}

fn churn(kernel: DebugKernel) {
    let report = vm("churn", kernel)
        .script(
            "tests/lab/churn.sh",
            &[&NAMESPACES.to_string(), &SWAPS.to_string()],
        )
        .file("swaps", std::fs::read(env!("CARGO_BIN_EXE_swaps")).unwrap())
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"));
    no_packet_saw_a_gap_or_a_mix(&told(&report, "traffic"));
    let sent = report.file("sent.txt").unwrap();
    assert_eq!(
        sent.lines().count(),
        NAMESPACES,
        "namespaces that could not be made"
    );
    // A namespace that is younger than a policy is held to it, too, from its first packet.
    let passed = sent.lines().filter(|line| *line != "dropped").count();
    assert_eq!(passed, 0, "of {NAMESPACES} namespaces let it through");
}

#[test]
fn a_thousand_namespaces_come_and_go_under_swaps_and_break_no_rule_of_memory() {
    churn(DebugKernel::Kasan);
}

#[test]
fn a_thousand_namespaces_come_and_go_under_swaps_and_break_no_rule_of_locks() {
    churn(DebugKernel::Lockdep);
}
