// SPDX-License-Identifier: GPL-2.0

//! The module called at random; with `NFTRACE_PESTER=SECONDS` for longer, where it is told
//! what that reaches.

use std::time::Duration;

use nftrace_tests::kept::{pestered, told};
use nftrace_tests::setting::setting;
use nftrace_tests::vm::{DebugKernel, Report};

use super::{vm, LIMIT};

const CALLS: &str = "10000";

/// Calls of all kinds reach that many edges of the module.
const EDGES: u64 = 1800;

fn seconds() -> u64 {
    setting("NFTRACE_PESTER", 0)
}

/// Each kernel gets calls of its own.
fn pester(kernel: DebugKernel, arguments: &[&str]) -> Report {
    let report = vm("pester", kernel)
        .script("tests/lab/pester.sh", arguments)
        .file(
            "pester",
            std::fs::read(env!("CARGO_BIN_EXE_pester")).unwrap(),
        )
        .timeout(Duration::from_secs(LIMIT + seconds()))
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"));
    pestered(&report);
    report
}

/// By what they reach of the module: that kernel tells it.
#[test]
fn whatever_the_module_is_asked_it_breaks_no_rule_of_memory() {
    let time = match seconds() {
        0 => CALLS.to_owned(),
        seconds => format!("{seconds}s"),
    };
    let seed = setting("NFTRACE_FUZZ_SEED", 2).to_string();
    let report = pester(DebugKernel::Kasan, &[&time, &seed, "coverage"]);
    let told = told(&report, "pester");
    // Else KCOV told nothing, or nothing came of it.
    assert!(told["edges"].as_u64() > Some(EDGES), "{told}");
    assert!(told["kept"].as_u64() > Some(100), "{told}");
}

#[test]
fn whatever_the_module_is_asked_it_breaks_no_rule_of_locks() {
    pester(DebugKernel::Lockdep, &[CALLS, "3"]);
}
