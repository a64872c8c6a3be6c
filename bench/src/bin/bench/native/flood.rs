// SPDX-License-Identifier: GPL-2.0

//! Records a second: hook_bench makes packets that are all traced, and a reader reads, both on
//! the one CPU there is. Part of this runs in the guest.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{anyhow, ensure, Context, Result};
use nftrace_bench::rules::Family;
use nftrace_device::{Device, DEFAULT_PATH};

use super::{machine_of, vm};
use crate::cell::Cell;
use crate::figures::Figures;
use crate::machine::{hook_bench, itself, run, Measured};
use crate::peer::Peer;
use crate::plan::Plan;

const CONTROL: &str = "/sys/kernel/debug/hook_bench/control";

/// Packets a second that are tried first; each next try has a fifth more.
const FIRST: u32 = 200_000;

/// How long a try lasts, and how many must pass without a loss.
const SECONDS: f64 = 0.5;
const TRIES: u32 = 3;

/// Slots of a ring: what is usual, and 16 MiB of them.
const SLOTS: [&str; 2] = ["4096", "131072"];

/// What came of a flood.
#[derive(Clone, Copy, Debug)]
struct Flood {
    produced: u64,
    read: u64,
    lost: u64,
    /// Nanoseconds in which it was produced.
    ns: u64,
}

impl Flood {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    fn rate(&self) -> f64 {
        self.produced as f64 * 1e9 / self.ns.max(1) as f64
    }
}

/// Measures it: boots the machine in which [`probe`] runs.
pub(super) fn measure() -> Result<Figures> {
    let hit = Cell::plain(Peer::TraceHit, Family::V4);
    let mut plan = Plan::of(&[hit], Cell::rounds, Cell::comes_compiled);
    let packets = plan.files.remove(&hit.packets()).context("packets")?;
    let vm = vm("records", "tests/lab/bench-records.sh", &SLOTS)
        .file("hook_bench.ko", hook_bench("plain")?)
        .file("packets", packets)
        .file("bench", itself()?);
    let report = run(&vm)?;
    let text = report.file("records.txt").context("records.txt")?;
    Ok(Figures {
        machine: machine_of(&report)?,
        life: crate::life::values(&text)?,
        ..Figures::default()
    })
}

fn floods(rate: Option<u32>) -> Result<Vec<Flood>> {
    (0..TRIES).map(|_| flood(rate)).collect()
}

fn slowest(floods: &[Flood]) -> f64 {
    floods.iter().map(Flood::rate).fold(f64::INFINITY, f64::min)
}

/// In the guest: floods of more and more packets a second until some are lost, then some as
/// fast as it goes. Prints lines "NAME VALUE", each name behind `prefix`.
pub(crate) fn probe(prefix: &str) -> Result<()> {
    let mut values = BTreeMap::new();
    let mut rate = FIRST;
    let mut best = 0.0;
    loop {
        let floods = floods(Some(rate))?;
        let lost: u64 = floods.iter().map(|flood| flood.lost).sum();
        let slowest = slowest(&floods);
        eprintln!("{prefix}: {rate} a second: {slowest:.0} came, {lost} lost");
        if lost == 0 {
            best = slowest;
        }
        // It cannot be made faster, or be read.
        if lost > 0 || slowest < 0.9 * f64::from(rate) {
            break;
        }
        rate += rate / 5;
    }
    let fastest = floods(None)?;
    eprintln!("{prefix}: at its fastest: {fastest:?}");
    let sum = |of: fn(&Flood) -> u64| fastest.iter().map(of).sum::<u64>();
    let lost = sum(|flood| flood.lost);
    // To wait for a packet's turn takes time that the reader has otherwise.
    if lost == 0 {
        best = slowest(&fastest).max(best);
    }
    values.insert("lossless", whole(best));
    values.insert("fastest", whole(slowest(&fastest)));
    values.insert("produced", i64::try_from(sum(|flood| flood.produced))?);
    values.insert("read", i64::try_from(sum(|flood| flood.read))?);
    values.insert("lost", i64::try_from(lost)?);
    for (name, value) in values {
        println!("{prefix}-{name} {value}");
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "saturates, far away")]
fn whole(value: f64) -> i64 {
    value.round() as i64
}

/// Packets at that rate, or as fast as it goes, with somebody who reads; every one of them
/// has to be accounted for.
fn flood(rate: Option<u32>) -> Result<Flood> {
    let device = Device::open(Path::new(DEFAULT_PATH))?;
    let before = device.stats()?.produced;
    let (measured, read, lost) = produce_and_read(rate)?;
    let produced = device.stats()?.produced - before;
    let packets = u64::from(measured.packets);
    ensure!(
        produced == packets,
        "{packets} packets, and {produced} records"
    );
    ensure!(
        read + lost == produced,
        "of {produced} records {read} were read, and {lost} are said to be lost"
    );
    let ns = measured.ns.first().copied().unwrap_or(0);
    Ok(Flood {
        produced,
        read,
        lost,
        ns,
    })
}

fn produce(rate: Option<u32>) -> Result<Measured> {
    // As fast as it goes, it takes a second or so.
    let (count, gap) = match rate {
        Some(rate) => (whole(f64::from(rate) * SECONDS), 1_000_000_000 / rate),
        None => (3_000_000, 0),
    };
    fs::write(CONTROL, format!("flood 2 0 {count} {gap} bench0")).context(CONTROL)?;
    let text = fs::read_to_string(CONTROL).context(CONTROL)?;
    serde_json::from_str(&text).with_context(|| text.clone())
}

/// The reader is a loop around `read()`, which counts.
fn produce_and_read(rate: Option<u32>) -> Result<(Measured, u64, u64)> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let device = Device::open(Path::new(DEFAULT_PATH))?;
        device.set_nonblocking(true)?;
        let reader = scope.spawn(|| -> Result<(u64, u64)> {
            let mut device = device;
            let (mut read, mut lost) = (0, 0);
            loop {
                let is_last = over.load(Ordering::Acquire);
                let frames = device.read()?;
                for frame in frames {
                    lost += frame.lost;
                    read += u64::from(!frame.record.is_gap());
                }
                if frames.is_empty() {
                    if is_last {
                        return Ok((read, lost));
                    }
                    device.wait(Some(Duration::from_millis(20)))?;
                }
            }
        });
        let measured = produce(rate);
        over.store(true, Ordering::Release);
        let (read, lost) = reader
            .join()
            .map_err(|_| anyhow!("the reader panicked"))??;
        Ok((measured?, read, lost))
    })
}
