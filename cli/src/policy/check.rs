// SPDX-License-Identifier: GPL-2.0

//! `nftrace check`

use std::io::Write as _;
use std::process::ExitCode;

use super::kept::tables;
use super::resolver::Live;
use super::source::{build, read, size, Unknown};
use crate::output;

/// Checks a policy without loading it
///
/// Needs no module and no rights. Names of containers that are not there are only
/// mentioned, unless --resolve asks for them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The policy; - for standard input
    #[arg(value_name = "FILE")]
    file: String,
    /// Names of containers and namespaces that are not there are errors
    #[arg(long)]
    resolve: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let document = read(&args.file)?;
    let unknown = if args.resolve {
        Unknown::Refused
    } else {
        Unknown::Mentioned
    };
    let compiled = build(&document, &Live::new()?, unknown)?;
    let size = size(&tables(&compiled.blob)?);
    writeln!(output::standard(), "{}: ok: {size}", args.file)?;
    Ok(ExitCode::SUCCESS)
}
