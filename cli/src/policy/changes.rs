// SPDX-License-Identifier: GPL-2.0

//! `nftrace confirm`, `rollback`, `flush`, `panic` and `history`: what is done to
//! policies that are there.

use std::collections::btree_map::{BTreeMap, Entry as Slot};
use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use nftrace_core::policy::control::{
    Entry, Event, ACCEPT_ALL, CONFIRM, DROP_ALL, END_PANIC, FLUSH, ROLLBACK,
};
use nftrace_device::Device;
use nftrace_policy::text_of;
use serde::Serialize;
use similar::{ChangeTag, TextDiff};

use super::kept::kept;
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

/// One change, as it is shown.
#[derive(Debug, Serialize)]
struct Shown {
    /// Seconds since 1970.
    time: f64,
    event: &'static str,
    before: u32,
    after: u32,
    /// Whether the policy behind it can be restored.
    kept: bool,
    uid: u32,
    pid: u32,
    program: String,
    /// Rules and other statements that came and went; none where they are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<Vec<String>>,
}

pub(crate) fn run_history(args: &HistoryArgs) -> anyhow::Result<ExitCode> {
    let device = args.device.open()?;
    let mut texts = Texts::new(&device);
    let mut out = output::standard();
    let entries = device.history()?;
    if entries.is_empty() && !args.json {
        writeln!(out, "no policy was loaded since the module was")?;
    }
    for entry in &entries {
        let shown = shown(entry, args.diff.then_some(&mut texts))?;
        if args.json {
            writeln!(out, "{}", serde_json::to_string(&shown)?)?;
        } else {
            print(&mut out, &shown)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The texts of generations that are still kept.
struct Texts<'a> {
    device: &'a Device,
    known: BTreeMap<u32, Option<String>>,
}

impl<'a> Texts<'a> {
    fn new(device: &'a Device) -> Self {
        // Without a policy there is no text.
        let known = BTreeMap::from([(0, Some(String::new()))]);
        Self { device, known }
    }

    fn of(&mut self, generation: u32) -> anyhow::Result<Option<&str>> {
        let text = match self.known.entry(generation) {
            Slot::Occupied(known) => known.into_mut(),
            Slot::Vacant(unknown) => {
                let kept = kept(self.device, Some(generation))?;
                unknown.insert(kept.and_then(|(_, blob)| Some(text_of(&blob.tables().ok()?))))
            }
        };
        Ok(text.as_deref())
    }

    /// The lines that differ, `-` and `+` before them.
    fn diff(&mut self, before: u32, after: u32) -> anyhow::Result<Option<Vec<String>>> {
        let Some(old) = self.of(before)?.map(str::to_owned) else {
            return Ok(None);
        };
        let Some(new) = self.of(after)? else {
            return Ok(None);
        };
        let diff = TextDiff::from_lines(old.as_str(), new);
        let changed = diff.iter_all_changes().filter_map(|change| {
            let sign = match change.tag() {
                ChangeTag::Equal => return None,
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
            };
            Some(format!("{sign} {}", change.value().trim_end()))
        });
        Ok(Some(changed.collect()))
    }
}

fn shown(entry: &Entry, texts: Option<&mut Texts<'_>>) -> anyhow::Result<Shown> {
    let program = entry.comm.split(|byte| *byte == 0).next();
    let diff = match texts {
        Some(texts) if entry.before != entry.after => texts.diff(entry.before, entry.after)?,
        _ => None,
    };
    Ok(Shown {
        time: Duration::from_nanos(entry.time).as_secs_f64(),
        event: Event::from_number(entry.event).map_or("?", Event::name),
        before: entry.before,
        after: entry.after,
        kept: entry.is_kept != 0,
        uid: entry.uid,
        pid: entry.pid,
        program: String::from_utf8_lossy(program.unwrap_or_default()).into_owned(),
        diff,
    })
}

fn print(out: &mut impl std::io::Write, shown: &Shown) -> anyhow::Result<()> {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs_f64(shown.time);
    let time = humantime::format_rfc3339_seconds(time);
    let generation = |number| match number {
        0 => "none".to_owned(),
        number => number.to_string(),
    };
    let way = if shown.before == shown.after {
        format!("generation {}", generation(shown.after))
    } else {
        format!(
            "generation {} -> {}",
            generation(shown.before),
            generation(shown.after)
        )
    };
    let by = if shown.pid == 0 {
        "the module's timer".to_owned()
    } else {
        format!("{}[{}], uid {}", shown.program, shown.pid, shown.uid)
    };
    let kept = if shown.kept { "" } else { "; no longer kept" };
    writeln!(out, "{time}  {:<12} {way}, by {by}{kept}", shown.event)?;
    for line in shown.diff.iter().flatten() {
        writeln!(out, "    {line}")?;
    }
    Ok(())
}
