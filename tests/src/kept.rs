// SPDX-License-Identifier: GPL-2.0

//! What a lab script kept of the commands that it ran (`keep` of `tests/lab/lib.sh`).

use std::collections::HashMap;

use serde_json::{json, Value};

use crate::vm::Report;

/// What the command printed.
///
/// # Panics
///
/// When it was not run; so do the others.
#[must_use]
pub fn text(report: &Report, name: &str) -> String {
    file(report, &format!("{name}.txt"))
}

/// What it printed, an object in each line.
#[must_use]
pub fn objects(report: &Report, name: &str) -> Vec<Value> {
    let parse =
        |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{name}: {line}"));
    text(report, name).lines().map(parse).collect()
}

/// What a program of the tests told, as one value; it ended well.
#[must_use]
pub fn told(report: &Report, name: &str) -> Value {
    let (code, errors) = (codes(report)[name], errors(report, name));
    assert_eq!(code, 0, "{name}: {errors}");
    let text = text(report, name);
    println!("{name}: {text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}: {text}"))
}

/// One of its numbers.
#[must_use]
pub fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("no number: {value}"))
}

/// What it printed on standard error.
#[must_use]
pub fn errors(report: &Report, name: &str) -> String {
    file(report, &format!("{name}.err"))
}

/// The exit codes of all.
#[must_use]
pub fn codes(report: &Report) -> HashMap<String, i32> {
    let parse = |line: &str| {
        let (name, code) = line.split_once(' ').expect("two words");
        (name.to_owned(), code.parse().expect("a number"))
    };
    file(report, "codes.txt").lines().map(parse).collect()
}

/// The namespace of that name, and no other has it.
#[must_use]
pub fn by_name<'a>(namespaces: &'a [Value], name: &str) -> &'a Value {
    let mut found = namespaces.iter().filter(|one| one["name"] == name);
    let one = found
        .next()
        .unwrap_or_else(|| panic!("no {name}: {namespaces:?}"));
    assert!(found.next().is_none(), "{name} is there twice");
    one
}

/// Of a flood, as `tests/src/bin/device.rs` tells it: each record was read by each reader, in
/// order, or the reader was told that it is lost. How many there were.
///
/// # Panics
///
/// When that is not so.
#[must_use]
pub fn accounted(flood: &Value) -> u64 {
    let produced = number(&flood["produced"]);
    for reader in ["fast", "slow", "idle", "mapped"] {
        let account = &flood[reader];
        let (read, lost) = (number(&account["read"]), number(&account["lost"]));
        eprintln!("{reader}: {read} read, {lost} lost");
        assert_eq!(read + lost, produced, "{reader}: {flood}");
        assert_eq!(number(&account["astray"]), 0, "{reader}: {flood}");
        assert_eq!(number(&account["backwards"]), 0, "{reader}: {flood}");
        let gaps = number(&account["gaps"]);
        assert_eq!(lost > 0, gaps > 0, "{reader}: {flood}");
    }
    // A ring is smaller than the flood: who does not read loses, and knows it.
    assert!(number(&flood["idle"]["lost"]) > 0, "{flood}");
    produced
}

/// Of loads, as `swaps waits` tells them: whether others that asked the module meanwhile
/// waited for less than half of what verifying took. Once is enough: where they have to
/// wait for it, or for what takes as long, they always do.
///
/// # Panics
///
/// When it tells something else.
#[must_use]
pub fn others_went_on(rounds: &Value) -> bool {
    let mut rounds = rounds.as_array().expect("rounds").iter();
    rounds.any(|round| number(&round["longest_us"]) < number(&round["verifying_us"]) / 2)
}

/// Of calls at random, as `tests/src/bin/pester` makes them: each was done or refused as
/// the documents say, and afterwards the module works and nobody holds it.
///
/// # Panics
///
/// When that is not so.
pub fn pestered(report: &Report) {
    let told = told(report, "pester");
    assert_eq!(told["strange"], json!({}), "errors that no document knows");
    assert_eq!(told["still_works"], true);
    assert_eq!(file(report, "users.txt").trim(), "0");
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
        "packet",
    ] {
        for how in ["done", "refused"] {
            assert!(
                told["calls"][what][how].as_u64() > Some(10),
                "{what} {how}: {told}"
            );
        }
    }
}

fn file(report: &Report, name: &str) -> String {
    report
        .file(name)
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}
