// SPDX-License-Identifier: GPL-2.0

//! insmod and rmmod that are killed at any moment: the module is whole, or it is gone.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use nftrace_device::Error;
use nftrace_tests::guest::device;
use serde_json::{json, Value};

use super::pause;

/// How often a kill came too early, and how often too late.
#[derive(Default)]
struct Tally {
    undone: u32,
    done: u32,
}

impl Tally {
    fn count(&mut self, is_done: bool) {
        *(if is_done {
            &mut self.done
        } else {
            &mut self.undone
        }) += 1;
    }

    fn told(&self) -> Value {
        json!({ "undone": self.undone, "done": self.done })
    }
}

pub(super) fn run(file: &str, times: u32) -> Result<Value> {
    let insmod: &[&str] = &["insmod", file, "ports=8080"];
    let rmmod: &[&str] = &["rmmod", "nftrace"];
    let (mut loading, mut unloading) = (Tally::default(), Tally::default());
    let twice = |taken: Duration| (taken * 2).min(Duration::from_secs(2));
    let (to_load, to_unload) = (twice(whole(insmod)?), twice(whole(rmmod)?));
    for round in 0..times {
        cut_off(insmod, round, to_load)?;
        let is_there = is_there()?;
        loading.count(is_there);
        if !is_there {
            whole(insmod)?;
        }
        cut_off(rmmod, round, to_unload)?;
        let is_there = self::is_there()?;
        unloading.count(!is_there);
        if is_there {
            whole(rmmod)?;
        }
    }
    Ok(json!({ "loading": loading.told(), "unloading": unloading.told() }))
}

fn start(words: &[&str]) -> Result<std::process::Child> {
    let mut command = Command::new(words[0]);
    let child = command.args(&words[1..]).stdout(Stdio::null()).spawn();
    child.with_context(|| words.join(" "))
}

/// Runs to its end: how long that takes.
fn whole(words: &[&str]) -> Result<Duration> {
    let begin = Instant::now();
    let status = start(words)?.wait()?;
    ensure!(status.success(), "{}: {status}", words.join(" "));
    Ok(begin.elapsed())
}

fn cut_off(words: &[&str], round: u32, most: Duration) -> Result<()> {
    let mut child = start(words)?;
    pause(round, most);
    child.kill()?;
    child.wait()?;
    Ok(())
}

/// Whether it is loaded; it is neither coming nor going for long, and what it says fits.
fn is_there() -> Result<bool> {
    let limit = Instant::now() + Duration::from_secs(10);
    loop {
        let modules = std::fs::read_to_string("/proc/modules")?;
        let ours = modules.lines().find(|line| line.starts_with("nftrace "));
        match ours.map(|line| line.contains(" Live ")) {
            Some(true) => {
                device()?.status()?;
                return Ok(true);
            }
            None => match device().map_err(|error| error.downcast::<Error>()) {
                Err(Ok(Error::NotLoaded { .. })) => return Ok(false),
                _ => bail!("there is no module, and yet its device"),
            },
            Some(false) if Instant::now() > limit => bail!("it hangs: {ours:?}"),
            Some(false) => thread::sleep(Duration::from_millis(1)),
        }
    }
}
