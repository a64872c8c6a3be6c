// SPDX-License-Identifier: GPL-2.0

//! `nftrace agent`

use std::process::ExitCode;

/// Keeps the names in the policy resolved while containers come and go
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet")
}
