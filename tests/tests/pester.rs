// SPDX-License-Identifier: GPL-2.0

//! The stock kernel's module, called at random.

use std::time::Duration;

use nftrace_tests::kept::pestered;
use nftrace_tests::vm::Vm;

const CALLS: &str = "10000";

#[test]
fn whatever_the_module_is_asked_it_answers_and_goes_on() {
    let report = Vm::new("pester")
        .script("tests/lab/pester.sh", &[CALLS, "1"])
        .file(
            "pester",
            std::fs::read(env!("CARGO_BIN_EXE_pester")).unwrap(),
        )
        .timeout(Duration::from_secs(600))
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"));
    pestered(&report);
}
