// SPDX-License-Identifier: GPL-2.0

//! Loading in time. The command compiles policies on this machine: a program in User Mode
//! Linux waits for the host at each page that it touches first. What the kernel does with them
//! is measured there. Part of this runs in the guest.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use nftrace_tests::command;
use nftrace_tests::guest::{compiled, device, plainly};
use nftrace_tests::sets::Rate;

use super::{machine_of, vm};
use crate::figures::Figures;
use crate::life;
use crate::machine::itself;

/// How often each is compiled.
const TIMES: usize = 3;

/// Ranges of the sets that are changed; none can have more than one more.
pub(crate) const RANGES: [usize; 4] = [100, 10_000, 100_000, 999_999];

const SET: &str = "set banned dynamic = {}\ndrop from @banned at pre_routing\n";

/// Measures it.
pub(super) fn measure() -> Result<Figures> {
    let mut life = BTreeMap::new();
    let mut blobs = BTreeMap::new();
    for (name, text) in life::policies(&life::SHAPES) {
        let took = check(&text).with_context(|| name.clone())?;
        life.insert(format!("compile-{name}"), microseconds(took)?);
        blobs.insert(name, compiled(&text)?.bytes().to_vec());
    }
    let vm = vm("loads", life::SCRIPT, &[])
        .env("BENCH_CLOCK", "wall")
        .file("bench", itself()?);
    let (report, measured) = life::run(vm, blobs)?;
    life.extend(measured);
    Ok(Figures {
        machine: machine_of(&report)?,
        life,
        ..Figures::default()
    })
}

/// What the command takes to read, compile and verify a policy: the time in the middle.
fn check(text: &str) -> Result<Duration> {
    let binary = command::binary()?;
    let file = std::env::temp_dir().join(format!("nftrace-loads-{}", std::process::id()));
    fs::write(&file, text)?;
    let mut took = Vec::new();
    for _ in 0..TIMES {
        let start = Instant::now();
        let output = Command::new(&binary).arg("check").arg(&file).output()?;
        took.push(start.elapsed());
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "nftrace check: {errors}");
    }
    fs::remove_file(&file)?;
    took.sort_unstable();
    Ok(took[TIMES / 2])
}

/// In the guest: loads such a blob, and says what the kernel took for it.
pub(crate) fn load(file: &Path, tell: Option<&str>) -> Result<()> {
    let device = device()?;
    let (blob, loading) = (fs::read(file)?, plainly(&device.status()?));
    let start = Instant::now();
    let taken = device.load_policy(&blob, &loading)?;
    let installed = start.elapsed();
    if let Some(name) = tell {
        println!("verify-{name} {}", microseconds(taken.verified)?);
        println!("install-{name} {}", microseconds(installed)?);
        println!("memory-{name} {}", taken.memory);
    }
    Ok(())
}

/// In the guest: how fast dynamic sets of so many ranges change.
pub(crate) fn set_rates() -> Result<()> {
    let device = device()?;
    device.load_policy(compiled(SET)?.bytes(), &plainly(&device.status()?))?;
    for count in RANGES {
        let rate = Rate::measure(&device, "banned", count)?;
        println!("set-add-{count} {}", microseconds(rate.added)?);
        println!("set-single-{count} {:.0}", rate.single);
        println!("set-del-{count} {}", microseconds(rate.deleted)?);
    }
    Ok(())
}

fn microseconds(duration: Duration) -> Result<i64> {
    Ok(i64::try_from(duration.as_micros())?)
}
