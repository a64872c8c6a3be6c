// SPDX-License-Identifier: GPL-2.0

//! `nftrace ns`

use std::process::ExitCode;

/// Lists the network namespaces, with their names
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not there yet")
}
