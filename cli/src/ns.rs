// SPDX-License-Identifier: GPL-2.0

//! `nftrace ns`

use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;

use crate::names::{Names, Namespace};
use crate::output;

/// Lists the network namespaces, with their names
///
/// Names come from Docker, Podman, containerd, CRI-O, LXC, `ip netns` and systemd.
/// What cannot be seen is said on standard error.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Show only this one, in full: a name, container:NAME, netns:NAME, pid:N, a
    /// path, an inode number or a cookie
    namespace: Option<String>,
    /// Also list the namespaces that are gone and whose names are remembered
    #[arg(short, long)]
    all: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// What is shown of a namespace.
#[derive(Serialize)]
struct Shown<'a> {
    /// None: nobody gave it one.
    name: Option<String>,
    kind: Option<&'static str>,
    /// None: it could not be seen.
    devices: Option<Vec<String>>,
    #[serde(flatten)]
    namespace: &'a Namespace,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let names = Names::snapshot();
    let mut out = output::standard();
    let result = match &args.namespace {
        Some(spec) => {
            let namespace = names.resolve(spec)?;
            let shown = show(&names, &namespace);
            if args.json {
                json(&mut out, &[shown])
            } else {
                details(&mut out, &shown)
            }
        }
        None => {
            let wanted = names.namespaces.iter().filter(|n| args.all || !n.gone);
            let shown: Vec<Shown<'_>> = wanted.map(|n| show(&names, n)).collect();
            let result = if args.json {
                json(&mut out, &shown)
            } else {
                table(&mut out, &shown)
            };
            for note in &names.unseen {
                eprintln!("nftrace: {note}");
            }
            result
        }
    };
    result?;
    Ok(ExitCode::SUCCESS)
}

fn show<'a>(names: &Names, namespace: &'a Namespace) -> Shown<'a> {
    Shown {
        name: names.display(namespace),
        kind: namespace.kind().map(crate::names::Kind::name),
        devices: namespace.devices().ok(),
        namespace,
    }
}

fn json(out: &mut impl Write, shown: &[Shown<'_>]) -> io::Result<()> {
    for one in shown {
        serde_json::to_writer(&mut *out, one)?;
        writeln!(out)?;
    }
    Ok(())
}

fn table(out: &mut impl Write, shown: &[Shown<'_>]) -> io::Result<()> {
    let head = ["NAME", "KIND", "INODE", "COOKIE", "DEVICES", "PROCESSES"].map(str::to_owned);
    let mut rows = vec![head];
    rows.extend(shown.iter().map(|one| {
        let absent = || "-".to_owned();
        [
            one.name.clone().unwrap_or_else(|| "unknown".to_owned()),
            one.kind.map_or_else(absent, str::to_owned),
            one.namespace.inode.to_string(),
            one.namespace
                .cookie
                .map_or_else(absent, |cookie| cookie.to_string()),
            one.devices
                .as_ref()
                .map_or_else(absent, |devices| devices.len().to_string()),
            inhabitants(one.namespace),
        ]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..5).filter_map(width).collect();
    for row in &rows {
        for (cell, width) in row.iter().zip(&widths) {
            write!(out, "{cell:width$}  ")?;
        }
        writeln!(out, "{}", row[5])?;
    }
    Ok(())
}

/// `3: nginx (12), nginx (13), …`
fn inhabitants(namespace: &Namespace) -> String {
    let processes = &namespace.processes;
    if processes.is_empty() {
        return "0".to_owned();
    }
    let some: Vec<String> = processes
        .iter()
        .take(2)
        .map(|p| format!("{} ({})", p.comm, p.pid))
        .collect();
    let more = if processes.len() > some.len() {
        ", …"
    } else {
        ""
    };
    format!("{}: {}{more}", processes.len(), some.join(", "))
}

fn details(out: &mut impl Write, shown: &Shown<'_>) -> io::Result<()> {
    let namespace = shown.namespace;
    let mut line = |key: &str, value: &str| writeln!(out, "{key:<11}{value}");
    line("name", shown.name.as_deref().unwrap_or("unknown"))?;
    line("inode", &namespace.inode.to_string())?;
    let cookie = namespace.cookie.map(|cookie| cookie.to_string());
    line(
        "cookie",
        cookie.as_deref().unwrap_or("not seen (run as root)"),
    )?;
    for name in &namespace.names {
        let id = name
            .id
            .as_ref()
            .map_or_else(String::new, |id| format!(" {id}"));
        let shared = if name.shared {
            ", in another's network"
        } else {
            ""
        };
        line("known as", &format!("{name}{id}{shared}"))?;
    }
    for mount in &namespace.mounts {
        line("mounted at", &mount.display().to_string())?;
    }
    let devices = shown.devices.as_ref().map(|devices| devices.join(", "));
    line("devices", devices.as_deref().unwrap_or("not seen"))?;
    for process in &namespace.processes {
        line("process", &format!("{} {}", process.pid, process.comm))?;
    }
    Ok(())
}
