// SPDX-License-Identifier: GPL-2.0

//! One policy in the place of another, on a real kernel: at once and as a whole, or not
//! at all.

use std::sync::LazyLock;
use std::time::Duration;

use nftrace_tests::kept::{codes, errors, number, others_went_on, text, told};
use nftrace_tests::setting::setting;
use nftrace_tests::vm::{Report, Vm};
use serde_json::json;

const SWAPS: u64 = 1000;
const MUTANTS: u64 = 1000;
/// `NFTRACE_SEED` in its place tries others.
const SEED: u64 = 20_250_711;

static REPORT: LazyLock<Report> = LazyLock::new(|| {
    let seed = setting("NFTRACE_SEED", SEED);
    Vm::new("swaps")
        .script(
            "tests/lab/swaps.sh",
            &[&SWAPS.to_string(), &seed.to_string(), &MUTANTS.to_string()],
        )
        .file("swaps", std::fs::read(env!("CARGO_BIN_EXE_swaps")).unwrap())
        .with_command()
        .timeout(Duration::from_secs(600))
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"))
});

#[test]
fn a_thousand_swaps_under_traffic_leave_no_gap_and_show_no_packet_a_mix() {
    let told = told(&REPORT, "traffic");
    let begin = number(&told["begin"]);
    assert_eq!(number(&told["generation"]), begin + SWAPS, "{told}");
    assert_eq!(number(&told["previous"]), begin + SWAPS - 1, "{told}");
    assert_eq!(number(&told["last"]), begin + SWAPS, "{told}");
    assert_eq!(
        (&told["history"], &told["history_follows"]),
        (&json!(256), &json!(true)),
        "{told}"
    );
    assert_eq!(
        told["late"],
        json!([]),
        "when a swap is done, it is done: {told}"
    );
    for account in told["accounts"].as_array().unwrap() {
        assert_eq!(account["gaps"], json!([]), "{told}");
        assert_eq!(account["mixes"], json!([]), "{told}");
        assert_eq!(account["sent"], account["arrived"], "{told}");
        assert_eq!(account["sent"], account["to_drop"], "{told}");
        assert!(
            number(&account["sent"]) > SWAPS,
            "too little traffic: {told}"
        );
    }
}

#[test]
fn a_damaged_blob_is_refused_as_a_whole_or_does_what_it_says() {
    let told = told(&REPORT, "mutants");
    assert_eq!(
        number(&told["accepted"]) + number(&told["refused"]),
        MUTANTS,
        "{told}"
    );
    // Else the damage is of one kind, or the comparison of nothing with nothing.
    assert!(number(&told["accepted"]) >= MUTANTS / 20, "{told}");
    assert!(told["flaws"].as_object().unwrap().len() >= 10, "{told}");
    assert!(number(&told["dropped_by_sound"]) >= 5, "{told}");
    assert!(number(&told["compared"]) >= 500, "{told}");
    assert!(number(&told["dropped"]) >= 100, "{told}");
}

#[test]
fn a_policy_may_have_64_mebibytes_and_those_that_go_take_nothing_along() {
    let told = told(&REPORT, "large");
    assert_eq!(number(&told["bytes"]), 63 << 20, "{told}");
    assert_eq!(told["too_large"], true, "{told}");
    assert_eq!(told["stays"], true, "{told}");
    let message = told["message"].as_str().unwrap();
    assert!(
        message.contains("64 MiB") && message.contains("the old one stays"),
        "{message}"
    );
    let available = |name| text(&REPORT, name).trim().parse::<i64>().unwrap();
    let (before, after) = (available("before"), available("after"));
    assert!(after > before - (63 << 10), "{before} kB, then {after} kB");
}

#[test]
fn what_is_in_force_is_told_while_a_policy_is_verified() {
    let told = told(&REPORT, "waits");
    assert!(others_went_on(&told), "{told}");
}

/// What the command says, and its exit code.
fn refused(name: &str) -> (i32, String) {
    (codes(&REPORT)[name], errors(&REPORT, name))
}

#[test]
fn who_may_not_load_a_policy_is_told_so_and_nothing_changes() {
    for name in ["powerless", "user", "elsewhere"] {
        let (code, errors) = refused(name);
        assert_eq!(code, 1, "{name}: {errors}");
        assert!(
            errors.contains("/dev/nftrace") && errors.contains("CAP_NET_ADMIN"),
            "{name}: {errors}"
        );
    }
    for (name, word) in [
        ("broken", "port"),
        ("unreadable", "there-is-none"),
        ("unknown", "nowhere"),
    ] {
        let (code, errors) = refused(name);
        assert_eq!(code, 1, "{name}: {errors}");
        assert!(errors.contains(word), "{name}: {errors}");
    }
    let history = text(&REPORT, "history");
    let guard = text(&REPORT, "guard");
    let generation = guard.split(' ').nth(1).expect("generation N is in force");
    let last = history.lines().last().unwrap_or_default();
    assert!(
        last.contains(generation),
        "{generation} is not the last: {history}"
    );
}
