// SPDX-License-Identifier: GPL-2.0

//! Changes dynamic sets in a guest, and says in JSON what came of it:
//!
//! - `sets hostile`: changes that are none, each with what the kernel says
//! - `sets rates`: how many changes there are in a second, of small and of large sets
//! - `sets churn SECONDS`: changes, lists, loads, rollbacks and panics at once

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{bail, ensure, Context as _, Result};
use nftrace_core::policy::control::{ACCEPT_ALL, END_PANIC, FLUSH, ROLLBACK, SET_ADD, SET_DELETE};
use nftrace_core::policy::dynamic::{Elements, MAX_RANGES};
use nftrace_core::policy::layout::{Range128, Range32};
use nftrace_device::{Device, Error, Loading, SetContents};
use nftrace_tests::guest::{compiled, device, plainly};
use nftrace_tests::sets::{many, range, v4, Rate};
use serde_json::{json, Value};

const POLICY: &str = "\
set banned dynamic = {}
set other dynamic = {}
drop from @banned at pre_routing
drop from @other at pre_routing
";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let told = match words[..] {
        ["hostile"] => hostile()?,
        ["rates"] => rates()?,
        ["churn", seconds] => churn(Duration::from_secs(seconds.parse()?))?,
        _ => bail!("usage: sets hostile | rates | churn SECONDS"),
    };
    println!("{told}");
    Ok(())
}

fn wide(low: u64, high: u64) -> Range128 {
    Range128 {
        low: [1, low],
        high: [1, high],
    }
}

fn v6(ranges: &[Range128]) -> Elements<'_> {
    Elements {
        v4: &[],
        v6: ranges,
    }
}

fn contents(device: &Device, name: &str) -> Result<SetContents> {
    device.set(name, None)?.context("it has that set")
}

/// What the kernel says to ranges that are none, and to those that are too many.
fn hostile() -> Result<Value> {
    let device = device()?;
    let before = contents(&device, "banned")?;
    let add = |elements: Elements<'_>| device.change_set("banned", SET_ADD, elements, None);
    let too_many = many(MAX_RANGES + 1);
    let generation = device.status()?.generation;
    let mut tries = BTreeMap::from([
        ("reversed", add(v4(&[range(2, 1)]))),
        ("unsorted", add(v4(&[range(5, 6), range(1, 2)]))),
        ("overlapping", add(v4(&[range(1, 5), range(5, 6)]))),
        ("twice", add(v4(&[range(1, 1), range(1, 1)]))),
        ("reversed6", add(v6(&[wide(2, 1)]))),
        ("unsorted6", add(v6(&[wide(5, 6), wide(1, 2)]))),
        ("overlapping6", add(v6(&[wide(1, 5), wide(3, 9)]))),
        ("too_many", add(v4(&too_many))),
        (
            "good_and_bad",
            add(Elements {
                v4: &[range(7, 7)],
                v6: &[wide(2, 1)],
            }),
        ),
        (
            "unknown",
            device.change_set("nosuch", SET_ADD, v4(&[range(7, 7)]), None),
        ),
        (
            "long_name",
            device.change_set(&"n".repeat(32), SET_ADD, v4(&[range(7, 7)]), None),
        ),
        (
            "stale",
            device.change_set("banned", SET_ADD, v4(&[range(7, 7)]), Some(generation + 1)),
        ),
        (
            "neither",
            device.change_set("banned", 7, v4(&[range(7, 7)]), None),
        ),
    ]);
    // As many as there may be beside the one that is there, and one more.
    tries.insert("filled", add(v4(&many(MAX_RANGES - 1))));
    tries.insert("full", add(v6(&[wide(1, 1)])));
    let all = Range32 {
        low: 0,
        high: u32::MAX,
    };
    tries.insert("joined", add(v4(&[all])));
    tries.insert(
        "emptied",
        device.change_set("banned", SET_DELETE, v4(&[all]), Some(generation)),
    );
    let is_empty = contents(&device, "banned")?.v4.is_empty();
    tries.insert("restored", add(v4(&before.v4)));
    ensure!(
        contents(&device, "banned")? == before,
        "it is not as before"
    );
    let said: BTreeMap<&str, String> = tries
        .into_iter()
        .map(|(name, result)| {
            (
                name,
                result.map_or_else(|error| error.to_string(), |_| "ok".into()),
            )
        })
        .collect();
    Ok(json!({ "tries": said, "is_empty": is_empty }))
}

fn rates() -> Result<Value> {
    let device = device()?;
    device.load_policy(compiled(POLICY)?.bytes(), &plainly(&device.status()?))?;
    let generation = device.status()?.generation;
    let counts = [0, 100, 10_000, 100_000, MAX_RANGES - 8];
    let told = counts.map(|count| {
        let rate = Rate::measure(&device, "banned", count)?;
        Ok(json!({
            "ranges": count,
            "batch_added_in_ms": rate.added.as_secs_f64() * 1e3,
            "batch_deleted_in_ms": rate.deleted.as_secs_f64() * 1e3,
            "single_changes_a_second": rate.single.round(),
        }))
    });
    let told = told.into_iter().collect::<Result<_>>()?;
    ensure!(
        device.status()?.generation == generation,
        "another generation"
    );
    Ok(Value::Array(told))
}

/// Adds and deletes addresses of its own, and looks whether they are there, for as long as
/// nobody loads another policy; says how often.
fn change(is_over: &AtomicBool, name: &str, own: u32) -> Result<u64> {
    let device = device()?;
    let batch: Vec<Range32> = (0..50)
        .map(|at| range(own + at * 3, own + at * 3))
        .collect();
    let mut count = 0;
    while !is_over.load(Ordering::Relaxed) {
        for what in [SET_ADD, SET_DELETE] {
            let generation = device.status()?.generation;
            match device.change_set(name, what, v4(&batch), Some(generation)) {
                Ok(_) => count += 1,
                // Somebody else loads, or flushes.
                Err(Error::PolicyStale | Error::NoPolicy | Error::NoSet { .. }) => continue,
                Err(error) => return Err(error.into()),
            }
            let Some(found) = device.set(name, Some(generation))? else {
                continue;
            };
            let is_in = |one: &Range32| found.v4.iter().any(|range| range.holds(one.low));
            let held = batch.iter().filter(|one| is_in(one)).count();
            let wanted = if what == SET_ADD { batch.len() } else { 0 };
            ensure!(held == wanted, "{held} of {wanted} addresses are in {name}");
        }
    }
    Ok(count)
}

fn swap(is_over: &AtomicBool) -> Result<u64> {
    let device = device()?;
    let (with, without) = (compiled(POLICY)?, compiled("drop icmp at local_out")?);
    let mut count = 0;
    while !is_over.load(Ordering::Relaxed) {
        for (keep_sets, blob) in [
            (false, &with),
            (true, &with),
            (true, &without),
            (true, &with),
        ] {
            let loading = Loading {
                keep_sets,
                ..plainly(&device.status()?)
            };
            device.load_policy(blob.bytes(), &loading)?;
            count += 1;
        }
        for what in [ROLLBACK, ACCEPT_ALL, END_PANIC, FLUSH] {
            device.change_policy(what, None)?;
        }
    }
    Ok(count)
}

fn churn(time: Duration) -> Result<Value> {
    let is_over = AtomicBool::new(false);
    let is_over = &is_over;
    let changes = AtomicU64::new(0);
    let swaps = thread::scope(|scope| -> Result<u64> {
        let changers: Vec<_> = [
            ("banned", 0x0b00_0000),
            ("banned", 0x0c00_0000),
            ("other", 0x0d00_0000),
        ]
        .into_iter()
        .map(|(name, own)| scope.spawn(move || change(is_over, name, own)))
        .collect();
        let swapper = scope.spawn(move || swap(is_over));
        thread::sleep(time);
        is_over.store(true, Ordering::Relaxed);
        for changer in changers {
            let count = changer.join().expect("it does not panic")?;
            changes.fetch_add(count, Ordering::Relaxed);
        }
        swapper.join().expect("it does not panic")
    })?;
    Ok(json!({ "changes": changes.into_inner(), "swaps": swaps }))
}
