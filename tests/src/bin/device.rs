// SPDX-License-Identifier: GPL-2.0

//! Reads `/dev/nftrace` in a guest, in every way there is, and says in JSON what came
//! of it: `device checks`, or `device flood READY STOP`, where it makes the file READY
//! when it reads, and ends when somebody makes the file STOP.

use std::collections::HashMap;
use std::net::UdpSocket;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nftrace_core::abi::Frame;
use nftrace_core::trace::MAX_SPEC;
use nftrace_device::{Device, Error, MappedReader, Rings, Start, DEFAULT_PATH};
use serde::Serialize;
use serde_json::json;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["checks"] => checks(),
        ["flood", ready, stop] => flood(Path::new(ready), Path::new(stop)),
        _ => anyhow::bail!("usage: device checks | device flood READY STOP"),
    }
}

fn open(nonblocking: bool) -> anyhow::Result<Device> {
    let device = Device::open(Path::new(DEFAULT_PATH))?;
    device.set_nonblocking(nonblocking)?;
    Ok(device)
}

/// Sends a packet that is traced.
fn send() -> anyhow::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.send_to(b"x", "127.0.0.1:8080")?;
    Ok(())
}

/// What two readers both have to see.
fn identity(frames: &[Frame]) -> Vec<(u16, u64, u64)> {
    let identity = |frame: &Frame| (frame.record.cpu, frame.position, frame.record.time);
    frames.iter().map(identity).collect()
}

/// Reads until nothing came for a while.
fn drain(device: &mut Device) -> anyhow::Result<Vec<Frame>> {
    let mut frames = Vec::new();
    while device.wait(Some(Duration::from_millis(300)))? {
        frames.extend_from_slice(device.read()?);
    }
    Ok(frames)
}

fn checks() -> anyhow::Result<()> {
    let mut reader = open(true)?;
    let mut other = open(true)?;
    let rings = Rings::map(&reader)?;
    let mut mapped = MappedReader::new(&rings, Start::Newest);
    let empty = reader.read()?.len();
    let start = Instant::now();
    let woken_by_nothing = reader.wait(Some(Duration::from_millis(200)))?;
    let waited = start.elapsed();

    let mut blocking = open(false)?;
    let sleeper = thread::spawn(move || -> anyhow::Result<(usize, Instant)> {
        let frames = blocking.read()?.len();
        Ok((frames, Instant::now()))
    });
    thread::sleep(Duration::from_millis(100));
    let slept = !sleeper.is_finished();
    let sent = Instant::now();
    send()?;
    let (blocking_frames, woken) = match sleeper.join() {
        Ok(result) => result?,
        Err(_) => anyhow::bail!("the blocking reader panicked"),
    };

    let first = drain(&mut reader)?;
    let second = drain(&mut other)?;
    let third: Vec<Frame> = std::iter::from_fn(|| mapped.next_frame()).collect();
    let late = drain(&mut open(true)?)?;
    let mut oldest = open(true)?;
    oldest.seek(Start::Oldest)?;
    let oldest = drain(&mut oldest)?;
    let stats = reader.stats()?;

    let filter = reader.filter()?;
    let len = usize::try_from(reader.info().ring_size)?;
    println!(
        "{}",
        json!({
            "version": reader.version(),
            "slots": reader.info().slots,
            "empty": empty,
            "woken_by_nothing": woken_by_nothing,
            "waited_ms": waited.as_millis(),
            "slept": slept,
            "blocking_frames": blocking_frames,
            "woken_after_ms": woken.saturating_duration_since(sent).as_millis(),
            "first": identity(&first),
            "second": identity(&second),
            "mapped": identity(&third),
            "late": late.len(),
            "oldest": oldest.len(),
            "read": stats.read,
            "lost": stats.lost,
            "unread": stats.unread,
            "writable": Rings::are_writable(Path::new(DEFAULT_PATH), len)?,
            "broken_filter_refused": matches!(reader.set_filter(b"nonsense"), Err(Error::FilterRefused)),
            "large_filter_refused": matches!(reader.set_filter(&vec![0; MAX_SPEC + 1]), Err(Error::FilterTooLarge)),
            "filter_kept": reader.filter()? == filter,
        })
    );
    Ok(())
}

/// What one reader counted by itself.
#[derive(Debug, Default, Serialize)]
struct Account {
    read: u64,
    lost: u64,
    gaps: u64,
    /// Positions that are not explained by losses.
    astray: u64,
    /// Frames older than the one before.
    backwards: u64,
    #[serde(skip)]
    positions: HashMap<u16, u64>,
    #[serde(skip)]
    times: HashMap<u16, u64>,
}

impl Account {
    fn add(&mut self, frame: &Frame) {
        self.lost += frame.lost;
        self.gaps += u64::from(frame.lost > 0);
        if frame.record.is_gap() {
            return;
        }
        self.read += 1;
        let cpu = frame.record.cpu;
        if let Some(before) = self.positions.insert(cpu, frame.position) {
            // Some of the losses never had a position.
            let skipped = frame.position.wrapping_sub(before).wrapping_sub(1);
            self.astray += u64::from(skipped > frame.lost);
        }
        let before = self.times.insert(cpu, frame.record.time);
        self.backwards += u64::from(before.is_some_and(|before| before > frame.record.time));
    }

    /// Reads with a pause after each time, until `over` and nothing is left.
    fn of(device: &mut Device, pause: Duration, over: &AtomicBool) -> anyhow::Result<Self> {
        let mut account = Self::default();
        loop {
            let last = over.load(Ordering::Acquire);
            let frames = device.read()?;
            frames.iter().for_each(|frame| account.add(frame));
            if frames.is_empty() {
                if last {
                    return Ok(account);
                }
                device.wait(Some(Duration::from_millis(20)))?;
            }
            if !last {
                thread::sleep(pause);
            }
        }
    }
}

fn flood(ready: &Path, stop: &Path) -> anyhow::Result<()> {
    let mut readers = [open(true)?, open(true)?, open(true)?];
    let rings = Rings::map(&readers[0])?;
    let before = readers[0].stats()?.produced;
    let over = AtomicBool::new(false);
    let pauses = [0, 100, 3_600_000].map(Duration::from_millis);
    let result = thread::scope(|scope| -> anyhow::Result<_> {
        let [fast, slow, idle] = &mut readers;
        let fast = scope.spawn(|| Account::of(fast, pauses[0], &over));
        let slow = scope.spawn(|| Account::of(slow, pauses[1], &over));
        let mapped = scope.spawn(|| {
            let mut reader = MappedReader::new(&rings, Start::Newest);
            let mut account = Account::default();
            loop {
                let last = over.load(Ordering::Acquire);
                let mut any = false;
                while let Some(frame) = reader.next_frame() {
                    account.add(&frame);
                    any = true;
                }
                if last && !any {
                    return account;
                }
                thread::sleep(Duration::from_millis(1));
            }
        });
        // All have begun: the files are open, and the mapped one takes a moment.
        thread::sleep(Duration::from_millis(200));
        std::fs::write(ready, "")?;
        while !stop.exists() {
            thread::sleep(Duration::from_millis(50));
        }
        over.store(true, Ordering::Release);
        let idle = Account::of(idle, Duration::ZERO, &over)?;
        let joined =
            |result: thread::Result<_>| result.map_err(|_| anyhow::anyhow!("a reader panicked"));
        let fast = joined(fast.join())??;
        let slow = joined(slow.join())??;
        let mapped = mapped
            .join()
            .map_err(|_| anyhow::anyhow!("the mapped reader panicked"))?;
        Ok([fast, slow, idle, mapped])
    })?;
    let [fast, slow, idle, mapped] = result;
    let produced = readers[0].stats()?.produced - before;
    let stats = readers
        .iter()
        .map(|reader| reader.stats())
        .collect::<Result<Vec<_>, _>>()?;
    let told: Vec<_> = stats
        .iter()
        .map(|stats| json!({ "read": stats.read, "lost": stats.lost, "unread": stats.unread }))
        .collect();
    println!(
        "{}",
        json!({
            "produced": produced, "fast": fast, "slow": slow, "idle": idle, "mapped": mapped,
            "told": told,
        })
    );
    Ok(())
}
