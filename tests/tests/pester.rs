// SPDX-License-Identifier: GPL-2.0

//! The stock kernel's module, called at random.

use std::time::Duration;

use nftrace_tests::kept::{codes, errors, text};
use nftrace_tests::vm::Vm;
use serde_json::{json, Value};

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
    assert_eq!(codes(&report)["pester"], 0, "{}", errors(&report, "pester"));
    let told: Value = serde_json::from_str(&text(&report, "pester")).unwrap();
    eprintln!("{told}");
    assert_eq!(told["strange"], json!({}), "errors that no document knows");
    assert_eq!(told["still_works"], true);
    assert_eq!(report.file("users.txt").unwrap().trim(), "0");
    // Else the calls would be too wild to reach anything, or too tame.
    for what in [
        "load",
        "filter",
        "set",
        "filter told",
        "read",
        "map",
        "change",
        "parameter",
        "counts",
    ] {
        for how in ["done", "refused"] {
            assert!(
                told["calls"][what][how].as_u64() > Some(10),
                "{what} {how}: {told}"
            );
        }
    }
}
