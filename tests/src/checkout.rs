// SPDX-License-Identifier: GPL-2.0

//! Where the checkout is whose tests run.
//!
//! Asked when they run: checkouts that share Cargo's target folder share what was
//! compiled, and with it the path that the compiler saw.

use std::env;
use std::path::PathBuf;

/// The repository's root: above the package that Cargo runs, else above the current
/// directory.
///
/// # Panics
///
/// When there is none.
#[must_use]
pub fn top() -> PathBuf {
    let start = env::var_os("CARGO_MANIFEST_DIR")
        .map(PathBuf::from)
        .or_else(|| env::current_dir().ok())
        .unwrap_or_default();
    let mut folders = start.ancestors();
    let top = folders.find(|folder| folder.join("nftrace.rs").is_file());
    top.unwrap_or_else(|| {
        panic!(
            "{} is not in a checkout of nftrace; run it there, or with cargo",
            start.display()
        )
    })
    .to_owned()
}
