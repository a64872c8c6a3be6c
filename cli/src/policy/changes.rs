// SPDX-License-Identifier: GPL-2.0

//! `nftrace confirm`, `rollback`, `flush`, `panic` and `history`: what is done to
//! policies that are there.

use std::io::Write as _;
use std::process::ExitCode;

use nftrace_core::policy::control::{
    Entry, Event, ACCEPT_ALL, CONFIRM, DROP_ALL, END_PANIC, FLUSH, ROLLBACK,
};

use crate::output;
use crate::source::DeviceArgs;

/// Keeps the policy that is on trial
#[derive(Debug, clap::Args)]
pub(crate) struct ConfirmArgs {
    /// Only if this generation is on trial
    generation: Option<u32>,
    #[command(flatten)]
    device: DeviceArgs,
}

/// Restores the policy before the one in force, or an earlier one
///
/// 'nftrace history' shows which generations are kept.
#[derive(Debug, clap::Args)]
pub(crate) struct RollbackArgs {
    /// The generation to restore; 0 for having no policy
    generation: Option<u32>,
    #[command(flatten)]
    device: DeviceArgs,
}

/// Takes the policy out of force: everything passes
///
/// 'nftrace rollback' brings it back.
#[derive(Debug, clap::Args)]
pub(crate) struct FlushArgs {
    #[command(flatten)]
    device: DeviceArgs,
}

/// In an emergency: lets everything pass, or nothing, whatever the policy says
///
/// The policy stays loaded; 'nftrace panic off' has it decide again.
#[derive(Debug, clap::Args)]
pub(crate) struct PanicArgs {
    #[arg(value_enum)]
    what: Panic,
    #[command(flatten)]
    device: DeviceArgs,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Panic {
    /// Everything passes
    Accept,
    /// Nothing passes but what stays on lo
    Drop,
    /// The policy decides again
    Off,
}

pub(crate) fn run_confirm(args: &ConfirmArgs) -> anyhow::Result<ExitCode> {
    let now = args
        .device
        .open()?
        .change_policy(CONFIRM, args.generation)?;
    writeln!(output::standard(), "generation {now} stays in force")?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn run_rollback(args: &RollbackArgs) -> anyhow::Result<ExitCode> {
    let now = args
        .device
        .open()?
        .change_policy(ROLLBACK, args.generation)?;
    say_in_force(now)
}

pub(crate) fn run_flush(args: &FlushArgs) -> anyhow::Result<ExitCode> {
    let now = args.device.open()?.change_policy(FLUSH, None)?;
    say_in_force(now)
}

fn say_in_force(generation: u32) -> anyhow::Result<ExitCode> {
    let mut out = output::standard();
    match generation {
        0 => writeln!(out, "no policy is in force: everything passes")?,
        now => writeln!(out, "generation {now} is in force again")?,
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn run_panic(args: &PanicArgs) -> anyhow::Result<ExitCode> {
    let device = args.device.open()?;
    let (what, said) = match args.what {
        Panic::Accept => (ACCEPT_ALL, "everything passes, whatever the policy says"),
        Panic::Drop => (DROP_ALL, "nothing passes but what stays on lo"),
        Panic::Off => (END_PANIC, "the policy decides again"),
    };
    device.change_policy(what, None)?;
    writeln!(output::standard(), "{said}")?;
    Ok(ExitCode::SUCCESS)
}

/// Shows who changed the policy, when, and how
#[derive(Debug, clap::Args)]
pub(crate) struct HistoryArgs {
    /// With the rules that each change added and took away, where they are still known
    #[arg(long)]
    diff: bool,
    /// As JSON, one object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

pub(crate) fn run_history(args: &HistoryArgs) -> anyhow::Result<ExitCode> {
    let _: Vec<Entry> = args.device.open()?.history()?;
    let _ = (args.diff, args.json, Event::Load);
    anyhow::bail!("not built yet")
}
