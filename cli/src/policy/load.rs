// SPDX-License-Identifier: GPL-2.0

//! `nftrace load` and `nftrace try`

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use nftrace_core::policy::control::{Status, MAX_TRIAL, PANIC_OFF};
use nftrace_device::{Device, Loading};
use nftrace_policy::{dynamic_name_of, Blob};

use super::kept::tables;
use super::live::{in_force, keeping, ranges};
use super::resolver::Live;
use super::safety::{damage, Cut, Damage};
use super::source::{build, read, size, Compiled, Unknown};
use crate::names::Names;
use crate::output;
use crate::source::DeviceArgs;

/// How many connections are named that would be cut.
const NAMED: usize = 10;

/// Loads a policy in place of the one in force
///
/// It holds from the next packet on, in every namespace that there is and in all that
/// come, also for connections that are established. Whatever is wrong, the policy in
/// force stays as it is. 'nftrace rollback' brings the policy before back.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  nftrace check web.policy          is there anything wrong with it?
  nftrace try --for 60s web.policy  for a minute, unless 'nftrace confirm' comes
  nftrace load web.policy           for good

See docs/policy.md for the language.")]
pub(crate) struct LoadArgs {
    #[command(flatten)]
    common: CommonArgs,
}

/// Loads a policy for a while: unless 'nftrace confirm' comes in time, the one before is restored
///
/// The module itself does that, also when this command, its terminal or its namespace
/// is gone by then.
#[derive(Debug, clap::Args)]
pub(crate) struct TryArgs {
    /// For how long, as 60s, 5m or 1h
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = seconds)]
    period: u32,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, clap::Args)]
struct CommonArgs {
    /// The policy; - for standard input
    #[arg(value_name = "FILE")]
    file: String,
    /// Even if it cuts the SSH connection over which this runs
    #[arg(long)]
    force: bool,
    /// Dynamic sets that the policy in force has too, by their names, keep what is in them
    #[arg(long)]
    keep_sets: bool,
    /// Names of containers that are not there mean nothing, instead of being errors
    #[arg(long)]
    allow_unknown: bool,
    /// With all connections that it cuts, and how long what took
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

/// A time in whole seconds.
fn seconds(text: &str) -> Result<u32, String> {
    let digits = text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
    let number: u32 = digits
        .parse()
        .map_err(|_| "a time is wanted, as 60s, 5m or 1h".to_owned())?;
    let unit = match &text[digits.len()..] {
        "s" | "" => 1,
        "m" => 60,
        "h" => 3600,
        unit => return Err(format!("'{unit}' is no unit of time; use s, m or h")),
    };
    match number.checked_mul(unit) {
        Some(0) => Err("a trial of no time is none".to_owned()),
        Some(seconds) if seconds <= MAX_TRIAL => Ok(seconds),
        _ => Err("a trial lasts 24h at most".to_owned()),
    }
}

pub(crate) fn run_load(args: &LoadArgs) -> anyhow::Result<ExitCode> {
    run(&args.common, None)
}

pub(crate) fn run_try(args: &TryArgs) -> anyhow::Result<ExitCode> {
    run(&args.common, Some(args.period))
}

fn run(args: &CommonArgs, trial: Option<u32>) -> anyhow::Result<ExitCode> {
    let document = read(&args.file)?;
    let device = args.device.open()?;
    // Before names are resolved: what comes later is new to the policy.
    let status = device.status()?;
    let start = Instant::now();
    let unknown = if args.allow_unknown {
        Unknown::Mentioned
    } else {
        Unknown::Refused
    };
    let compiled = build(&document, &Live::new()?, unknown)?;
    let compiled_in = start.elapsed();
    let old = in_force(&device)?.map(|(_, blob)| blob);
    let found = find_damage(&compiled, old.as_ref(), args.keep_sets)?;
    if let Some(own) = &found.own {
        anyhow::ensure!(args.force, refusal(own, &compiled));
        eprintln!(
            "nftrace: warning: this cuts your own connection: {}",
            own.told(&compiled.program)
        );
    }
    warn(&found, &compiled, args.verbose);
    let start = Instant::now();
    let taken = device.load_policy(
        compiled.blob.bytes(),
        &Loading {
            epoch: status.epoch,
            trial,
            expected: Some(status.generation),
            keep_sets: args.keep_sets,
        },
    )?;
    let loaded_in = start.elapsed();
    say(&device, taken.generation, &compiled, trial, &status)?;
    if let Some(old) = old.filter(|_| !args.keep_sets) {
        begun_anew(&old, &compiled.blob)?;
    }
    if args.verbose {
        writeln!(
            output::standard(),
            "compiled in {compiled_in:.1?}; the kernel verified it in {:.1?} and put it in force in \
             {loaded_in:.1?}; it takes {} KiB there; a packet costs {} steps at most",
            taken.verified,
            taken.memory.div_ceil(1024),
            taken.bound,
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Says which dynamic sets have lost what was in them.
fn begun_anew(old: &Blob, new: &Blob) -> anyhow::Result<()> {
    let (old, new) = (tables(old)?, tables(new)?);
    for dynamic in new.dynamics {
        let name = new.dynamic_name(dynamic);
        let before = old.find_dynamic(name);
        let Some(before) = before.and_then(|number| old.dynamics.get(number)) else {
            continue;
        };
        let (before, now) = (old.elements(before), new.elements(dynamic));
        if before != now {
            let count = |len: usize| ranges(u32::try_from(len).unwrap_or(u32::MAX));
            eprintln!(
                "nftrace: the set '{}' begins anew with {}, in place of {}; --keep-sets keeps them",
                dynamic_name_of(&new, dynamic),
                count(now.len()),
                count(before.len()),
            );
        }
    }
    Ok(())
}

fn find_damage(
    compiled: &Compiled,
    old: Option<&Blob>,
    keeps_sets: bool,
) -> anyhow::Result<Damage> {
    let kept = match old {
        Some(old) if keeps_sets => Some(keeping(&compiled.blob, old)?),
        _ => None,
    };
    let old = old.map(tables).transpose()?;
    let new = tables(kept.as_ref().unwrap_or(&compiled.blob))?;
    Ok(damage(&new, old.as_ref(), &Names::snapshot()))
}

fn refusal(own: &Cut, compiled: &Compiled) -> String {
    format!(
        "not loaded: this would cut the SSH connection over which it is loaded:\n  {}\nLet that \
         pass, or try it for a while ('nftrace try --for 60s --force'), or say --force. The policy \
         in force stays",
        own.told(&compiled.program)
    )
}

fn warn(found: &Damage, compiled: &Compiled, verbose: bool) {
    let count = found.cuts.len();
    if count == 0 {
        return;
    }
    let s = if count == 1 { "" } else { "s" };
    eprintln!("nftrace: warning: this cuts {count} live connection{s}:");
    let named = if verbose { count } else { NAMED };
    for cut in found.cuts.iter().take(named) {
        eprintln!("  {}", cut.told(&compiled.program));
    }
    if count > named {
        eprintln!("  and {} more; --verbose shows all", count - named);
    }
}

fn say(
    device: &Device,
    generation: u32,
    compiled: &Compiled,
    trial: Option<u32>,
    before: &Status,
) -> anyhow::Result<()> {
    let size = size(&tables(&compiled.blob)?);
    let mut out = output::standard();
    match trial {
        None => writeln!(out, "generation {generation} is in force: {size}")?,
        Some(seconds) => writeln!(
            out,
            "generation {generation} is in force for {seconds} s: {size}\n'nftrace confirm' keeps \
             it; else {} is restored",
            match before.generation {
                0 => "having no policy".to_owned(),
                generation => format!("generation {generation}"),
            }
        )?,
    }
    if device.status()?.panic != PANIC_OFF {
        writeln!(
            out,
            "but 'nftrace panic' is on: the policy decides nothing until 'nftrace panic off'"
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_trial_has_a_unit_and_a_limit() {
        assert_eq!(seconds("90"), Ok(90));
        assert_eq!(seconds("5m"), Ok(300));
        assert_eq!(seconds("1h"), Ok(3600));
        for bad in ["", "m", "0s", "25h", "5d", "-1s", "1.5m"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
