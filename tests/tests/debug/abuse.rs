// SPDX-License-Identifier: GPL-2.0

//! The device as nobody should use it.

use std::sync::LazyLock;

use nftrace_tests::kept::{number, told};
use nftrace_tests::vm::{DebugKernel, Report};

use super::vm;

const READERS: u64 = 150;
const LOADS: u64 = 100;
const KILLED: u64 = 40;
const SIGNALS: u64 = 300;
const MODULES: u64 = 40;

fn run(kernel: DebugKernel) -> Report {
    let counts = [READERS, LOADS, KILLED, SIGNALS, MODULES].map(|count| count.to_string());
    let counts: Vec<&str> = counts.iter().map(String::as_str).collect();
    vm("abuse", kernel)
        .script("tests/lab/abuse.sh", &counts)
        .file("abuse", std::fs::read(env!("CARGO_BIN_EXE_abuse")).unwrap())
        .with_command()
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"))
}

static MEMORY: LazyLock<Report> = LazyLock::new(|| run(DebugKernel::Kasan));
static LOCKS: LazyLock<Report> = LazyLock::new(|| run(DebugKernel::Lockdep));

fn maps(report: &Report) {
    let told = told(report, "maps");
    for (name, errno) in told["tries"].as_object().expect("tries") {
        assert!(errno.is_string(), "{name}: the kernel let it through");
    }
    assert_eq!(
        told["forked"], 0,
        "a forked child reads what its parent mapped"
    );
}

fn readers(report: &Report) {
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

fn loaders(report: &Report) {
    let told = told(report, "loaders");
    assert_eq!(told["loaded"], 4 * LOADS, "{told}");
    for fact in ["without_gap", "generation", "rules"] {
        assert_eq!(told[fact], true, "{fact}: {told}");
    }
}

fn killed(report: &Report) {
    let told = told(report, "killed");
    assert!(
        told["before"].as_u64() > Some(0),
        "all came too late: {told}"
    );
    assert!(
        told["behind"].as_u64() > Some(0),
        "all came too early: {told}"
    );
    // As slow as the kernel is, but no slower than that.
    let number = |name: &str| number(&told[name]);
    let limit = (5 * number("whole_ms")).max(5000);
    assert!(number("longest_ms") < limit, "it does not die: {told}");
}

fn signals(report: &Report) {
    let told = told(report, "signals");
    for (call, outcome) in told.as_object().expect("calls") {
        assert!(outcome["done"].as_u64() > Some(0), "{call}: {outcome}");
        // These wait, or take long; the others are too brief to be given up.
        let waits = ["read", "poll", "load"].contains(&call.as_str());
        let interrupted = outcome["interrupted"].as_u64().expect("a number");
        assert_eq!(interrupted > 0, waits, "{call}: {outcome}");
    }
}

fn modules(report: &Report) {
    let told = told(report, "modules");
    for act in ["loading", "unloading"] {
        let of = |what: &str| told[act][what].as_u64().expect("a number");
        assert!(of("undone") > 0, "{act}: all kills came too late: {told}");
        assert!(of("done") > 0, "{act}: all kills came too early: {told}");
    }
}

/// Each on both kernels, so that what one finds does not hide what the other does.
macro_rules! on {
    ($kernel:ident, $report:ident) => {
        mod $kernel {
            use super::$report as REPORT;

            #[test]
            fn the_rings_are_mapped_whole_and_read_only_or_not_at_all() {
                super::maps(&REPORT);
            }

            #[test]
            fn readers_that_are_stopped_and_killed_at_any_moment_leave_nothing_behind() {
                super::readers(&REPORT);
            }

            #[test]
            fn of_four_loaders_at_once_each_load_is_whole_and_the_last_one_holds() {
                super::loaders(&REPORT);
            }

            #[test]
            fn a_loader_that_is_killed_has_loaded_its_policy_whole_or_not_at_all() {
                super::killed(&REPORT);
            }

            #[test]
            fn a_signal_at_any_moment_of_any_call_leaves_it_done_or_not_done() {
                super::signals(&REPORT);
            }

            #[test]
            fn a_module_whose_loading_or_unloading_is_killed_is_whole_or_gone() {
                super::modules(&REPORT);
            }
        }
    };
}

on!(memory, MEMORY);
on!(locks, LOCKS);
