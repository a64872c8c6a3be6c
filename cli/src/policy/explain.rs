// SPDX-License-Identifier: GPL-2.0

//! `nftrace explain`

use std::process::ExitCode;

/// Says what the policy does with a packet, rule by rule
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet")
}
