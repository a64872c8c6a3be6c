// SPDX-License-Identifier: GPL-2.0

//! Allocations that fail when we say so: `fail-nth` of the kernel's fault injection,
//! which counts the allocations of one thread.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;

use anyhow::{ensure, Context, Result};
use nftrace_device::Error;
use rustix::io::Errno;
use serde::Serialize;

/// Nothing that we do has so many; else the kernel counts what it never makes fail.
const MOST: u32 = 100_000;

/// Makes every kind of allocation one that can fail, and none of them loud.
pub(crate) fn prepare() -> Result<()> {
    for (fault, name, value) in [
        ("failslab", "ignore-gfp-wait", "N"),
        ("failslab", "verbose", "0"),
        ("fail_page_alloc", "ignore-gfp-wait", "N"),
        ("fail_page_alloc", "ignore-gfp-highmem", "N"),
        ("fail_page_alloc", "min-order", "0"),
        ("fail_page_alloc", "verbose", "0"),
    ] {
        let file = format!("/sys/kernel/debug/{fault}/{name}");
        fs::write(&file, value).with_context(|| format!("{file}: no fault injection"))?;
    }
    Ok(())
}

/// What becomes of an allocation of this thread.
pub(crate) struct Fault(File);

impl Fault {
    pub(crate) fn of_this_thread() -> Result<Self> {
        let path = "/proc/thread-self/fail-nth";
        let file = OpenOptions::new().read(true).write(true).open(path);
        Ok(Self(file.context(path)?))
    }

    /// Does it while the nth allocation fails. Says, too, whether there was an nth.
    pub(crate) fn during<T>(&self, nth: u32, act: impl FnOnce() -> T) -> Result<(T, bool)> {
        self.set(nth)?;
        let result = act();
        let mut left = [0_u8; 16];
        let len = self.0.read_at(&mut left, 0)?;
        self.set(0)?;
        let left = std::str::from_utf8(left.get(..len).unwrap_or_default())?;
        Ok((result, left.trim() == "0"))
    }

    fn set(&self, nth: u32) -> Result<()> {
        self.0.write_all_at(nth.to_string().as_bytes(), 0)?;
        Ok(())
    }
}

/// What an action came to.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Outcome {
    pub(crate) action: String,
    /// How many allocations it has.
    pub(crate) allocations: u32,
    /// For which of them it failed with ENOMEM.
    pub(crate) refused: Vec<u32>,
    /// Without which it did what it should.
    pub(crate) spared: Vec<u32>,
    /// What else came of it, by allocation: another error, or a state that is neither
    /// the one before nor the one behind.
    pub(crate) flaws: Vec<(u32, String)>,
    /// What it says about ENOMEM.
    pub(crate) messages: Vec<String>,
}

/// Whether the kernel said ENOMEM.
pub(crate) fn is_no_memory(error: &anyhow::Error) -> bool {
    let device = error.downcast_ref::<Error>().is_some_and(|error| {
        matches!(
            error,
            Error::PolicyNoMemory
                | Error::SetNoMemory
                | Error::Kernel {
                    errno: Errno::NOMEM,
                    ..
                }
        )
    });
    let raw = Some(Errno::NOMEM.raw_os_error());
    device
        || error.downcast_ref::<Errno>() == Some(&Errno::NOMEM)
        || error
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.raw_os_error() == raw)
}

/// An action, what comes before it, and what has to be so behind it.
pub(crate) struct Trial<'a> {
    pub(crate) action: &'a str,
    /// Brings about the state in which it is done.
    pub(crate) prepare: &'a mut dyn FnMut() -> Result<()>,
    pub(crate) act: &'a mut dyn FnMut() -> Result<()>,
    /// What is wrong, behind a failure (false) or a success (true).
    pub(crate) check: &'a mut dyn FnMut(bool) -> Result<Option<String>>,
}

impl Trial<'_> {
    /// Lets every allocation of it fail, one after the other.
    pub(crate) fn run(&mut self, fault: &Fault) -> Result<Outcome> {
        let mut outcome = Outcome {
            action: self.action.to_owned(),
            ..Outcome::default()
        };
        for nth in 1.. {
            ensure!(nth < MOST, "{}: it does not end", self.action);
            let during = || format!("{}, allocation {nth}", self.action);
            (self.prepare)().with_context(during)?;
            let (result, had_one) = fault.during(nth, &mut self.act)?;
            let succeeded = result.is_ok();
            match result {
                Ok(()) if had_one => outcome.spared.push(nth),
                Ok(()) => {}
                Err(error) if had_one && is_no_memory(&error) => {
                    outcome.refused.push(nth);
                    let message = format!("{error:#}");
                    if !outcome.messages.contains(&message) {
                        outcome.messages.push(message);
                    }
                }
                Err(error) => outcome.flaws.push((nth, format!("{error:#}"))),
            }
            if let Some(flaw) = (self.check)(succeeded).with_context(during)? {
                outcome.flaws.push((nth, flaw));
            }
            if !had_one {
                outcome.allocations = nth - 1;
                break;
            }
        }
        println!("{}", serde_json::to_string(&outcome)?);
        Ok(outcome)
    }
}
