// SPDX-License-Identifier: GPL-2.0

//! No memory, at any moment of any call: said so, and nothing changed.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use nftrace_tests::kept::{codes, errors, objects};
use nftrace_tests::vm::{DebugKernel, Report};
use serde_json::{json, Value};

use super::vm;

fn run(kernel: DebugKernel) -> Report {
    vm("faults", kernel)
        .script("tests/lab/faults.sh", &[])
        .file(
            "faults",
            std::fs::read(env!("CARGO_BIN_EXE_faults")).unwrap(),
        )
        .with_command()
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"))
}

static MEMORY: LazyLock<Report> = LazyLock::new(|| run(DebugKernel::Kasan));
static LOCKS: LazyLock<Report> = LazyLock::new(|| run(DebugKernel::Lockdep));

/// What came of each action.
fn outcomes(report: &Report, name: &str) -> BTreeMap<String, Value> {
    let all = objects(report, name);
    assert_eq!(codes(report)[name], 0, "{name}: {}", errors(report, name));
    let named = |outcome: Value| {
        (
            outcome["action"].as_str().expect("a name").to_owned(),
            outcome,
        )
    };
    all.into_iter().map(named).collect()
}

fn without_flaws(outcomes: &BTreeMap<String, Value>) {
    for (action, outcome) in outcomes {
        eprintln!(
            "{action}: {} allocations, {} refused",
            outcome["allocations"],
            outcome["refused"].as_array().map_or(0, Vec::len)
        );
        assert_eq!(outcome["flaws"], json!([]), "{action}");
    }
}

/// Else the injection did not reach them, and the test would say nothing. (What takes its
/// memory from `kvmalloc()` is spared: that looks elsewhere when the first place has none.)
fn were_refused(outcomes: &BTreeMap<String, Value>, actions: &[&str]) {
    for action in actions {
        let refused = outcomes[*action]["refused"].as_array().expect("a list");
        assert!(
            !refused.is_empty(),
            "{action} never failed: {}",
            outcomes[*action]
        );
    }
}

fn check(report: &Report) {
    let module = outcomes(report, "module");
    without_flaws(&module);
    were_refused(&module, &["load"]);
    let controls = outcomes(report, "controls");
    without_flaws(&controls);
    were_refused(
        &controls,
        &[
            "policy load",
            "policy load, the first",
            "policy try",
            "rollback",
            "drop all",
            "open",
            "trace set",
            "trace set, the first",
            "parameter ports",
        ],
    );
    let sets = outcomes(report, "sets");
    without_flaws(&sets);
    were_refused(&sets, &["set add", "set delete", "set add, the first"]);
    let namespaces = outcomes(report, "namespaces");
    without_flaws(&namespaces);
    were_refused(&namespaces, &["namespace"]);
}

#[test]
fn every_call_whose_allocations_fail_changes_nothing_and_leaks_nothing() {
    check(&MEMORY);
}

#[test]
fn every_call_whose_allocations_fail_leaves_no_lock_behind() {
    check(&LOCKS);
}

#[test]
fn who_loads_a_policy_without_memory_is_told_so_and_that_the_old_one_stays() {
    let controls = outcomes(&LOCKS, "controls");
    let messages = controls["policy load"]["messages"].as_array().unwrap();
    let said = |text: &str| {
        messages
            .iter()
            .any(|one| one.as_str().unwrap().contains(text))
    };
    assert!(
        said("no memory for the policy; the old one stays in force"),
        "{messages:?}"
    );
}
