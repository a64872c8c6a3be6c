// SPDX-License-Identifier: GPL-2.0

//! `nftrace watch`

use std::process::ExitCode;

/// Shows records, or journeys, as they come
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not there yet")
}
