// SPDX-License-Identifier: GPL-2.0

//! `nftrace doctor`

use std::process::ExitCode;

/// Says what the system needs, and what else sits on the hooks
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not there yet")
}
