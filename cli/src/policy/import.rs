// SPDX-License-Identifier: GPL-2.0

//! `nftrace import`

use std::process::ExitCode;

/// Makes a policy of the rules of iptables or nftables
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet")
}
