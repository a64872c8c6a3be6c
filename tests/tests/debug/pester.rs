// SPDX-License-Identifier: GPL-2.0

//! The module called at random.

use nftrace_tests::kept::pestered;
use nftrace_tests::vm::DebugKernel;

use super::vm;

const CALLS: &str = "10000";

/// Each kernel gets calls of its own.
fn check(kernel: DebugKernel, seed: &str) {
    let report = vm("pester", kernel)
        .script("tests/lab/pester.sh", &[CALLS, seed])
        .file(
            "pester",
            std::fs::read(env!("CARGO_BIN_EXE_pester")).unwrap(),
        )
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"));
    pestered(&report);
}

#[test]
fn whatever_the_module_is_asked_it_breaks_no_rule_of_memory() {
    check(DebugKernel::Kasan, "2");
}

#[test]
fn whatever_the_module_is_asked_it_breaks_no_rule_of_locks() {
    check(DebugKernel::Lockdep, "3");
}
