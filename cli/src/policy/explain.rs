// SPDX-License-Identifier: GPL-2.0

//! `nftrace explain`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use nftrace_core::policy::Place;
use nftrace_policy::explain::{
    explain, minds_new_namespaces, parse_packet, place, Described, Named,
};
use nftrace_policy::Blob;

use super::kept::tables;
use super::live;
use super::resolver::Live;
use super::source::{build, read, Unknown};
use super::test::cases;
use crate::output;
use crate::render::Style;
use crate::source::DeviceArgs;
use around::{AroundArgs, Here};
use print::Shown;

pub(super) mod around;
pub(super) mod print;
pub(super) mod way;

/// Says what the policy does with a packet, rule by rule
///
/// The kernel's own classifier is asked. Without --policy it is the policy in force, which
/// takes root; with it nothing but the file is needed.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "PACKET: [ipv4|ipv6] PROTO SRC[:PORT] > DST[:PORT] [flags syn,ack] [icmp TYPE[/CODE]]
  [in DEV] [out DEV] [fragment OFFSET] [malformed]
An IPv6 address stands in brackets before a port. What is left out is as in a new connection:
TCP's SYN, an echo request, a client's port.

Examples:
  nftrace explain 'tcp 10.0.0.3:5555 > 172.17.0.2:8080 in eth0' --at local_in --container web
  nftrace explain 'udp 10.0.0.3 > 192.0.2.1:53 in br0 out eth0' --policy web.policy
  nftrace explain 'tcp 10.0.0.3:5555 > [::1]:25' --at local_out --uid 1000 --state established"
)]
pub(crate) struct Args {
    /// The packet, as in 'tcp 10.0.0.3:5555 > 172.17.0.2:8080 in eth0'
    packet: String,
    /// Hooks, as in 'local_in' and 'bridge forward', or 'all'; without: those that a packet
    /// passes with these devices, up to the one where it ends
    #[arg(long, value_delimiter = ',', value_name = "HOOK")]
    at: Vec<String>,
    /// A policy's file, instead of the policy in force; - for standard input
    #[arg(long, value_name = "FILE")]
    policy: Option<String>,
    /// What names mean, as the table of names of this file of cases says it (see docs/policy-test.md)
    #[arg(long, value_name = "FILE", requires = "policy")]
    names: Option<PathBuf>,
    #[command(flatten)]
    around: AroundArgs,
    /// Only what becomes of it, without the rules that were tried
    #[arg(long, short)]
    quiet: bool,
    /// As JSON, one object a hook
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let packet = parse_packet(&args.packet).map_err(|report| anyhow::anyhow!("{report}"))?;
    let (places, is_way) = places(&args.at, &packet)?;
    let named = match &args.names {
        Some(file) => cases::read(file)?.names()?,
        None => Named::default(),
    };
    let (blob, program, around) = match &args.policy {
        Some(file) => {
            let here = match &args.names {
                Some(_) => Here::given(named.clone()),
                None => Here::machine()?,
            };
            let compiled = build(&read(file)?, &here, Unknown::Refused)?;
            let around = args.around.circumstances(&named, &here)?;
            here.warn();
            (compiled.blob, Some(compiled.program), around)
        }
        None => {
            let blob = in_force(&args.device)?;
            (
                blob,
                None,
                args.around.circumstances(&named, &Live::new()?)?,
            )
        }
    };
    let tables = tables(&blob)?;
    if minds_new_namespaces(&tables) && !args.around.new {
        eprintln!(
            "nftrace: the policy has another default in namespaces that are made after its load: \
             --new asks as in one of them"
        );
    }
    let packet = way::fitting(packet, &around);
    let found = way::ask(&places, is_way, |place| {
        explain(&tables, place, &packet, &around)
    });
    let shown = Shown {
        packet: &packet,
        around: &around,
        explanations: &found,
        program: program.as_ref(),
    };
    let mut out = output::standard();
    if args.json {
        shown.json(&mut out)?;
    } else {
        shown.text(&mut out, args.quiet, Style::of_stdout())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn in_force(device: &DeviceArgs) -> anyhow::Result<Blob> {
    let device = device
        .open()
        .context("the policy in force cannot be asked for (--policy FILE explains a file's)")?;
    let (_, blob) = live::in_force(&device)?
        .context("no policy is in force: everything passes; --policy FILE explains a file's")?;
    Ok(blob)
}

/// The hooks that are asked, and whether the packet ends where it does not go on.
fn places(at: &[String], packet: &Described) -> anyhow::Result<(Vec<Place>, bool)> {
    if at.is_empty() {
        return Ok(way::usual(packet));
    }
    let mut places = Vec::new();
    for name in at {
        if name.trim() == "all" {
            places.extend(Place::all().filter(|place| !place.is_bridge));
        } else {
            places.push(place(name).map_err(anyhow::Error::msg)?);
        }
    }
    Ok((places, false))
}
