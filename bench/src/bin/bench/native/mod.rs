// SPDX-License-Identifier: GPL-2.0

//! The same in time: User Mode Linux, of the very source of the stock kernel, runs on the
//! processor itself, with its caches and its branch prediction. Figures have the fields of
//! the others, with nanoseconds where these have instructions.

pub(crate) mod core;
pub(crate) mod flood;
pub(crate) mod loads;
pub(crate) mod rates;

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use nftrace_tests::vm::{DebugKernel, Report, Vm};

use crate::figures::{Figures, Machine};

/// The name under which its figures are stored.
pub(crate) const NAME: &str = "native";

/// A part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Nanoseconds a packet
    Rates,
    /// Loading: the module, policies; memory
    Loads,
    /// Records a second
    Records,
    /// The core by itself, without a kernel
    Core,
    /// All of these
    All,
}

/// A machine, and what all of them need: its kernel knows one CPU.
fn vm(name: &str, script: &str, arguments: &[&str]) -> Vm {
    Vm::new(&format!("bench native {name}"))
        .script(script, arguments)
        .debug(DebugKernel::Plain)
        .with_command()
        .size(1, "3G")
        .timeout(Duration::from_secs(7200))
}

/// The processor, and what the kernel is.
fn machine_of(report: &Report) -> Result<Machine> {
    let text = report.file("machine.txt").context("machine.txt")?;
    let mut lines = text.lines().map(str::to_owned);
    let processor = processor()?;
    Ok(Machine {
        kernel: lines.next().unwrap_or_default(),
        mitigations: lines.next().unwrap_or_default(),
        qemu: format!("User Mode Linux, {}", processor.qemu),
        ..processor
    })
}

/// The processor.
fn processor() -> Result<Machine> {
    let processor = fs::read_to_string("/proc/cpuinfo").context("/proc/cpuinfo")?;
    let field = |name: &str| {
        let line = processor.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let load = fs::read_to_string("/proc/loadavg").context("/proc/loadavg")?;
    let load = load.split(' ').nth(1).unwrap_or("unknown");
    Ok(Machine {
        cpu: field("model name").unwrap_or_else(|| "unknown".to_owned()),
        qemu: format!("on a host whose load average was {load} then"),
        ..Machine::default()
    })
}

/// Measures a part, of the rates those with `only` in the names of their groups; `done` is
/// given what each machine measured, and the name under which that is stored.
///
/// # Errors
///
/// The first machine that failed.
pub(crate) fn measure(
    part: Part,
    only: &[String],
    mut done: impl FnMut(&str, Figures) -> Result<()>,
) -> Result<()> {
    let is = |which| part == which || part == Part::All;
    if is(Part::Records) {
        done(NAME, flood::measure()?)?;
    }
    if is(Part::Loads) {
        done(NAME, loads::measure()?)?;
    }
    if is(Part::Core) {
        done(core::NAME, core::measure()?)?;
    }
    if is(Part::Rates) {
        done(NAME, rates::measure(only)?)?;
    }
    Ok(())
}
