// SPDX-License-Identifier: GPL-2.0

//! `nftrace lab`

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{ensure, Context as _};
use clap::Subcommand;
use nftrace_device::Error;
use serde::Serialize;

use crate::output;
use crate::source::DeviceArgs;

mod catalog;
mod needs;
mod sandbox;
mod state;
mod watched;

use catalog::Scenario;
use needs::{Kernel, Need, State};
use sandbox::Sandbox;

/// Brings a scenario up, drives traffic through it, and takes it down
///
/// A lab is in namespaces of its own: what it calls the host is none of this machine's,
/// and nothing of it is left when it ends, in whatever way.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Verb,
    #[command(flatten)]
    device: DeviceArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Lists the scenarios, what each needs, and whether it is there
    List {
        /// Only this one, with its drawing
        name: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Brings a scenario up and leaves it up
    Up(Which),
    /// Brings a scenario up, runs its traffic, shows the journeys, takes it down
    ///
    /// One that is up is used as it is, and stays up.
    Run {
        #[command(flatten)]
        which: Which,
        /// The journeys as JSON
        #[arg(long, group = "form")]
        json: bool,
        /// The journeys as a Mermaid diagram
        #[arg(long, group = "form")]
        mermaid: bool,
        /// The journeys as a page
        #[arg(long, group = "form")]
        html: bool,
    },
    /// Takes down what 'up' brought up
    Down {
        /// As S6
        name: String,
    },
    #[command(hide = true)]
    Guard,
}

#[derive(Debug, clap::Args)]
struct Which {
    /// As S6
    name: String,
    /// One of those that 'lab list' shows; else the first
    variant: Option<String>,
    /// Do not show the commands that bring it up
    #[arg(long, short)]
    quiet: bool,
}

/// A scenario that is there, and the variant that is meant.
struct Chosen {
    scenario: Scenario,
    variant: String,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Verb::List { name, json } => list(name.as_deref(), *json),
        Verb::Guard => watched::guard(&args.device).map(|()| ExitCode::SUCCESS),
        Verb::Down { name } => match Scenario::find(name) {
            Some(scenario) => down(scenario),
            None => Ok(unknown(name)),
        },
        Verb::Up(which) => match choose(which) {
            Ok(chosen) => up(&chosen, which.quiet),
            Err(code) => Ok(code),
        },
        Verb::Run {
            which,
            json,
            mermaid,
            html,
        } => {
            let forms = [
                (*json, "--json"),
                (*mermaid, "--mermaid"),
                (*html, "--html"),
            ];
            let options: Vec<&str> = forms
                .iter()
                .filter(|(set, _)| *set)
                .map(|(_, option)| *option)
                .collect();
            match choose(which) {
                Ok(chosen) => drive(&chosen, which.quiet, &options, &args.device),
                Err(code) => Ok(code),
            }
        }
    }
}

fn unknown(name: &str) -> ExitCode {
    let names: Vec<&str> = Scenario::all().map(Scenario::name).collect();
    eprintln!(
        "nftrace: there is no scenario '{name}'; there are {}: see 'nftrace lab list'",
        names.join(", ")
    );
    ExitCode::from(2)
}

fn choose(which: &Which) -> Result<Chosen, ExitCode> {
    let scenario = Scenario::find(&which.name).ok_or_else(|| unknown(&which.name))?;
    let variants = scenario.variants();
    let variant = match &which.variant {
        Some(wanted) if variants.contains(&wanted.as_str()) => wanted.clone(),
        Some(wanted) => {
            let name = scenario.name();
            eprintln!(
                "nftrace: {name} has no variant '{wanted}'; it has {}",
                variants.join(", ")
            );
            return Err(ExitCode::from(2));
        }
        None => variants.first().copied().unwrap_or_default().to_owned(),
    };
    Ok(Chosen { scenario, variant })
}

#[derive(Serialize)]
struct Listed {
    name: &'static str,
    about: &'static str,
    variants: Vec<&'static str>,
    ports: Vec<&'static str>,
    needs: Vec<Need>,
    ready: bool,
    up: Option<i32>,
}

fn list(name: Option<&str>, json: bool) -> anyhow::Result<ExitCode> {
    let wanted: Vec<Scenario> = match name.map(|name| (name, Scenario::find(name))) {
        None => Scenario::all().collect(),
        Some((_, Some(scenario))) => vec![scenario],
        Some((name, None)) => return Ok(unknown(name)),
    };
    let kernel = Kernel::running();
    let mut out = output::standard();
    for scenario in wanted {
        let needs = needs::of(scenario, &kernel);
        let listed = Listed {
            name: scenario.name(),
            about: scenario.about(),
            variants: scenario.variants(),
            ports: scenario.ports(),
            ready: needs.iter().all(|need| need.state != State::Missing),
            needs,
            up: state::of(scenario).map(|up| up.process.pid),
        };
        if json {
            writeln!(out, "{}", serde_json::to_string(&listed)?)?;
        } else {
            if name.is_some() {
                writeln!(out, "{}\n", scenario.description())?;
            }
            print_listed(&mut out, &listed, name.is_none())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print_listed(out: &mut impl Write, listed: &Listed, title: bool) -> io::Result<()> {
    if title {
        writeln!(out, "{:<4} {}", listed.name, listed.about)?;
    }
    let of = |kind: &str, state: &[State]| {
        let needs = listed
            .needs
            .iter()
            .filter(|need| need.kind == kind && state.contains(&need.state));
        needs
            .map(|need| need.name.as_str())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let there = [State::There, State::Loadable, State::Unknown];
    let mut line = |what: &str, text: String| match &*text {
        "" => Ok(()),
        text => writeln!(out, "     {what:<9} {text}"),
    };
    line("variants", listed.variants.join(" "))?;
    for (kind, what) in [
        ("program", "programs"),
        ("module", "modules"),
        ("user", "user"),
    ] {
        line(what, of(kind, &there))?;
    }
    let missing = ["program", "module", "user"].map(|kind| {
        let names = of(kind, &[State::Missing]);
        if names.is_empty() {
            names
        } else {
            format!("{kind} {names}")
        }
    });
    line(
        "missing",
        missing
            .into_iter()
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join(", "),
    )?;
    match listed.up {
        Some(pid) => line("up", format!("as process {pid}")),
        None => Ok(()),
    }
}

/// A sandbox with the scenario up in it.
fn bring_up(chosen: &Chosen, quiet: bool, hold: bool) -> anyhow::Result<Sandbox> {
    let scenario = chosen.scenario;
    let missing: Vec<String> = needs::of(scenario, &Kernel::running())
        .into_iter()
        .filter(|need| need.state == State::Missing)
        .map(|need| match need.kind {
            "user" => need.name,
            kind => format!("{kind} {}", need.name),
        })
        .collect();
    ensure!(
        missing.is_empty(),
        "{} cannot run here, it needs {}; in the VM it can: make lab SCENARIO={}",
        scenario.name(),
        missing.join(", "),
        scenario.name()
    );
    if scenario.modules().contains(&"br_netfilter") {
        load_br_netfilter()?;
    }
    let sandbox = Sandbox::start(hold)?;
    let up = sandbox.process.step(scenario, "up", &chosen.variant, quiet);
    if up.is_err() && hold {
        sandbox.process.kill()?;
    }
    up.map(|()| sandbox)
}

/// Once it is there, it is in force for every bridge of the machine, the user's own
/// too: so not outside of the lab.
fn load_br_netfilter() -> anyhow::Result<()> {
    let settings = Path::new("/proc/sys/net/bridge");
    if settings.exists() {
        return Ok(());
    }
    let status = Command::new("modprobe")
        .arg("br_netfilter")
        .status()
        .context("modprobe")?;
    ensure!(status.success(), "br_netfilter cannot be loaded");
    for name in ["arptables", "ip6tables", "iptables"] {
        let file = settings.join(format!("bridge-nf-call-{name}"));
        fs::write(&file, "0").with_context(|| file.display().to_string())?;
    }
    Ok(())
}

fn up(chosen: &Chosen, quiet: bool) -> anyhow::Result<ExitCode> {
    let scenario = chosen.scenario;
    let name = scenario.name();
    if let Some(up) = state::of(scenario) {
        eprintln!(
            "nftrace: {name} is up already, as {}: nftrace lab down {name}",
            up.variant
        );
        return Ok(ExitCode::FAILURE);
    }
    let process = bring_up(chosen, quiet, true)?.process;
    let remembered = state::remember(
        scenario,
        &state::Up {
            process,
            variant: chosen.variant.clone(),
        },
    );
    if let Err(error) = remembered {
        process.kill()?;
        return Err(error);
    }
    let pid = process.pid;
    writeln!(
        output::standard(),
        "{name} ({}) is up in the namespaces of process {pid}.\n  \
           traffic:   nftrace lab run {name}\n  \
           look:      nsenter --target {pid} --mount --net --pid ip netns exec ROLE COMMAND\n  \
           take down: nftrace lab down {name}",
        chosen.variant
    )?;
    Ok(ExitCode::SUCCESS)
}

fn down(scenario: Scenario) -> anyhow::Result<ExitCode> {
    let name = scenario.name();
    let Some(up) = state::of(scenario) else {
        state::forget(scenario);
        eprintln!("nftrace: {name} is not up");
        return Ok(ExitCode::FAILURE);
    };
    // Control groups are the machine's: they do not go with the namespaces.
    let undone = up.process.step(scenario, "down", &up.variant, true);
    up.process.kill()?;
    state::forget(scenario);
    undone?;
    writeln!(output::standard(), "{name} is down")?;
    Ok(ExitCode::SUCCESS)
}

/// The filter that is in force, or why nothing can be recorded. The traffic alone is of
/// use too, unless its journeys are wanted as something for a program to read.
fn what_is_traced(device: &DeviceArgs, options: &[&str]) -> anyhow::Result<Result<Vec<u8>, Error>> {
    match device.open() {
        Ok(device) => Ok(Ok(device.filter()?)),
        Err(error @ (Error::NotLoaded { .. } | Error::Permission { .. })) if options.is_empty() => {
            Ok(Err(error))
        }
        Err(error) => Err(error.into()),
    }
}

fn drive(
    chosen: &Chosen,
    quiet: bool,
    options: &[&str],
    device: &DeviceArgs,
) -> anyhow::Result<ExitCode> {
    let scenario = chosen.scenario;
    let before = what_is_traced(device, options)?;
    let existing = state::of(scenario);
    let (process, variant, sandbox) = match existing {
        Some(up) => (up.process, up.variant, None),
        None => {
            let sandbox = bring_up(chosen, quiet, false)?;
            (sandbox.process, chosen.variant.clone(), Some(sandbox))
        }
    };
    let result = match before {
        Ok(before) => watched::run(&before, process, scenario, &variant, options),
        Err(error) => {
            eprintln!("nftrace: there will be no journeys: {error}");
            process.step(scenario, "traffic", &variant, quiet)
        }
    };
    if sandbox.is_some() {
        // As above; the rest goes with the sandbox.
        process.step(scenario, "down", &variant, true)?;
    }
    result?;
    Ok(ExitCode::SUCCESS)
}
