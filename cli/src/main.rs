// SPDX-License-Identifier: GPL-2.0

//! `nftrace`: shows the way of packets through the network namespaces of a host.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod doctor;
mod exec;
mod hooks;
mod lab;
mod live_names;
mod names;
mod netlink;
mod ns;
mod output;
mod path;
mod pcap_filter;
mod pcapng;
mod record;
mod recording;
mod render;
mod source;
mod stop;
mod summary;
mod trace;
mod watch;

/// Shows the way of packets through the network namespaces of a host.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// One file for each subcommand, which has its arguments as `Args` and does its
/// work in `run`.
#[derive(Debug, Subcommand)]
enum Command {
    Watch(watch::Args),
    Record(record::Args),
    Path(path::Args),
    Trace(trace::Args),
    Ns(ns::Args),
    Exec(exec::Args),
    Doctor(doctor::Args),
    Lab(lab::Args),
}

/// Exit codes: 0 ok, 1 failed, 2 usage (clap's own); `exec` passes on its program's.
fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        Command::Watch(args) => watch::run(args),
        Command::Record(args) => record::run(args),
        Command::Path(args) => path::run(args),
        Command::Trace(args) => trace::run(args),
        Command::Ns(args) => ns::run(args),
        Command::Exec(args) => exec::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Lab(args) => lab::run(args),
    };
    result.unwrap_or_else(|error| {
        if output::is_closed(&error) {
            return ExitCode::SUCCESS;
        }
        eprintln!("nftrace: {error:#}");
        ExitCode::FAILURE
    })
}
