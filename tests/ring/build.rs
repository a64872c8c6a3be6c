// SPDX-License-Identifier: GPL-2.0

//! Makes modules of `core/ring.rs`: as it is, and with one fault each, which the model has
//! to find.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// A text that stands there once, and what takes its place.
type Change = (&'static str, &'static str);

const RINGS: [(&str, &[Change]); 12] = [
    ("sound", &[]),
    (
        "commits_before_the_record_is_there",
        &[(
            "self.slot.commit.store(commit, Ordering::Release);",
            "self.slot.commit.store(commit, Ordering::Relaxed);",
        )],
    ),
    (
        "reads_the_record_before_the_commit_word",
        &[(
            "self.commit.load(Ordering::Acquire) == position",
            "self.commit.load(Ordering::Relaxed) == position",
        )],
    ),
    (
        "leaves_the_old_commit_word_while_it_writes",
        &[("slot.commit.store(0, Ordering::Relaxed);", "")],
    ),
    (
        "writes_before_it_takes_the_commit_word_away",
        &[("fence(Ordering::Release);", "")],
    ),
    (
        "looks_at_the_commit_word_again_too_early",
        &[("fence(Ordering::Acquire);", "")],
    ),
    (
        "looks_at_the_commit_word_once",
        &[(
            "if ready && slot.commit.load(Ordering::Relaxed) == self.position.wrapping_add(1) {",
            "if ready {",
        )],
    ),
    (
        "takes_a_slot_that_is_still_being_written",
        &[(
            "if slot.commit.load(Ordering::Acquire) != before {",
            "if slot.commit.load(Ordering::Acquire) == u64::MAX - before {",
        )],
    ),
    (
        "takes_a_position_twice",
        &[("Err(now) => head = now,", "Err(_) => break (slot, time),")],
    ),
    (
        "forgets_what_found_no_room",
        &[("header.lost.fetch_add(1, Ordering::Relaxed);", "")],
    ),
    (
        "forgets_what_was_overwritten",
        &[("self.lost = self.lost.wrapping_add(skip);", "")],
    ),
    (
        "reads_the_clock_once",
        &[
            (
                "let (slot, time) = loop {",
                "let time = clock();\nlet (slot, time) = loop {",
            ),
            (
                "            let time = clock();\n            match",
                "            match",
            ),
        ],
    ),
];

fn main() {
    // Asked when it runs: checkouts may share what was compiled.
    let package = env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs this");
    let source = Path::new(&package).join("../../core/ring.rs");
    println!("cargo::rerun-if-changed={}", source.display());
    println!("cargo::rerun-if-changed=build.rs");
    let text = fs::read_to_string(&source).expect("the ring is in core");
    // Without what may stand only at the beginning or the end of a file of its own.
    let text = text.replace("//!", "//");
    let (text, _) = text.split_once("#[cfg(test)]").expect("it has tests");
    let mut modules = String::new();
    for (name, changes) in RINGS {
        let mut faulty = text.to_owned();
        for (from, to) in changes {
            assert_eq!(faulty.matches(from).count(), 1, "{name}: {from}");
            faulty = faulty.replace(from, to);
        }
        writeln!(
            modules,
            "/// {}.\npub mod {name} {{\n#[allow(missing_docs, unused, clippy::all)]\npub mod ring {{\n{faulty}\n}}\ncrate::harness!();\n}}",
            name.replace('_', " "),
        )
        .expect("memory");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says it"));
    fs::write(out.join("rings.rs"), modules).expect("it can be written");
}
