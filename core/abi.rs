// SPDX-License-Identifier: GPL-2.0

//! `/dev/nftrace`: what the module and the command say to each other.
//!
//! A reader opens the device, checks [`Info::abi`], and reads [`Frame`]s: whole
//! ones only, of all CPUs in the order of their times. Each reader has a position
//! of its own. Rings are never full: the oldest record makes room for a new one,
//! and a reader that is overtaken finds in its next frame how many it lost there.
//!
//! What is read plus what was lost is what was produced since the reader's start.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::record::Record;

/// The version of everything here. Only equality has a meaning.
pub const ABI: u32 = 4;

/// The version of [`Frame`] and of [`Record`] alone: recordings are read for as long as
/// these stay, whatever else changes. (The [`ABI`] of the last change of them.)
pub const FRAMES: u32 = 3;

/// The name of the device below `/dev`.
pub const DEVICE_NAME: &str = "nftrace";

/// What `read()` returns some of: a record, and what was lost before it.
///
/// A frame whose record is of [`crate::record::Kind::Gap`] has only the CPU in it:
/// the losses behind a CPU's last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Frame {
    /// The position in the CPU's ring; each next one is one more, but for what was lost.
    pub position: u64,
    /// How many records this reader lost on that CPU between the frame before and this one.
    pub lost: u64,
    /// The record.
    pub record: Record,
}

/// Bytes of a [`Frame`].
pub const FRAME_SIZE: usize = size_of::<Frame>();

/// What a ring has in front of its slots when it is mapped, padded to a page.
pub const RING_HEADER: usize = 4096;

/// What [`IOC_INFO`] tells.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Info {
    /// [`ABI`] of the module.
    pub abi: u32,
    /// [`FRAME_SIZE`] of the module.
    pub frame_size: u32,
    /// How many rings there are, one for each CPU that there can be.
    pub rings: u32,
    /// Slots of each ring.
    pub slots: u32,
    /// Bytes of each ring when it is mapped: that of CPU n starts at n times so many.
    pub ring_size: u64,
    /// Cookie of the initial network namespace.
    pub init_cookie: u64,
    /// Inode number of the initial network namespace.
    pub init_inode: u32,
    /// [`INFO_BRIDGE`] and the like.
    pub flags: u32,
    /// The module's version, padded with zeroes.
    pub version: [u8; 32],
}

/// In [`Info::flags`]: the bridge family is hooked (`bridge=1`).
pub const INFO_BRIDGE: u32 = 1;
/// In [`Info::flags`]: the ends of the hooks are hooked too (`exit=1`).
pub const INFO_EXIT: u32 = 1 << 1;

/// What [`IOC_STATS`] tells.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Stats {
    /// Records that were made since the module was loaded, lost ones included.
    pub produced: u64,
    /// Records that this reader was given.
    pub read: u64,
    /// Records that this reader lost.
    pub lost: u64,
    /// Records that are there for it to read.
    pub unread: u64,
    /// Packets that end inside a header.
    pub truncated: u64,
    /// Packets whose headers contradict themselves.
    pub malformed: u64,
}

/// Bytes that go one way or the other, as in [`crate::trace`] for [`IOC_SET_FILTER`] and
/// [`IOC_GET_FILTER`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Buffer {
    /// [`ABI`] of the command.
    pub abi: u32,
    /// How many bytes there are, or are room for; when read, how many there would be.
    pub len: u32,
    /// Their address.
    pub address: u64,
}

/// Where [`IOC_SEEK`] goes to.
pub const SEEK_OLDEST: u32 = 0;
/// Behind the newest record, where each reader starts.
pub const SEEK_NEWEST: u32 = 1;

pub(crate) const READ: u32 = 2;
pub(crate) const WRITE: u32 = 1;

/// As `_IOC()` of `asm-generic/ioctl.h`.
#[allow(clippy::cast_possible_truncation, reason = "the structures are small")]
pub(crate) const fn ioc(direction: u32, number: u32, size: usize) -> u32 {
    (direction << 30) | ((size as u32) << 16) | (0xf7 << 8) | number
}

/// Tells the [`Info`]. This command never changes, whatever the ABI.
pub const IOC_INFO: u32 = ioc(READ, 0, size_of::<Info>());
/// Tells the [`Stats`].
pub const IOC_STATS: u32 = ioc(READ, 1, size_of::<Stats>());
/// Moves the reader: the argument is [`SEEK_OLDEST`] or [`SEEK_NEWEST`]. What it
/// passes over counts as neither read nor lost.
pub const IOC_SEEK: u32 = ioc(0, 2, 0);
/// Sets what is traced: the argument points to a [`Buffer`].
///
/// `EPROTONOSUPPORT`: the ABI differs. `EINVAL`: the filter is broken; the kernel's
/// log says what is wrong. `E2BIG`: it is larger than [`crate::trace::MAX_SPEC`].
pub const IOC_SET_FILTER: u32 = ioc(WRITE, 3, size_of::<Buffer>());
/// Tells what is traced, into a [`Buffer`]. `ENOSPC`: there is no room for it.
pub const IOC_GET_FILTER: u32 = ioc(READ | WRITE, 4, size_of::<Buffer>());
