// SPDX-License-Identifier: GPL-2.0

//! What `scripts/guest-image` and `scripts/debug-kernel` made, and where it is.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::uml::DebugKernel;

/// The files that a machine boots.
#[derive(Debug, Clone)]
pub(super) struct Images {
    pub(super) kernel: PathBuf,
    pub(super) initramfs: PathBuf,
    pub(super) root: PathBuf,
    pub(super) modules: PathBuf,
    /// Our module for the kernel, where it has one of its own.
    pub(super) module: Option<PathBuf>,
    /// A module that does wrong, for a kernel that has to notice.
    pub(super) canary: Option<PathBuf>,
}

/// The cache folder, found as scripts/lib.sh finds it.
pub(super) fn cache() -> PathBuf {
    let folder = |name| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    folder("NFTRACE_CACHE").unwrap_or_else(|| {
        let home = || folder("HOME").unwrap_or_default().join(".cache");
        folder("XDG_CACHE_HOME")
            .unwrap_or_else(home)
            .join("nftrace")
    })
}

impl Images {
    /// The stock kernel's.
    pub(super) fn find() -> Result<Self> {
        let kernel = env::var("KERNEL").ok().filter(|kernel| !kernel.is_empty());
        let list = format!("guest-{}.env", kernel.as_deref().unwrap_or("7.3"));
        Self::listed(&cache().join(list), "scripts/guest-image")
    }

    /// Those of a kernel that looks at itself.
    pub(super) fn find_debug(kernel: DebugKernel) -> Result<Self> {
        let list = cache().join("debug").join(format!("{}.env", kernel.name()));
        Self::listed(&list, &format!("scripts/debug-kernel {}", kernel.name()))
    }

    fn listed(list: &Path, maker: &str) -> Result<Self> {
        let text = fs::read_to_string(list)
            .with_context(|| format!("{}: no images; run {maker}", list.display()))?;
        let values: HashMap<&str, &str> = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .collect();
        let file = |name: &str| -> Result<PathBuf> {
            let path = PathBuf::from(
                values
                    .get(name)
                    .with_context(|| format!("{} has no {name}", list.display()))?,
            );
            anyhow::ensure!(path.exists(), "{} is missing; run {maker}", path.display());
            Ok(path)
        };
        Ok(Self {
            kernel: file("NFTRACE_GUEST_KERNEL")?,
            initramfs: file("NFTRACE_GUEST_INITRAMFS")?,
            root: file("NFTRACE_GUEST_ROOT")?,
            modules: file("NFTRACE_GUEST_MODULES")?,
            module: file("NFTRACE_GUEST_MODULE").ok(),
            canary: file("NFTRACE_GUEST_CANARY").ok(),
        })
    }
}
