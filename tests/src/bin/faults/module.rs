// SPDX-License-Identifier: GPL-2.0

//! Loading the module, and unloading it.

use std::fs::{self, File};
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use nftrace_device::DEFAULT_PATH;
use rustix::system::{delete_module, finit_module};

use crate::inject::{Fault, Trial};

fn is_loaded() -> Result<bool> {
    let modules = fs::read_to_string("/proc/modules")?;
    Ok(modules.lines().any(|line| line.starts_with("nftrace ")))
}

fn load(file: &Path) -> Result<()> {
    let file = File::open(file).with_context(|| file.display().to_string())?;
    Ok(finit_module(file, c"ports=8080 bridge=1 exit=1", 0)?)
}

fn unload() -> Result<()> {
    // O_NONBLOCK: where somebody uses it, that is an error.
    Ok(delete_module(c"nftrace", 0o4000)?)
}

fn ensure_loaded(file: &Path, wanted: bool) -> Result<()> {
    match (is_loaded()?, wanted) {
        (true, false) => unload(),
        (false, true) => load(file),
        _ => Ok(()),
    }
}

/// What is wrong with a module that is there, or that is not.
fn flaw(wanted: bool) -> Result<Option<String>> {
    // The device's node is made, and goes, a moment later.
    let device = Path::new(DEFAULT_PATH);
    for _ in 0..200 {
        if device.exists() == wanted {
            break;
        }
        thread::sleep(Duration::from_millis(5));
    }
    let there = (is_loaded()?, device.exists());
    Ok((there != (wanted, wanted)).then(|| format!("module, device: {there:?}")))
}

pub(crate) fn run(file: &Path) -> Result<()> {
    let fault = Fault::of_this_thread()?;
    Trial {
        action: "load",
        prepare: &mut || ensure_loaded(file, false),
        act: &mut || load(file),
        check: &mut flaw,
    }
    .run(&fault)?;
    Trial {
        action: "unload",
        prepare: &mut || ensure_loaded(file, true),
        act: &mut unload,
        check: &mut |succeeded| flaw(!succeeded),
    }
    .run(&fault)?;
    ensure_loaded(file, false)
}
