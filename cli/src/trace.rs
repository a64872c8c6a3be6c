// SPDX-License-Identifier: GPL-2.0

//! `nftrace trace`

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use nftrace_core::ports::{ParseError, PortList};
use nftrace_core::trace::{Header, Spec};
use zerocopy::IntoBytes as _;

use crate::names::Names;
use crate::output;
use crate::pcap_filter;
use crate::source::DeviceArgs;

mod spec;

use spec::{quoted, Conditions, DeviceArg, PrefixArg, ProtocolArg, Told};

/// Sets what is traced
///
/// It holds for all readers and in all namespaces, also in those that come later, from
/// the next packet on until it is set again or the module is unloaded.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    device: DeviceArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    Set(Box<SetArgs>),
    /// Shows what is traced
    Show {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Traces nothing any more
    Off,
}

/// Traces the packets that meet all of these conditions
///
/// Of an option that is given several times, or with several values, one has to fit.
///
/// A flow is followed through NAT: once a packet matched, its later hooks in whatever
/// namespace are traced as well, however its addresses are rewritten; and so are the
/// other packets of its connection, in both directions and with every address and port
/// that they ever had. So it does not matter on which side of NAT a condition holds.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  nftrace trace set --port 8080
  nftrace trace set --host 10.0.0.0/8 --proto udp,icmp --ns web
  nftrace trace set -- 'tcp[tcpflags] & tcp-syn != 0 and host 10.0.0.3'")]
struct SetArgs {
    /// Ports and ranges of either end, as 8080,9000-9010
    #[arg(long = "port", short = 'p', value_name = "PORTS", value_parser = ports)]
    ports: Vec<String>,
    /// Protocols, by name or number
    #[arg(long = "proto", value_name = "PROTOCOL", value_delimiter = ',')]
    protocols: Vec<ProtocolArg>,
    /// Addresses or prefixes of either end
    #[arg(long = "host", value_name = "ADDRESS", value_delimiter = ',')]
    hosts: Vec<PrefixArg>,
    /// Namespaces: a name that 'nftrace ns' shows, a process (pid:N), a path, an inode number or a
    /// cookie (cookie:N)
    #[arg(long = "ns", value_name = "NAMESPACE", value_delimiter = ',')]
    namespaces: Vec<String>,
    /// Devices: that of the packet, or the one through which it came or leaves
    #[arg(long = "dev", value_name = "NAME", value_delimiter = ',')]
    devices: Vec<DeviceArg>,
    /// Everything, where there is no other condition
    #[arg(long)]
    all: bool,
    /// The matching packets only, not the connections that they belong to; so it is without saying
    /// where the expression looks into packets, as at TCP flags, or at their lengths
    #[arg(long)]
    packets: bool,
    /// To the kernel's log, too
    #[arg(long)]
    log: bool,
    /// A filter expression as of tcpdump; see pcap-filter(7)
    #[arg(last = true, value_name = "EXPRESSION")]
    expression: Vec<String>,
}

/// Ports in the grammar of the module's parameter, but at least one.
fn ports(text: &str) -> Result<String, String> {
    if text.trim_ascii().is_empty() {
        return Err(ParseError::NotAPort(text).to_string());
    }
    PortList::parse(text)
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Set(set) => return run_set(set, &args.device),
        Command::Show { json } => show(&args.device, *json)?,
        Command::Off => {
            args.device
                .open()?
                .set_filter(Header::default().as_bytes())?;
            writeln!(output::standard(), "nothing is traced")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What was typed cannot be right.
fn usage(error: impl std::fmt::Display) -> anyhow::Result<ExitCode> {
    eprintln!("nftrace: {error}");
    Ok(ExitCode::from(2))
}

fn run_set(set: &SetArgs, device: &DeviceArgs) -> anyhow::Result<ExitCode> {
    let expression = set.expression.join(" ");
    let expression = expression.trim();
    let lists = set.ports.len() + set.protocols.len() + set.hosts.len();
    let any = lists + set.namespaces.len() + set.devices.len() > 0 || !expression.is_empty();
    if any == set.all {
        return usage(if any {
            "--all stands alone: with other conditions not everything is traced"
        } else {
            "say what to trace, as in 'nftrace trace set --port 8080', or --all; see --help"
        });
    }
    let ports = set.ports.join(",");
    let ports = match ports.is_empty() {
        true => None,
        false => match PortList::parse(&ports) {
            Ok(list) => Some(list),
            Err(error) => return usage(format!("--port: {error}")),
        },
    };
    let instructions = match expression {
        "" => Vec::new(),
        expression => match pcap_filter::compile(expression) {
            Ok(program) => program,
            Err(refused) => return usage(refused),
        },
    };
    let device = device.open()?;
    let conditions = Conditions {
        flags: spec::flags(packets_only(set, expression), set.log),
        ports,
        protocols: set.protocols.clone(),
        hosts: set.hosts.clone(),
        namespaces: cookies(&set.namespaces)?,
        devices: set.devices.clone(),
        instructions,
        text: text(set, expression),
    };
    let bytes = match conditions.to_bytes() {
        Ok(bytes) => bytes,
        Err(error) => return usage(error),
    };
    device.set_filter(&bytes)?;
    writeln!(
        output::standard(),
        "traced from now on: {}",
        conditions.text
    )?;
    Ok(ExitCode::SUCCESS)
}

/// The cookies of the namespaces that the user means.
fn cookies(namespaces: &[String]) -> anyhow::Result<Vec<u64>> {
    if namespaces.is_empty() {
        return Ok(Vec::new());
    }
    let names = Names::snapshot();
    let cookie = |wanted: &String| {
        names.resolve(wanted)?.cookie.with_context(|| {
            format!(
                "the cookie of namespace '{wanted}' cannot be learnt; run it as root of the host"
            )
        })
    };
    namespaces.iter().map(cookie).collect()
}

/// Whether it is single packets that are asked for: then their connections are not.
fn packets_only(set: &SetArgs, expression: &str) -> bool {
    set.packets || pcap_filter::is_about_packets(expression)
}

/// The conditions as arguments, from which they can be set again.
fn text(set: &SetArgs, expression: &str) -> String {
    let mut words = Vec::new();
    let mut add =
        |option: &str, value: String| words.push(format!("--{option} {}", quoted(&value)));
    set.ports
        .iter()
        .for_each(|ports| add("port", ports.clone()));
    set.protocols
        .iter()
        .for_each(|protocol| add("proto", protocol.to_string()));
    set.hosts
        .iter()
        .for_each(|host| add("host", host.to_string()));
    set.namespaces
        .iter()
        .for_each(|namespace| add("ns", namespace.clone()));
    set.devices
        .iter()
        .for_each(|device| add("dev", device.to_string()));
    for (given, option) in [
        (set.all, "--all"),
        (packets_only(set, expression), "--packets"),
        (set.log, "--log"),
    ] {
        if given {
            words.push(option.to_owned());
        }
    }
    if !expression.is_empty() {
        words.push(format!("-- {}", quoted(expression)));
    }
    words.join(" ")
}

fn show(device: &DeviceArgs, json: bool) -> anyhow::Result<()> {
    let told = told(&device.open()?.filter()?)?;
    if json {
        writeln!(output::standard(), "{}", serde_json::to_string(&told)?)?;
    } else if told.is_enabled() {
        writeln!(output::standard(), "{}", told.filter)?;
    } else {
        writeln!(
            output::standard(),
            "nothing is traced; 'nftrace trace set' sets what is"
        )?;
    }
    Ok(())
}

fn told(bytes: &[u8]) -> anyhow::Result<Told> {
    let spec = Spec::new(bytes)
        .map_err(|error| anyhow::anyhow!("the module's filter cannot be read: {error}"))?;
    Ok(Told::of(&spec))
}

/// What is traced, as arguments of `trace set`; empty for nothing.
pub(crate) fn describe(bytes: &[u8]) -> String {
    told(bytes).map(|told| told.filter).unwrap_or_default()
}
