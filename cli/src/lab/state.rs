// SPDX-License-Identifier: GPL-2.0

//! Which labs are up: a file for each, beside nothing else, gone with the next boot.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::catalog::Scenario;
use super::sandbox::{is_root, Process};

/// A lab that is up.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Up {
    /// Process 1 of it.
    #[serde(flatten)]
    pub(super) process: Process,
    /// As what it was brought up.
    pub(super) variant: String,
}

/// The file of a scenario.
fn file(scenario: Scenario) -> PathBuf {
    let folder = match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(folder) if !is_root() => PathBuf::from(folder),
        _ if is_root() => PathBuf::from("/run"),
        _ => std::env::temp_dir().join(format!("user-{}", rustix::process::geteuid().as_raw())),
    };
    folder
        .join("nftrace/lab")
        .join(format!("{}.json", scenario.id))
}

/// The lab that is up; one whose process ended is none.
pub(super) fn of(scenario: Scenario) -> Option<Up> {
    let text = fs::read(file(scenario)).ok()?;
    let up: Up = serde_json::from_slice(&text).ok()?;
    up.process.lives().then_some(up)
}

/// Remembers that it is up.
pub(super) fn remember(scenario: Scenario, up: &Up) -> anyhow::Result<()> {
    let file = file(scenario);
    let write = || {
        fs::create_dir_all(file.parent().unwrap_or(&file))?;
        fs::write(&file, serde_json::to_vec(up)?)
    };
    write().with_context(|| format!("cannot write {}", file.display()))
}

/// Forgets it.
pub(super) fn forget(scenario: Scenario) {
    // Without the file or with it, its process is gone.
    let _ = fs::remove_file(file(scenario));
}
