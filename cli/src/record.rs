// SPDX-License-Identifier: GPL-2.0

//! `nftrace record`

use std::process::ExitCode;

/// Writes records to a file, or as pcapng
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not there yet")
}
