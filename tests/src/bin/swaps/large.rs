// SPDX-License-Identifier: GPL-2.0

//! Blobs as large as they may be, and larger.

use std::time::{Duration, Instant};

use nftrace_core::policy::layout::{Header, MAX_BLOB};
use nftrace_device::Error;
use nftrace_tests::guest::{compiled, device, plainly};
use serde_json::{json, Value};
use zerocopy::FromBytes as _;

/// A sound blob of that size: what its author wrote is very long.
fn blob_of(size: usize) -> anyhow::Result<Vec<u8>> {
    let small = compiled("drop udp to any port 9999 at local_out\n")?;
    let mut bytes = small.bytes().to_vec();
    let more = size.saturating_sub(bytes.len());
    bytes.resize(bytes.len() + more, b'#');
    let (header, _) = Header::mut_from_prefix(&mut bytes)
        .map_err(|_| anyhow::anyhow!("a blob begins with its header"))?;
    header.text += u32::try_from(more)?;
    Ok(bytes)
}

pub(crate) fn run(mebibytes: usize, times: u32) -> anyhow::Result<Value> {
    let device = device()?;
    let blob = blob_of(mebibytes << 20)?;
    let mut longest = Duration::ZERO;
    for _ in 0..times {
        let status = device.status()?;
        let start = Instant::now();
        let generation = device.load_policy(&blob, &plainly(&status))?.generation;
        longest = longest.max(start.elapsed());
        anyhow::ensure!(generation == status.generation + 1, "{generation}");
    }
    let before = device.status()?;
    let too_large = blob_of(MAX_BLOB + 8)?;
    let refused = device.load_policy(&too_large, &plainly(&before));
    let after = device.status()?;
    Ok(json!({
        "bytes": before.bytes,
        "longest_ms": longest.as_millis(),
        "too_large": matches!(refused, Err(Error::PolicyTooLarge)),
        "message": refused.err().map(|error| error.to_string()),
        "stays": before.generation == after.generation,
    }))
}
