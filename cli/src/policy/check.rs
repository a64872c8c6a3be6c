// SPDX-License-Identifier: GPL-2.0

//! `nftrace check`

use std::process::ExitCode;

/// Checks a policy without loading it
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet")
}
