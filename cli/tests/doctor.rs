// SPDX-License-Identifier: GPL-2.0

//! `nftrace doctor` on whatever machine the tests run on: what it says is for the
//! test machine to show (`tests/tests/names.rs`), that it always says something is here.

use std::process::Output;

use serde_json::Value;

mod support;

use support::without_engines;

fn doctor(args: &[&str]) -> Output {
    without_engines(&[&["doctor"], args].concat(), &[])
}

#[test]
fn findings_say_what_they_mean_and_problems_what_to_do() {
    let output = doctor(&["--json"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let findings: Vec<&Value> = lines
        .iter()
        .filter(|line| line["kind"] == "finding")
        .collect();
    for subject in ["kernel", "module"] {
        assert!(
            findings.iter().any(|finding| finding["subject"] == subject),
            "{subject}: {text}"
        );
    }
    for finding in findings {
        if finding["severity"] == "problem" || finding["severity"] == "warning" {
            assert!(finding["meaning"].is_string(), "{finding}");
        }
    }
}

#[test]
fn it_fails_only_when_no_hook_could_be_seen_and_says_why() {
    let output = doctor(&["--json"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let seen = lines
        .filter(|line| line["kind"] == "namespace" && line["hooks"].is_array())
        .count();
    let said = String::from_utf8(output.stderr).unwrap();
    if seen == 0 {
        assert_eq!(output.status.code(), Some(1));
        assert!(said.starts_with("nftrace: "), "{said}");
    } else {
        assert_eq!(output.status.code(), Some(0), "{said}");
    }
}

#[test]
fn an_unknown_namespace_is_an_error() {
    let output = doctor(&["no-such-namespace"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("unknown namespace 'no-such-namespace'"),
        "{said}"
    );
}
