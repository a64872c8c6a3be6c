// SPDX-License-Identifier: GPL-2.0

//! Sleeps for records of `/dev/nftrace` in a guest, and says in JSON when it was woken
//! and for which records, a line each time: `wakeups READY STOP`, where it makes the
//! file READY when it sleeps, and ends when it is woken after somebody made the file STOP.

use std::path::Path;
use std::time::Duration;

use nftrace_device::{monotonic, Device, DEFAULT_PATH};
use serde::Serialize;

/// A time that it was woken. Times are of the clock that dates records too.
#[derive(Serialize)]
struct Wakeup {
    /// When it was.
    woken: u64,
    /// When the first record was made that was there then.
    first: u64,
    /// How many records there were.
    records: usize,
}

/// Reads all that is there.
fn read(device: &mut Device, woken: u64) -> anyhow::Result<Option<Wakeup>> {
    let (mut first, mut records) = (None, 0);
    loop {
        let frames = device.read()?;
        let Some(frame) = frames.first() else { break };
        anyhow::ensure!(
            frames.iter().all(|frame| frame.lost == 0),
            "the ring is too small"
        );
        first = first.or(Some(frame.record.time));
        records += frames.len();
    }
    Ok(first.map(|first| Wakeup {
        woken,
        first,
        records,
    }))
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [ready, stop] = &arguments[..] else {
        anyhow::bail!("usage: wakeups READY STOP");
    };
    let mut device = Device::open(Path::new(DEFAULT_PATH))?;
    device.set_nonblocking(true)?;
    std::fs::write(ready, "")?;
    let mut wakeups = Vec::new();
    // Not for a moment: where that ends, a record that has just come is seen too early.
    while device.wait(Some(Duration::from_secs(20)))? {
        let woken = monotonic();
        wakeups.extend(read(&mut device, woken)?);
        if Path::new(stop).exists() {
            break;
        }
    }
    for wakeup in wakeups {
        println!("{}", serde_json::to_string(&wakeup)?);
    }
    Ok(())
}
