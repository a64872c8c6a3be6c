// SPDX-License-Identifier: GPL-2.0

//! When a sleeping reader of `/dev/nftrace` is woken: a millisecond after a record, or
//! when 256 more have come, and never for each.

use std::iter::repeat_n;
use std::time::Duration;

use nftrace_tests::vm::Vm;
use serde::Deserialize;

const MILLISECOND: u64 = 1_000_000;

/// As in `bindings/wakeup.rs`.
const WATERMARK: u64 = 256;

/// At both ends of three hooks.
const RECORDS_OF_A_PACKET: u64 = 6;

/// Packets that come one after the other, for some hundred milliseconds.
const FLOOD: u64 = 2500;

#[derive(Debug, Deserialize)]
struct Wakeup {
    woken: u64,
    first: u64,
    records: u64,
}

impl Wakeup {
    /// How long the first record lay there.
    fn waited(&self) -> u64 {
        self.woken - self.first
    }
}

/// What a reader says who sleeps while such bursts of packets come, for each burst.
fn wakeups(bursts: &[u64]) -> Vec<Vec<Wakeup>> {
    let probe = std::fs::read(env!("CARGO_BIN_EXE_wakeups")).unwrap();
    let words: Vec<String> = bursts.iter().map(u64::to_string).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let report = Vm::new("wakeups")
        .script("tests/lab/wakeups.sh", &words)
        .file("wakeups", probe)
        .with_command()
        .exact_clock()
        .timeout(Duration::from_secs(900))
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"));
    let text = report.file("wakeups.txt").unwrap();
    let wakeups: Vec<Wakeup> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut rest = wakeups.into_iter();
    let of_burst = |packets: &u64| {
        let (mut mine, mut records) = (Vec::new(), 0);
        while records < packets * RECORDS_OF_A_PACKET {
            let next: Wakeup = rest.next().expect("a reader is woken for every record");
            records += next.records;
            mine.push(next);
        }
        assert_eq!(records, packets * RECORDS_OF_A_PACKET, "{packets} packets");
        mine
    };
    let bursts = bursts.iter().map(of_burst).collect();
    assert_eq!(rest.count(), 1, "and for nothing else, but at the end");
    bursts
}

#[test]
fn a_reader_is_woken_after_a_millisecond_or_by_the_watermark_and_never_for_each_record() {
    // One packet; what comes within a millisecond; more than that; a flood.
    let bursts: Vec<u64> = repeat_n(1, 9)
        .chain(repeat_n(30, 9))
        .chain(repeat_n(100, 9))
        .chain([FLOOD])
        .collect();
    let woken = wakeups(&bursts);
    for wakeup in woken.iter().flatten() {
        assert!(
            wakeup.waited() >= MILLISECOND || wakeup.records > WATERMARK,
            "too early: {wakeup:?}"
        );
    }
    let (singles, rest) = woken.split_at(9);
    let (short, rest) = rest.split_at(9);
    let (long, flood) = rest.split_at(9);
    for burst in singles.iter().chain(short) {
        assert_eq!(burst.len(), 1, "one after a millisecond: {burst:?}");
    }
    let mut waited: Vec<u64> = singles.iter().map(|burst| burst[0].waited()).collect();
    waited.sort_unstable();
    assert!(waited[4] < 3 * MILLISECOND, "too late: {waited:?}");
    for burst in long {
        assert!(
            burst[0].waited() < MILLISECOND,
            "the watermark does not wait for the timer, or this machine cannot make so many \
             records in a millisecond: {burst:?}"
        );
        // The wait begins at the first record; those of a packet may come together.
        let most = WATERMARK + 1 + RECORDS_OF_A_PACKET;
        assert!(burst[0].records <= most, "too late: {burst:?}");
    }
    let flood = &flood[0];
    assert!(
        flood.len() as u64 <= FLOOD * RECORDS_OF_A_PACKET / 100,
        "{} wake-ups",
        flood.len()
    );
}
