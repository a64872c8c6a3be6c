// SPDX-License-Identifier: GPL-2.0

//! `nftrace lab`

use std::process::ExitCode;

/// Brings a scenario up, drives traffic through it, and takes it down
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not there yet")
}
