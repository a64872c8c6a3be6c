// SPDX-License-Identifier: GPL-2.0

//! The device as nobody should use it.

use std::sync::LazyLock;

use nftrace_tests::kept::{codes, errors, text};
use nftrace_tests::vm::{DebugKernel, Report};
use serde_json::Value;

use super::vm;

const READERS: u64 = 150;
const LOADS: u64 = 100;
const KILLED: u64 = 40;

fn run(kernel: DebugKernel) -> Report {
    let counts = [READERS, LOADS, KILLED].map(|count| count.to_string());
    vm("abuse", kernel)
        .script("tests/lab/abuse.sh", &[&counts[0], &counts[1], &counts[2]])
        .file("abuse", std::fs::read(env!("CARGO_BIN_EXE_abuse")).unwrap())
        .with_command()
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"))
}

static MEMORY: LazyLock<Report> = LazyLock::new(|| run(DebugKernel::Kasan));
static LOCKS: LazyLock<Report> = LazyLock::new(|| run(DebugKernel::Lockdep));

fn told(report: &Report, name: &str) -> Value {
    assert_eq!(codes(report)[name], 0, "{name}: {}", errors(report, name));
    let text = text(report, name);
    eprintln!("{name}: {text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}: {text}"))
}

#[test]
fn the_rings_are_mapped_whole_and_read_only_or_not_at_all() {
    for report in [&MEMORY, &LOCKS] {
        let told = told(report, "maps");
        for (name, errno) in told["tries"].as_object().expect("tries") {
            assert!(errno.is_string(), "{name}: the kernel let it through");
        }
        assert_eq!(
            told["forked"], 0,
            "a forked child reads what its parent mapped"
        );
    }
}

#[test]
fn readers_that_are_stopped_and_killed_at_any_moment_leave_nothing_behind() {
    for report in [&MEMORY, &LOCKS] {
        let told = told(report, "readers");
        assert_eq!(told["killed"], READERS, "{told}");
        assert!(
            told["asleep"].as_u64() > Some(0),
            "none ever waited: {told}"
        );
        assert_eq!(
            report.file("users.txt").unwrap().trim(),
            "0",
            "users of the module"
        );
    }
}

#[test]
fn of_four_loaders_at_once_each_load_is_whole_and_the_last_one_holds() {
    for report in [&MEMORY, &LOCKS] {
        let told = told(report, "loaders");
        assert_eq!(told["loaded"], 4 * LOADS, "{told}");
        for fact in ["without_gap", "generation", "rules"] {
            assert_eq!(told[fact], true, "{fact}: {told}");
        }
    }
}

#[test]
fn a_loader_that_is_killed_has_loaded_its_policy_whole_or_not_at_all() {
    for report in [&MEMORY, &LOCKS] {
        let told = told(report, "killed");
        assert!(
            told["before"].as_u64() > Some(0),
            "all came too late: {told}"
        );
        assert!(
            told["behind"].as_u64() > Some(0),
            "all came too early: {told}"
        );
        assert!(
            told["longest_ms"].as_u64() < Some(5000),
            "it does not die: {told}"
        );
    }
}
