// SPDX-License-Identifier: GPL-2.0

//! How long others wait for the module while it verifies a policy.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, Result};
use nftrace_tests::guest::{device, many_rules, plainly};
use serde_json::{json, Value};

pub(crate) fn run(rules: u32, times: u32) -> Result<Value> {
    let blob = many_rules(rules)?;
    let device = device()?;
    let round = |_| -> Result<Value> {
        let is_over = AtomicBool::new(false);
        let (loaded, longest) = thread::scope(|scope| {
            let asking = scope.spawn(|| longest_wait(&is_over));
            let loaded = device
                .status()
                .and_then(|status| device.load_policy(blob.bytes(), &plainly(&status)));
            is_over.store(true, Ordering::Relaxed);
            (loaded, asking.join())
        });
        let longest = longest.map_err(|_| anyhow!("who asked panicked"))??;
        Ok(json!({
            "verifying_us": loaded?.verified.as_micros(),
            "longest_us": longest.as_micros(),
        }))
    };
    (0..times).map(round).collect()
}

/// What is in force is asked for again and again: the longest time until that was told.
fn longest_wait(is_over: &AtomicBool) -> Result<Duration> {
    let device = device()?;
    let mut longest = Duration::ZERO;
    while !is_over.load(Ordering::Relaxed) {
        let begin = Instant::now();
        device.status()?;
        longest = longest.max(begin.elapsed());
    }
    Ok(longest)
}
