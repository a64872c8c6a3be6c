// SPDX-License-Identifier: GPL-2.0

//! Policies on a real kernel: who gets through.

use std::collections::BTreeMap;
use std::time::Duration;

use nftrace_tests::vm::{Report, Vm};

fn run(script: &str) -> Report {
    Vm::new(script)
        .script(&format!("tests/lab/{script}.sh"), &[])
        .with_command()
        .timeout(Duration::from_secs(600))
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"))
}

fn outcomes(report: &Report) -> BTreeMap<String, String> {
    let text = report.file("outcomes.txt").unwrap();
    let parse = |line: &str| {
        let (case, outcome) = line.split_once(' ').expect("two words");
        (case.to_owned(), outcome.to_owned())
    };
    text.lines().map(parse).collect()
}

/// Compares all outcomes at once, so that one failure shows all.
fn assert_outcomes(report: &Report, expected: &[(&str, &str)]) {
    let owned = |(case, outcome): &(&str, &str)| ((*case).to_owned(), (*outcome).to_owned());
    let expected: BTreeMap<String, String> = expected.iter().map(owned).collect();
    assert_eq!(outcomes(report), expected);
}

#[test]
fn a_published_port_is_stopped_at_every_hook_on_its_way() {
    let report = run("policy");
    assert_outcomes(
        &report,
        &[
            ("without_policy", "passes"),
            ("drop_at_forward", "silence"),
            ("drop_at_post_routing", "silence"),
            ("drop_at_pre_routing", "silence"),
            ("reject_at_pre_routing", "refused"),
            ("reject_at_forward", "refused"),
            ("reject_at_local_in", "refused"),
            ("unreachable_at_forward", "refused"),
            ("reject_at_local_out", "refused"),
            ("drop_elsewhere", "passes"),
            ("drop_in_the_wrong_namespace", "passes"),
            ("first_match_accepts", "passes"),
            ("second_match_drops", "silence"),
            ("shadow", "passes"),
            ("established", "passes"),
            ("no_established", "silence"),
            ("original_destination", "silence"),
            ("other_original_destination", "passes"),
            ("flushed", "passes"),
        ],
    );
}
