// SPDX-License-Identifier: GPL-2.0

//! `nftrace test`

use std::process::ExitCode;

/// Tests a policy with the packets of a file of cases
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet")
}
