// SPDX-License-Identifier: GPL-2.0

//! `nftrace show`

use std::process::ExitCode;

/// Shows the policy in force
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet")
}
