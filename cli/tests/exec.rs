// SPDX-License-Identifier: GPL-2.0

//! `nftrace exec`: what goes wrong before a program runs. That it runs inside is for
//! the test machine to show (`tests/tests/names.rs`).

use std::process::Output;

mod support;

use support::without_engines;

fn exec(args: &[&str]) -> Output {
    without_engines(&[&["exec"], args].concat(), &[])
}

#[track_caller]
fn fails(args: &[&str], code: i32, wanted: &str) {
    let output = exec(args);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(wanted), "{said}");
    assert!(output.stdout.is_empty());
}

#[test]
fn an_unknown_container_is_said_to_be_one() {
    let args = ["--container", "no-such-container", "--", "echo", "ran"];
    fails(&args, 1, "unknown container 'no-such-container'");
}

#[test]
fn an_unknown_namespace_is_said_to_be_one() {
    fails(
        &["--netns", "no-such-name", "--", "echo", "ran"],
        1,
        "unknown namespace 'no-such-name'",
    );
}

#[test]
fn a_process_that_is_not_there_is_said_to_be_none() {
    fails(
        &["--pid", "4194305", "--", "echo", "ran"],
        1,
        "there is no process 4194305",
    );
    for pid in ["0", "-1", "web"] {
        fails(&[&format!("--pid={pid}"), "--", "echo", "ran"], 2, pid);
    }
}

#[test]
fn a_file_that_is_no_namespace_is_not_entered() {
    let args = ["--netns", "/proc/self/status", "--", "echo", "ran"];
    fails(&args, 1, "it is not a network namespace");
}

#[test]
fn which_namespace_and_what_program_must_both_be_said() {
    fails(
        &["--", "echo", "ran"],
        2,
        "--container <NAME>|--pid <N>|--netns <PATH|NAME>",
    );
    fails(&["--pid", "1"], 2, "CMD");
    fails(
        &["--pid", "1", "--container", "x", "--", "echo", "ran"],
        2,
        "cannot be used with",
    );
}

#[test]
fn a_network_namespace_alone_has_no_files_to_enter() {
    fails(
        &[
            "--netns",
            "/proc/self/ns/net",
            "--mount",
            "--",
            "echo",
            "ran",
        ],
        2,
        "--mount",
    );
}
