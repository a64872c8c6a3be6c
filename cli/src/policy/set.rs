// SPDX-License-Identifier: GPL-2.0

//! `nftrace set`

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use nftrace_core::policy::control::{SET_ADD, SET_DELETE};
use nftrace_device::{Device, Error, SetChanged};
use nftrace_policy::ast::AddressRange;
use nftrace_policy::{elements, parse, text_of, Addresses, Blob, Statement};
use serde::Serialize;

use super::kept::{kept, tables};
use super::live::{in_force, ranges, sizes, with, Size};
use super::safety::{concerns_own, own_cut_now};
use super::source::Wrong;
use crate::output;
use crate::source::DeviceArgs;

/// Changes the dynamic sets of the policy in force
///
/// What is added or deleted counts from the next packet on, also for connections that are
/// established. The policy, its generation and its counters stay as they are. A set can be
/// changed where the policy says so: set banned dynamic = {}
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  nftrace set add banned 192.0.2.7 198.51.100.0/24 2001:db8::/32
  nftrace set del banned 198.51.100.128-198.51.100.255
  nftrace set add banned -f list.txt        one element a line, as in a set's file
  nftrace set list banned")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Adds addresses to a set: all of them, or none
    Add(ChangeArgs),
    /// Deletes addresses from a set: all of them, or none; of a prefix the rest stays
    #[command(visible_alias = "delete")]
    Del(ChangeArgs),
    /// Shows the sets with their sizes, or what is in one
    List(ListArgs),
}

#[derive(Debug, clap::Args)]
struct ChangeArgs {
    /// The set, as in 'banned' or '@banned'
    #[arg(value_name = "NAME")]
    name: String,
    /// An address, a prefix or a range
    #[arg(value_name = "ELEMENT", required_unless_present = "file")]
    elements: Vec<String>,
    /// Those in a file, one a line, '#' begins a comment; - for standard input
    #[arg(long, short, value_name = "FILE")]
    file: Option<String>,
    /// Only if this generation is in force
    #[arg(long, value_name = "NUMBER")]
    generation: Option<u32>,
    /// Even if it cuts the SSH connection over which this runs
    #[arg(long)]
    force: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// The set whose elements are shown, one a line
    name: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.what {
        What::Add(args) => change(args, SET_ADD),
        What::Del(args) => change(args, SET_DELETE),
        What::List(args) => match &args.name {
            Some(name) => list(args, bare(name)),
            None => list_all(args),
        },
    }
}

/// A name as rules say it, too.
fn bare(name: &str) -> &str {
    name.strip_prefix('@').unwrap_or(name)
}

/// What was given: elements, and those of a file.
fn given(args: &ChangeArgs) -> anyhow::Result<Addresses> {
    let mut text = args.elements.join("\n");
    let mut name = "the elements";
    if let Some(file) = &args.file {
        let read = if file == "-" {
            let mut read = String::new();
            std::io::stdin().read_to_string(&mut read).map(|_| read)
        } else {
            fs::read_to_string(file)
        };
        let read = read.with_context(|| format!("cannot read {file}"))?;
        // What stands on the command line comes last, so that lines are those of the file.
        text = format!("{read}\n{text}");
        name = if file == "-" { "standard input" } else { file };
    }
    Ok(elements(name, &text).map_err(Wrong::from)?)
}

#[derive(Debug, Serialize)]
struct Said<'a> {
    set: &'a str,
    given: usize,
    changed: u32,
    ranges: Size,
}

fn change(args: &ChangeArgs, what: u32) -> anyhow::Result<ExitCode> {
    let name = bare(&args.name);
    let batch = given(args)?;
    let device = args.device.open()?;
    if !args.force && concerns_own(|address| batch.elements().has(address)) {
        permit(&device, name, &batch, what)?;
    }
    let changed = device
        .change_set(name, what, batch.elements(), args.generation)
        .map_err(|error| explained(&device, error))?;
    let SetChanged {
        changed,
        now4,
        now6,
    } = changed;
    let said = Said {
        set: name,
        given: batch.elements().len(),
        changed,
        ranges: Size {
            ipv4: now4,
            ipv6: now6,
        },
    };
    let mut out = output::standard();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&said)?)?;
    } else {
        writeln!(out, "{}", told(&said, what))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn told(said: &Said<'_>, what: u32) -> String {
    let Said {
        set,
        given,
        changed,
        ..
    } = *said;
    let now = ranges(said.ranges.total());
    let unchanged = given.saturating_sub(changed as usize);
    let (done, not) = match what {
        SET_ADD => ("added", "there already"),
        _ => ("deleted", "not there"),
    };
    let rest = match unchanged {
        0 => String::new(),
        1 => format!(", 1 was {not}"),
        some => format!(", {some} were {not}"),
    };
    format!("{set}: {changed} {done}{rest}; it has {now} now")
}

/// Refuses what cuts the connection over which this runs.
fn permit(device: &Device, name: &str, batch: &Addresses, what: u32) -> anyhow::Result<()> {
    let Some((_, before)) = in_force(device)? else {
        return Ok(());
    };
    let old = tables(&before)?;
    let behind = with(&before, |one| {
        if one != name.as_bytes() {
            return None;
        }
        let elements = old.elements(old.dynamics.get(old.find_dynamic(one)?)?);
        let now = Addresses {
            v4: elements.v4.to_vec(),
            v6: elements.v6.to_vec(),
        };
        Some(match what {
            SET_ADD => now.with(batch),
            _ => now.without(batch),
        })
    })?;
    let cut = own_cut_now(&tables(&behind)?);
    if let (Some(cut), None) = (cut, own_cut_now(&old)) {
        anyhow::bail!(
            "nothing was changed: this would cut the SSH connection over which it runs:\n  {}, at \
             {}\nLeave that address out, or say --force",
            cut.connection,
            cut.hook.name()
        );
    }
    Ok(())
}

/// The error with what there is instead.
fn explained(device: &Device, error: Error) -> anyhow::Error {
    let Error::NoSet { name } = &error else {
        return error.into();
    };
    match kept(device, None) {
        Ok(Some((_, blob))) => no_set(&blob, name).unwrap_or_else(|_| error.into()),
        _ => error.into(),
    }
}

fn no_set(blob: &Blob, name: &str) -> anyhow::Result<anyhow::Error> {
    let tables = tables(blob)?;
    let policy = parse(&text_of(&tables)).map_err(Wrong::from)?;
    let (mut is_there, mut dynamic) = (false, Vec::new());
    for statement in policy.statements {
        if let Statement::Set(set) = statement {
            is_there |= set.name == name;
            if set.dynamic {
                dynamic.push(set.name);
            }
        }
    }
    if is_there {
        return Ok(anyhow::anyhow!(
            "the set '{name}' is not dynamic: it changes with the policy only; write 'set {name} \
             dynamic = …' there, and load it"
        ));
    }
    dynamic.sort();
    let there = match dynamic.len() {
        0 => format!("none is dynamic; declare one in the policy: set {name} dynamic = {{}}"),
        _ => format!("those that can be changed: {}", dynamic.join(", ")),
    };
    Ok(anyhow::anyhow!(
        "the policy in force has no set '{name}'; {there}"
    ))
}

#[derive(Debug, Serialize)]
struct Listed<'a> {
    generation: u32,
    set: &'a str,
    ranges: Size,
    /// Addresses of IPv4; of IPv6 there may be more than a number can say.
    addresses: u64,
    elements: Vec<String>,
}

fn list(args: &ListArgs, name: &str) -> anyhow::Result<ExitCode> {
    let device = args.device.open()?;
    let Some(found) = device.set(name, None)? else {
        anyhow::ensure!(device.status()?.generation != 0, Error::NoPolicy);
        let name = name.to_owned();
        return Err(explained(&device, Error::NoSet { name }));
    };
    let addresses = Addresses {
        v4: found.v4,
        v6: found.v6,
    };
    let mut out = output::standard();
    if args.json {
        let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let spans = addresses.v4.iter();
        let listed = Listed {
            generation: found.generation,
            set: name,
            ranges: Size {
                ipv4: count(addresses.v4.len()),
                ipv6: count(addresses.v6.len()),
            },
            addresses: spans
                .map(|one| u64::from(one.high) - u64::from(one.low) + 1)
                .sum(),
            elements: addresses.ranges().map(|one| one.to_string()).collect(),
        };
        writeln!(out, "{}", serde_json::to_string(&listed)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    for range in addresses.ranges() {
        write_range(&mut out, range)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn write_range(out: &mut impl std::io::Write, range: AddressRange) -> anyhow::Result<()> {
    Ok(writeln!(out, "{range}")?)
}

#[derive(Debug, Serialize)]
struct Entry {
    set: String,
    ranges: Size,
}

fn list_all(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let device = args.device.open()?;
    let mut out = output::standard();
    let (generation, sizes) = match kept(&device, None)? {
        Some((generation, blob)) => (generation, sizes(&device, generation, &tables(&blob)?)?),
        None => (0, Vec::new()),
    };
    if args.json {
        let entry = |(set, ranges)| Entry { set, ranges };
        let sets: Vec<Entry> = sizes.into_iter().map(entry).collect();
        let all = serde_json::json!({ "generation": generation, "sets": sets });
        writeln!(out, "{all}")?;
        return Ok(ExitCode::SUCCESS);
    }
    if generation == 0 {
        writeln!(out, "# no policy is in force")?;
    } else if sizes.is_empty() {
        writeln!(
            out,
            "# generation {generation} has no dynamic set; a policy declares one: set banned \
             dynamic = {{}}"
        )?;
    } else {
        writeln!(out, "# generation {generation}, addresses")?;
    }
    for (name, Size { ipv4, ipv6 }) in sizes {
        let of = |count: u32, family| format!("{} of {family}", ranges(count));
        writeln!(out, "{name}: {}, {}", of(ipv4, "IPv4"), of(ipv6, "IPv6"))?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_is_told_with_what_was_not() {
        let said = |given, changed, ipv4| Said {
            set: "banned",
            given,
            changed,
            ranges: Size { ipv4, ipv6: 0 },
        };
        assert_eq!(
            told(&said(1, 1, 1), SET_ADD),
            "banned: 1 added; it has 1 range now"
        );
        assert_eq!(
            told(&said(3, 2, 17), SET_ADD),
            "banned: 2 added, 1 was there already; it has 17 ranges now"
        );
        assert_eq!(
            told(&said(3, 0, 0), SET_DELETE),
            "banned: 0 deleted, 3 were not there; it has 0 ranges now"
        );
    }

    #[test]
    fn a_set_is_named_with_or_without_its_sign() {
        assert_eq!((bare("banned"), bare("@banned")), ("banned", "banned"));
    }
}
