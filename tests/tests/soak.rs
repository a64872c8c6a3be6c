// SPDX-License-Identifier: GPL-2.0

//! Everything at once: a flood on two CPUs, a policy, records for readers of every speed
//! and for the kernel's log, swaps, sets that change, readers that are killed, namespaces
//! that come and go. `NFTRACE_SOAK=SECONDS` has it last longer than the minute of every day.

use std::collections::BTreeMap;
use std::time::Duration;

use nftrace_tests::kept::{accounted, objects, text};
use nftrace_tests::setting::setting;
use nftrace_tests::vm::{Report, Vm};

/// Packets of a burst, from each CPU.
const BURST: u64 = 10_000;

/// What the kernel's memory may change by, in kB, from the first burst to the last, and
/// from before the module to behind it: what caches of namespaces and packets keep.
const SLACK: u64 = 24 << 10;

#[test]
fn under_everything_at_once_losses_are_exact_memory_is_bounded_and_others_run() {
    let seconds = setting("NFTRACE_SOAK", 60);
    let report = Vm::new("soak")
        .script(
            "tests/lab/soak.sh",
            &[&seconds.to_string(), &BURST.to_string()],
        )
        .file(
            "device",
            std::fs::read(env!("CARGO_BIN_EXE_device")).unwrap(),
        )
        .with_command()
        .timeout(Duration::from_secs(300 + 3 * seconds))
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"));
    let numbers = text(&report, "numbers");
    let words = numbers.split_whitespace().collect::<Vec<_>>();
    let numbers: BTreeMap<&str, u64> = words
        .chunks(2)
        .map(|two| (two[0], two[1].parse().unwrap()))
        .collect();
    eprintln!("{numbers:?}");
    for (what, least) in [("swaps", 3), ("bans", 3), ("namespaces", 9), ("kills", 3)] {
        assert!(numbers[what] > least, "{numbers:?}");
    }
    let failed = report.file("failed.txt").unwrap_or_default();
    assert!(failed.is_empty(), "{failed}");
    let packets = numbers["packets"];
    every_packet_is_counted(&report, packets);
    every_record_is_read_or_counted_as_lost(&report, packets);
    others_run(&report, numbers["seconds"]);
    memory_is_bounded(&report);
}

/// The rule had all of them, also where one policy came for another.
fn every_packet_is_counted(report: &Report, packets: u64) {
    let policy = &objects(report, "policy")[0];
    let mut rules = policy["rules"].as_array().unwrap().iter();
    let flood = rules.find(|rule| rule["text"].as_str().unwrap().contains("8080"));
    assert_eq!(flood.unwrap()["packets"], packets, "{policy}");
}

fn every_record_is_read_or_counted_as_lost(report: &Report, packets: u64) {
    let flood = &objects(report, "flood")[0];
    let produced = accounted(flood);
    // At its hook, and where it ended.
    assert_eq!(produced, 2 * packets);
    // The kernel's log is one more reader.
    let counters = text(report, "counters");
    let counter = |name: &str| {
        let mut words = counters.split_whitespace();
        let found = words.find_map(|word| word.strip_prefix(&format!("{name}=")));
        found.expect("a counter").parse::<u64>().unwrap()
    };
    eprintln!("log: {}", counters.trim());
    let all = counter("printed") + counter("suppressed") + counter("lost");
    assert_eq!(all, produced, "{counters}");
    assert!(counter("suppressed") > 0, "{counters}");
}

/// Somebody who has nothing to do with it gets the processor, may send and is answered.
fn others_run(report: &Report, seconds: u64) {
    let beats = text(report, "beats");
    let beats: Vec<(u64, u64)> = beats
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(at, waited)| (at.parse().unwrap(), waited.parse().unwrap()))
        .collect();
    let pause = beats.windows(2).map(|two| two[1].0 - two[0].0).max();
    let mut waits: Vec<u64> = beats.iter().map(|(_, waited)| *waited).collect();
    waits.sort_unstable();
    let (median, longest) = (waits[waits.len() / 2], waits[waits.len() - 1]);
    eprintln!(
        "{} beats in {seconds} s, the longest pause {pause:?} ms; \
         an answer takes {median} ms, {longest} ms at most",
        waits.len()
    );
    // Emulated, on a machine that may stand still for a while, and with seven others for two
    // CPUs: far from what would be there if one had to wait for the flood to end.
    assert!(waits.len() as u64 >= seconds / 8, "{} beats", waits.len());
    assert!(longest < 30_000, "{longest} ms for an answer");
}

/// Kilobytes of the kernel's own.
fn memory_is_bounded(report: &Report) {
    let memory = text(report, "memory");
    eprintln!("when, slab, vmalloc, available, in kB:");
    let all: BTreeMap<&str, u64> = memory
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = |at: usize| words[at].parse::<u64>().unwrap();
            (words[0], number(1) + number(2))
        })
        .collect();
    let last = (all.len() - 4).to_string();
    for when in ["before", "0", &last, "after", "reloaded"] {
        let line = memory
            .lines()
            .find(|line| line.split_whitespace().next() == Some(when));
        eprintln!("  {}", line.unwrap_or("?"));
    }
    assert!(all[&*last] < all["0"] + SLACK, "{memory}");
    assert!(all["after"] < all["before"] + SLACK, "{memory}");
    assert!(all["reloaded"] < all["before"] + SLACK, "{memory}");
}
