// SPDX-License-Identifier: GPL-2.0

//! Uses the device as nobody should, in a debug kernel, and says in JSON what came of it:
//!
//! - `abuse maps`: mappings that are none, and one that is inherited
//! - `abuse readers TIMES`: readers that are killed, stopped and go on, at any moment
//! - `abuse loaders TIMES`: four loaders at once
//! - `abuse killed MEBIBYTES TIMES`: loaders of a large policy that are killed at any moment
//! - `abuse modules FILE TIMES`: insmod and rmmod that are killed at any moment
//! - `abuse signals TIMES`: signals at any moment of every call
//!
//! and what these start: `abuse read`, `abuse load FILE`, `abuse signalled CALL TIMES`.

mod modules;
mod signals;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail, ensure, Context, Result};
use nftrace_core::policy::layout::Header;
use nftrace_device::{misuse, Device, MappedReader, Rings, Start};
use nftrace_tests::guest::{compiled, device, many_rules, plainly};
use rustix::process::{kill_process, Pid, Signal};
use serde_json::{json, Value};
use zerocopy::FromBytes as _;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let told = match words[..] {
        ["maps"] => maps()?,
        ["readers", times] => readers(times.parse()?)?,
        ["loaders", times] => loaders(times.parse()?)?,
        ["killed", size, times] => killed(size.parse()?, times.parse()?)?,
        ["modules", file, times] => modules::run(file, times.parse()?)?,
        ["signals", times] => signals::run(times.parse()?)?,
        ["signalled", call, times] => signals::call(call, times.parse()?)?,
        ["read"] => return read(),
        ["load", file] => return load(file),
        _ => bail!(
            "usage: abuse maps | readers TIMES | loaders TIMES | killed MEBIBYTES TIMES | \
             modules FILE TIMES | signals TIMES"
        ),
    };
    println!("{told}");
    Ok(())
}

fn maps() -> Result<Value> {
    let device = device()?;
    let tries: BTreeMap<_, _> = misuse::of_maps(&device)?
        .into_iter()
        .map(|(name, errno)| (name, errno.map(|errno| errno.to_string())))
        .collect();
    Ok(json!({ "tries": tries, "forked": misuse::of_fork(&device)? }))
}

fn start(arguments: &[&str]) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    Ok(command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?)
}

/// What [`until_ready`] waits for.
fn ready() {
    println!("ready");
}

/// A child of [`start`] begins with what it is for; on a busy machine that is late. The
/// rest of its output.
fn until_ready(child: &mut Child) -> Result<impl Read> {
    let mut out = BufReader::new(child.stdout.take().context("its output")?);
    let mut line = String::new();
    out.read_line(&mut line)?;
    if line != "ready\n" {
        let mut errors = String::new();
        child
            .stderr
            .take()
            .context("its errors")?
            .read_to_string(&mut errors)?;
        bail!("it begins with {line:?}: {errors}");
    }
    Ok(out)
}

/// From nothing to so long: no two rounds hit the same moment, and a few lie all over it,
/// as multiples of the golden ratio do.
fn pause(round: u32, most: Duration) {
    let part = round.wrapping_mul(0x9e37_79b9);
    thread::sleep(most.mul_f64(f64::from(part) / f64::from(u32::MAX)));
}

/// Reads for ever, by system calls and by a mapping.
fn read() -> Result<()> {
    let mut reader = device()?;
    reader.seek(Start::Oldest)?;
    let rings = Rings::map(&reader)?;
    let mut mapped = MappedReader::new(&rings, Start::Oldest);
    ready();
    loop {
        reader.read()?;
        while mapped.next_frame().is_some() {}
    }
}

fn readers(times: u32) -> Result<Value> {
    let mut killed = 0;
    let mut asleep = 0;
    for round in 0..times {
        let mut child = start(&["read"])?;
        let pid = Pid::from_child(&child);
        // Half of them while they start, open and map; the others when they wait.
        let waits = round % 2 == 0;
        if waits {
            until_ready(&mut child)?;
        }
        pause(round, Duration::from_millis(30));
        kill_process(pid, Signal::STOP)?;
        kill_process(pid, Signal::CONT)?;
        pause(round, Duration::from_millis(5));
        ensure!(
            child.try_wait()?.is_none(),
            "a stop ended a reader: {}",
            errors(child)?
        );
        if waits {
            asleep += u32::from(falls_asleep(pid)?);
        }
        let signal = [Signal::KILL, Signal::TERM, Signal::INT][round as usize % 3];
        kill_process(pid, signal)?;
        let begin = Instant::now();
        let status = child.wait()?;
        ensure!(
            begin.elapsed() < Duration::from_secs(5),
            "a reader does not die"
        );
        killed += u32::from(status.code().is_none());
    }
    let unread = device()?.stats()?.unread;
    Ok(json!({ "killed": killed, "asleep": asleep, "unread": unread }))
}

/// Whether it does so within a second.
fn falls_asleep(pid: Pid) -> Result<bool> {
    let file = format!("/proc/{}/stat", pid.as_raw_nonzero());
    let limit = Instant::now() + Duration::from_secs(1);
    while Instant::now() < limit {
        if std::fs::read_to_string(&file)?.contains(") S ") {
            return Ok(true);
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(false)
}

fn errors(child: Child) -> Result<String> {
    Ok(String::from_utf8_lossy(&child.wait_with_output()?.stderr).into_owned())
}

/// A policy of a thread's own: as many rules as none of the others has.
fn policy_of(thread: u32) -> String {
    let rule = |at| format!("drop udp to any port {} at local_out\n", 20_000 + at);
    (0..=thread).map(rule).collect()
}

fn loaders(times: u32) -> Result<Value> {
    let begin = device()?.status()?.generation;
    let load = |which: u32| -> Result<Vec<(u32, u32)>> {
        let device = device()?;
        let blob = compiled(&policy_of(which))?;
        let mut loaded = Vec::new();
        for _ in 0..times {
            let taken = device.load_policy(blob.bytes(), &plainly(&device.status()?))?;
            loaded.push((taken.generation, which));
        }
        Ok(loaded)
    };
    let mut all: Vec<(u32, u32)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|which| scope.spawn(move || load(which)))
            .collect();
        let results = threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a loader panicked"))?);
        results.collect::<Result<Vec<_>>>()
    })?
    .concat();
    all.sort_unstable();
    let generations = all.iter().map(|(generation, _)| *generation);
    let without_gap = generations.eq(begin + 1..=begin + 4 * times);
    let status = device()?.status()?;
    let last = all.last().copied().unwrap_or_default();
    Ok(json!({
        "without_gap": without_gap,
        "loaded": all.len(),
        "generation": status.generation == last.0,
        "rules": status.rules == last.1 + 1,
    }))
}

/// Rules of a policy that the module verifies for so long that it looks for signals.
const RULES: u32 = 8000;

/// A sound blob of that size: it has many rules, and what its author wrote is very long.
fn large(mebibytes: usize) -> Result<Vec<u8>> {
    let mut bytes = many_rules(RULES)?.bytes().to_vec();
    let more = (mebibytes << 20).saturating_sub(bytes.len());
    bytes.resize(bytes.len() + more, b'#');
    let (header, _) = Header::mut_from_prefix(&mut bytes)
        .map_err(|_| anyhow!("a blob begins with its header"))?;
    header.text += u32::try_from(more)?;
    Ok(bytes)
}

fn load(file: &str) -> Result<()> {
    let blob = std::fs::read(file)?;
    let device = device()?;
    ready();
    loop {
        device.load_policy(&blob, &plainly(&device.status()?))?;
    }
}

/// How long a load takes that nobody interrupts: the median of three.
fn undisturbed(device: &Device, blob: &[u8]) -> Result<Duration> {
    let mut taken = [Duration::ZERO; 3];
    for taken in &mut taken {
        let begin = Instant::now();
        device.load_policy(blob, &plainly(&device.status()?))?;
        *taken = begin.elapsed();
    }
    taken.sort_unstable();
    Ok(taken[1])
}

fn killed(mebibytes: usize, times: u32) -> Result<Value> {
    let device = device()?;
    let small = compiled("drop udp to any port 9998 at local_out\n")?;
    let blob = large(mebibytes)?;
    let file = "/tmp/abuse.blob";
    std::fs::write(file, &blob)?;
    let whole = undisturbed(&device, &blob)?;
    let (mut before, mut behind, mut longest) = (0, 0, Duration::ZERO);
    for round in 0..times {
        let first = device
            .load_policy(small.bytes(), &plainly(&device.status()?))?
            .generation;
        let mut child = start(&["load", file])?;
        until_ready(&mut child)?;
        pause(round, whole * 2);
        let begin = Instant::now();
        child.kill()?;
        child.wait()?;
        longest = longest.max(begin.elapsed());
        // One or the other, and each as a whole.
        let (generation, bytes) = device.policy(None)?.ok_or_else(|| anyhow!("no policy"))?;
        if generation == first {
            ensure!(
                bytes == small.bytes(),
                "generation {generation} is not the old one"
            );
            before += 1;
        } else {
            ensure!(bytes == blob, "generation {generation} is not the new one");
            behind += 1;
        }
    }
    Ok(json!({
        "before": before,
        "behind": behind,
        "whole_ms": whole.as_millis(),
        "longest_ms": longest.as_millis(),
    }))
}
