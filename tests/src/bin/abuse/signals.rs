// SPDX-License-Identifier: GPL-2.0

//! Signals at any moment of every call: it is done, or it is interrupted and not done.

use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use nftrace_core::abi::{Frame, FRAME_SIZE};
use nftrace_core::policy::control::{DROP_ALL, END_PANIC};
use nftrace_core::record::Record;
use nftrace_device::{misuse, Device, Error, Start};
use nftrace_tests::guest::{device, many_rules, plainly};
use rustix::io::Errno;
use rustix::process::{kill_process, Pid, Signal};
use serde_json::{json, Map, Value};
use zerocopy::IntoBytes as _;

use super::{pause, ready, start, undisturbed, until_ready, RULES};

const CALLS: &[&str] = &[
    "read", "poll", "load", "change", "filter", "ports", "open", "counts",
];

const PORTS: &str = "/sys/module/nftrace/parameters/ports";

/// All calls, one after the other, each with so many signals.
pub(super) fn run(times: u32) -> Result<Value> {
    let brief = Duration::from_millis(20);
    // A load lasts longer than other calls, and on a slow kernel much longer. Some have to
    // get through between two signals, and some have to be hit.
    let load = undisturbed(&device()?, many_rules(RULES)?.bytes())? * 4;
    let told: Result<Map<_, _>> = CALLS
        .iter()
        .map(|call| {
            let most = if *call == "load" { load } else { brief };
            Ok(((*call).to_owned(), under_fire(call, times, most)?))
        })
        .collect();
    Ok(Value::Object(told?))
}

/// With pauses between the signals of `most` at most.
fn under_fire(call: &str, times: u32, most: Duration) -> Result<Value> {
    let mut child = start(&["signalled", call, &times.to_string()])?;
    let mut out = until_ready(&mut child)?;
    let pid = Pid::from_child(&child);
    let limit = Instant::now() + Duration::from_secs(300).max(most * times * 2);
    let mut round = 0;
    while child.try_wait()?.is_none() {
        if Instant::now() > limit {
            child.kill()?;
            bail!("{call}: still not done");
        }
        kill_process(pid, Signal::USR1)?;
        pause(round, most);
        round += 1;
    }
    let mut told = String::new();
    out.read_to_string(&mut told)?;
    serde_json::from_str(&told).with_context(|| format!("{call}: {told:?}"))
}

/// What came of a call.
enum Outcome {
    Done,
    Interrupted,
}

fn outcome<T>(result: nftrace_device::Result<T>) -> Result<Outcome> {
    match result {
        Ok(_) => Ok(Outcome::Done),
        Err(Error::Kernel {
            errno: Errno::INTR, ..
        }) => Ok(Outcome::Interrupted),
        Err(error) => Err(error.into()),
    }
}

/// Makes a call until so many signals came.
pub(super) fn call(name: &str, times: u64) -> Result<Value> {
    let signals = misuse::count_signals()?;
    let mut act = action(name)?;
    ready();
    let (mut done, mut interrupted) = (0_u64, 0_u64);
    while signals.load(Ordering::Relaxed) < times {
        match act(signals)? {
            Outcome::Done => done += 1,
            Outcome::Interrupted => interrupted += 1,
        }
    }
    Ok(json!({ "done": done, "interrupted": interrupted }))
}

type Action = Box<dyn FnMut(&AtomicU64) -> Result<Outcome>>;

fn action(name: &str) -> Result<Action> {
    let device = device()?;
    Ok(match name {
        "read" => reading(device),
        "poll" => waiting(device)?,
        "load" => loading(device)?,
        "change" => changing(device),
        "filter" => filtering(device)?,
        "ports" => Box::new(|_| writing_ports()),
        "open" => Box::new(|_| outcome(Device::open(nftrace_device::DEFAULT_PATH.as_ref()))),
        "counts" => Box::new(move |_| {
            outcome(device.counts())?;
            outcome(device.history())
        }),
        _ => bail!("{name}: no such call; use one of {}", CALLS.join(", ")),
    })
}

/// What was read is what the module says that was read: a signal takes no record away.
fn reading(device: Device) -> Action {
    let mut records = 0;
    let mut frames = vec![blank(); 8];
    Box::new(move |_| {
        let bytes = frames.as_mut_slice().as_mut_bytes();
        let outcome = match rustix::io::read(device.as_fd(), bytes) {
            Err(Errno::INTR) => Outcome::Interrupted,
            Err(error) => return Err(error.into()),
            Ok(len) => {
                ensure!(len > 0 && len % FRAME_SIZE == 0, "{len} bytes of frames");
                let is_record = |frame: &&Frame| !frame.record.is_gap();
                let new = frames[..len / FRAME_SIZE].iter().filter(is_record);
                records += u64::try_from(new.count())?;
                Outcome::Done
            }
        };
        let read = device.stats()?.read;
        ensure!(read == records, "{records} came, and {read} were read");
        Ok(outcome)
    })
}

fn blank() -> Frame {
    Frame {
        position: 0,
        lost: 0,
        record: Record::EMPTY,
    }
}

fn waiting(device: Device) -> Result<Action> {
    device.seek(Start::Newest)?;
    Ok(Box::new(move |signals| {
        let before = signals.load(Ordering::Relaxed);
        if device.wait(None)? {
            device.seek(Start::Newest)?;
            return Ok(Outcome::Done);
        }
        ensure!(
            signals.load(Ordering::Relaxed) > before,
            "it came back for nothing"
        );
        Ok(Outcome::Interrupted)
    }))
}

/// Interrupted, the old policy is in force; else the new one.
fn loading(device: Device) -> Result<Action> {
    let blob = many_rules(RULES)?;
    Ok(Box::new(move |_| {
        let status = device.status()?;
        let outcome = outcome(device.load_policy(blob.bytes(), &plainly(&status)))?;
        let moved = device.status()?.generation.wrapping_sub(status.generation);
        match outcome {
            Outcome::Done => ensure!(moved == 1, "loaded, and {moved} generations on"),
            Outcome::Interrupted => ensure!(moved == 0, "interrupted, and {moved} on"),
        }
        Ok(outcome)
    }))
}

/// Brief, and so never interrupted.
fn changing(device: Device) -> Action {
    Box::new(move |_| {
        device.change_policy(DROP_ALL, None)?;
        let dropped = device.status()?.panic;
        device.change_policy(END_PANIC, None)?;
        let ended = device.status()?.panic;
        ensure!(dropped != 0 && ended == 0, "panic {dropped}, then {ended}");
        Ok(Outcome::Done)
    })
}

/// Set again and again, what is traced stays what it was.
fn filtering(device: Device) -> Result<Action> {
    let filter = device.filter()?;
    ensure!(!filter.is_empty(), "nothing is traced");
    Ok(Box::new(move |_| {
        let outcome = outcome(device.set_filter(&filter))?;
        ensure!(device.filter()? == filter, "another filter is in force");
        Ok(outcome)
    }))
}

fn writing_ports() -> Result<Outcome> {
    std::fs::write(PORTS, "8080")?;
    let ports = std::fs::read_to_string(PORTS)?;
    ensure!(ports.trim() == "8080", "ports are {ports:?}");
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_interruption_is_taken_for_one() {
        let failed = |errno| {
            outcome::<()>(Err(Error::Kernel {
                action: "trying",
                errno,
            }))
        };
        assert!(matches!(failed(Errno::INTR), Ok(Outcome::Interrupted)));
        assert!(failed(Errno::IO).is_err());
    }
}
