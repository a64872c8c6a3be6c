// SPDX-License-Identifier: GPL-2.0

//! Runs `nftrace path` on kernel logs.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use super::{json_lines, stderr, stdout};

/// A log of `tests/logs`.
pub(crate) fn log(name: &str) -> String {
    format!("tests/logs/{name}")
}

/// Names are not looked up: those of the machine that runs the test are no concern.
fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nftrace"));
    command.args(["path", "--no-names"]).args(args);
    command
}

/// The command with these arguments.
pub(crate) fn run(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

/// Standard output of what has to succeed.
pub(crate) fn shown(args: &[&str]) -> String {
    let output = run(args);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    stdout(&output)
}

/// The journeys that are shown as JSON.
pub(crate) fn objects(args: &[&str]) -> Vec<serde_json::Value> {
    json_lines(&shown(&[&["--json"], args].concat()))
}

/// The command with these arguments, and this as standard input.
pub(crate) fn with_stdin(args: &[&str], input: &[u8]) -> Output {
    let mut child = command(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

/// Lines without what aligns them.
pub(crate) fn lines(text: &str) -> Vec<String> {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text.lines().map(words).collect()
}

/// The first packet of the log, its lines changed by `change`.
pub(crate) fn first_packet(change: impl Fn(&str) -> Vec<String>) -> String {
    let log = std::fs::read_to_string(log("published-port.log")).unwrap();
    let lines = log
        .lines()
        .filter(|line| line.contains("loaded: ") || line.contains("skb=27caa7bf"));
    let lines: Vec<String> = lines.flat_map(change).collect();
    lines.join("\n") + "\n"
}
