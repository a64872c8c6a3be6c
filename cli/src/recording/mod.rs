// SPDX-License-Identifier: GPL-2.0

//! Recordings: frames in a file, with what is needed to understand them elsewhere.
//!
//! `docs/recording.md` is the documentation of the format. All numbers in it are
//! little-endian, as the frames are.

use std::io;

use nftrace_core::abi::{FRAMES, FRAME_SIZE};
use serde::{Deserialize, Serialize};

mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use reader::{Damage, Entry, Reader};
pub(crate) use writer::Writer;

const _: () = assert!(
    cfg!(target_endian = "little"),
    "frames are written as they are"
);

/// The first bytes of a recording. They do not survive being taken for text.
pub(crate) const MAGIC: [u8; 8] = *b"\x89NFT\r\n\x1a\n";

/// The version of the format: what is between the magic and the frames' own bytes.
const FORMAT: u32 = 1;

/// Bytes of the header: magic, format, version of the frames, bytes of a frame, checksum of these.
const HEADER: usize = 24;

/// Bytes of a block's header: what it holds, bytes of its payload, checksum of these.
const BLOCK_HEADER: usize = 12;

/// The most bytes of a block's payload.
const MAX_PAYLOAD: usize = 1 << 20;

/// What a block holds.
mod tag {
    /// JSON: [`super::Host`].
    pub(super) const HOST: [u8; 4] = *b"HOST";
    /// Frames, as in the ABI.
    pub(super) const FRAMES: [u8; 4] = *b"FRMS";
    /// JSON: a list of [`super::NamespaceName`].
    pub(super) const NAMES: [u8; 4] = *b"NAME";
    /// JSON: [`super::Totals`]. The last block.
    pub(super) const END: [u8; 4] = *b"END.";
}

/// Where and when a recording was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Host {
    /// The version of the command that wrote it.
    pub(crate) command: String,
    /// The version of the module.
    pub(crate) module: String,
    /// `/proc/sys/kernel/random/boot_id`: cookies are unique within one boot.
    pub(crate) boot_id: String,
    /// The kernel's release.
    pub(crate) kernel: String,
    /// The host's name.
    pub(crate) hostname: String,
    /// How many CPUs there can be.
    pub(crate) cpus: u32,
    /// What to add to a record's time to get nanoseconds since 1970 UTC.
    pub(crate) realtime_offset: i64,
    /// Cookie of the initial network namespace.
    pub(crate) init_cookie: u64,
    /// Inode number of the initial network namespace.
    pub(crate) init_inode: u32,
    /// Whether the bridge family was hooked.
    pub(crate) bridge: bool,
    /// Whether the ends of the hooks were hooked.
    pub(crate) exits: bool,
    /// What was traced, as arguments of `nftrace trace set`.
    pub(crate) filter: String,
}

impl Host {
    /// Whether it was made since this machine was started, so that cookies mean the
    /// same namespaces.
    pub(crate) fn is_of_this_boot(&self) -> bool {
        !self.boot_id.is_empty() && self.boot_id == boot_id()
    }
}

/// What tells this boot from all others.
pub(crate) fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

/// How a namespace is called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct NamespaceName {
    /// Its cookie.
    pub(crate) cookie: u64,
    /// Its inode number.
    pub(crate) inode: u32,
    /// Its name.
    pub(crate) name: String,
    /// Whether it was gone when this was written, and the name is what it had.
    pub(crate) gone: bool,
}

/// What a recording holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Totals {
    /// Records.
    pub(crate) records: u64,
    /// Records that were lost in between.
    pub(crate) lost: u64,
}

/// The first bytes of a recording that this command writes.
fn header() -> [u8; HEADER] {
    let mut header = [0; HEADER];
    let frame_size = u32::try_from(FRAME_SIZE).unwrap_or_default();
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    header[12..16].copy_from_slice(&FRAMES.to_le_bytes());
    header[16..20].copy_from_slice(&frame_size.to_le_bytes());
    let sum = crc32fast::hash(&header[..20]);
    header[20..].copy_from_slice(&sum.to_le_bytes());
    header
}

/// The number that stands in `bytes` at `at`.
fn number(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    if let Some(bytes) = bytes.get(at..).and_then(|bytes| bytes.first_chunk()) {
        number = *bytes;
    }
    u32::from_le_bytes(number)
}

/// Reads until `buffer` is full or the file ends; says how much there was.
fn read_most(from: &mut impl io::Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match from.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}
