// SPDX-License-Identifier: GPL-2.0

//! How fast a dynamic set changes. Runs in a guest.

use std::time::{Duration, Instant};

use anyhow::{ensure, Context as _, Result};
use nftrace_core::policy::control::{SET_ADD, SET_DELETE};
use nftrace_core::policy::dynamic::Elements;
use nftrace_core::policy::layout::Range32;
use nftrace_device::Device;

/// How long single changes are made.
const LONG: Duration = Duration::from_secs(1);

/// Where the addresses of single changes begin, behind all of [`many`].
const APART: u32 = 0x3000_0000;

/// Of a set of so many ranges.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// All of them added by one call.
    pub added: Duration,
    /// Changes a second, one address and one call each; half of them deletions.
    pub single: f64,
    /// All of them deleted by one call.
    pub deleted: Duration,
}

/// Single addresses that do not touch.
#[must_use]
pub fn many(count: usize) -> Vec<Range32> {
    let numbers = (0_u32..).step_by(2).take(count);
    numbers
        .map(|low| range(0x2000_0000 + low, 0x2000_0000 + low))
        .collect()
}

/// From the first to the last of these addresses.
#[must_use]
pub const fn range(low: u32, high: u32) -> Range32 {
    Range32 { low, high }
}

/// As a call takes them.
#[must_use]
pub const fn v4(ranges: &[Range32]) -> Elements<'_> {
    Elements {
        v4: ranges,
        v6: &[],
    }
}

impl Rate {
    /// Measures it with a set that is empty, and is empty again afterwards.
    ///
    /// # Errors
    ///
    /// A change that failed, or did something else.
    pub fn measure(device: &Device, set: &str, count: usize) -> Result<Self> {
        let batch = many(count);
        let start = Instant::now();
        device.change_set(set, SET_ADD, v4(&batch), None)?;
        let added = start.elapsed();
        let single = single(device, set)?;
        let start = Instant::now();
        device.change_set(set, SET_DELETE, v4(&batch), None)?;
        let deleted = start.elapsed();
        let left = device.set(set, None)?.context("it has that set")?;
        ensure!(left.v4.is_empty(), "something stays");
        Ok(Self {
            added,
            single,
            deleted,
        })
    }
}

fn single(device: &Device, set: &str) -> Result<f64> {
    let start = Instant::now();
    let mut count = 0_u32;
    while start.elapsed() < LONG {
        let address = APART + count % 4096;
        for what in [SET_ADD, SET_DELETE] {
            let changed = device.change_set(set, what, v4(&[range(address, address)]), None)?;
            ensure!(changed.changed == 1, "it changed nothing");
            count += 1;
        }
    }
    Ok(f64::from(count) / start.elapsed().as_secs_f64())
}
