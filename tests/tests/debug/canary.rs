// SPDX-License-Identifier: GPL-2.0

//! The kernels notice what they are there for; else that they report nothing says nothing.

use nftrace_tests::vm::{DebugKernel, Report};

use super::vm;

/// Loads and unloads a module that does so.
fn run(kernel: DebugKernel, fault: &str) -> Result<Report, String> {
    let file = kernel.canary().unwrap_or_else(|error| panic!("{error:#}"));
    vm(&format!("canary {fault}"), kernel)
        .without_module()
        .script("tests/lab/canary.sh", &[fault])
        .file("canary.ko", std::fs::read(file).unwrap())
        .run()
        .map_err(|failure| failure.reason.to_string())
}

fn notices(kernel: DebugKernel, faults: &[(&str, &str)]) {
    for (fault, wanted) in faults {
        let reason = run(kernel, fault).expect_err(fault);
        eprintln!("{fault}: {reason}");
        assert!(reason.contains(wanted), "{fault}: {reason}");
    }
    // It is not the module itself.
    if let Err(reason) = run(kernel, "none") {
        panic!("a module without fault: {reason}");
    }
}

#[test]
fn bad_accesses_leaks_and_sleep_where_none_may_be_fail_a_test() {
    let faults = [
        ("bounds", "KASAN: slab-out-of-bounds"),
        ("freed", "KASAN: slab-use-after-free"),
        ("leak", "leaked memory: "),
        ("shift", "UBSAN: shift-out-of-bounds"),
        ("atomic", "BUG: "),
    ];
    notices(DebugKernel::Kasan, &faults);
}

#[test]
fn locks_in_the_wrong_order_rcu_without_a_reader_and_a_deaf_lockdep_fail_a_test() {
    let faults = [
        ("locks", "possible circular locking"),
        ("rcu", "suspicious RCU usage"),
        ("atomic", "BUG: "),
        ("deaf", "lockdep is off"),
    ];
    notices(DebugKernel::Lockdep, &faults);
}
