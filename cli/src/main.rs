// SPDX-License-Identifier: GPL-2.0

//! `nftrace`: shows the way of packets through the network namespaces of a host, and
//! holds them to a policy.

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
mod policy;
mod record;
mod recording;
mod render;
mod source;
mod stop;
mod summary;
mod trace;
mod watch;

/// Shows the way of packets through the network namespaces of a host, and holds them to a policy
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
    Load(policy::load::LoadArgs),
    Check(policy::check::Args),
    Show(policy::show::Args),
    Set(policy::set::Args),
    Try(policy::load::TryArgs),
    Confirm(policy::changes::ConfirmArgs),
    Rollback(policy::changes::RollbackArgs),
    Flush(policy::changes::FlushArgs),
    Panic(policy::changes::PanicArgs),
    History(policy::changes::HistoryArgs),
    Explain(policy::explain::Args),
    Test(policy::test::Args),
    Import(policy::import::Args),
    Agent(policy::agent::Args),
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
        Command::Load(args) => policy::load::run_load(args),
        Command::Check(args) => policy::check::run(args),
        Command::Show(args) => policy::show::run(args),
        Command::Set(args) => policy::set::run(args),
        Command::Try(args) => policy::load::run_try(args),
        Command::Confirm(args) => policy::changes::run_confirm(args),
        Command::Rollback(args) => policy::changes::run_rollback(args),
        Command::Flush(args) => policy::changes::run_flush(args),
        Command::Panic(args) => policy::changes::run_panic(args),
        Command::History(args) => policy::changes::run_history(args),
        Command::Explain(args) => policy::explain::run(args),
        Command::Test(args) => policy::test::run(args),
        Command::Import(args) => policy::import::run(args),
        Command::Agent(args) => policy::agent::run(args),
    };
    result.unwrap_or_else(|error| {
        if output::is_closed(&error) {
            return ExitCode::SUCCESS;
        }
        eprintln!("nftrace: {error:#}");
        ExitCode::FAILURE
    })
}
