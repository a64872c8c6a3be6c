// SPDX-License-Identifier: GPL-2.0

//! `nftrace exec`

use std::process::ExitCode;

/// Runs a program in a namespace of a container
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not there yet")
}
