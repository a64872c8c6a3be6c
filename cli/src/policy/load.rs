// SPDX-License-Identifier: GPL-2.0

//! `nftrace load` and `nftrace try`

use std::process::ExitCode;

/// Loads a policy in place of the one in force
#[derive(Debug, clap::Args)]
pub(crate) struct LoadArgs {}

/// Loads a policy, and restores the one before unless 'nftrace confirm' comes in time
#[derive(Debug, clap::Args)]
pub(crate) struct TryArgs {}

pub(crate) fn run_load(_args: &LoadArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet")
}

pub(crate) fn run_try(_args: &TryArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet")
}
