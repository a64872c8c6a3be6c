// SPDX-License-Identifier: GPL-2.0

//! The command itself, for the guests.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{ensure, Context, Result};

use crate::checkout::top;

/// `NFTRACE_COMMAND`, else `nftrace` compiled as the tests were, once.
///
/// # Errors
///
/// When it cannot be compiled.
pub fn binary() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT
        .get_or_init(|| build().map_err(|error| format!("{error:#}")))
        .clone()
        .map_err(anyhow::Error::msg)
}

fn build() -> Result<PathBuf> {
    if let Some(command) = env::var_os("NFTRACE_COMMAND") {
        return Ok(command.into());
    }
    // target/debug/deps/TEST or target/debug/PROGRAM
    let program = env::current_exe()?;
    let folder = program.parent().context("no folder")?;
    let folder = match folder.file_name() {
        Some(name) if name == "deps" => folder.parent().context("no folder")?,
        _ => folder,
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", "nftrace"]);
    command.current_dir(top());
    if folder.file_name().is_some_and(|name| name == "release") {
        command.arg("--release");
    }
    let status = command.status().context("cargo build --package nftrace")?;
    ensure!(status.success(), "cargo build --package nftrace failed");
    Ok(folder.join("nftrace"))
}
