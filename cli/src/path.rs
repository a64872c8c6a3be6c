// SPDX-License-Identifier: GPL-2.0

//! `nftrace path`

use std::process::ExitCode;

/// Shows journeys: live, of a recording, or of a kernel log
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not there yet")
}
