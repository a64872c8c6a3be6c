// SPDX-License-Identifier: GPL-2.0

//! `nftrace trace`

use std::process::ExitCode;

/// Sets what is traced
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not there yet")
}
