// SPDX-License-Identifier: GPL-2.0

//! Dynamic sets: what is in them, and how that is changed while a policy is in force.

use nftrace_core::abi::{Buffer, ABI};
use nftrace_core::policy::control::{
    SetChange, SetList, ANY, IOC_SET_CHANGE, IOC_SET_LIST, SETS_FULL,
};
use nftrace_core::policy::dynamic::Elements;
use nftrace_core::policy::layout::{Range128, Range32};
use rustix::io::Errno;
use rustix::ioctl::{ioctl, Updater};
use zerocopy::FromBytes as _;

use crate::device::Device;
use crate::error::{Error, Result};

/// What came of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetChanged {
    /// How many of the ranges that were given changed something.
    pub changed: u32,
    /// Ranges of IPv4 that the set has now.
    pub now4: u32,
    /// Ranges of IPv6.
    pub now6: u32,
}

/// What is in a set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetContents {
    /// Of which generation.
    pub generation: u32,
    /// IPv4.
    pub v4: Vec<Range32>,
    /// IPv6.
    pub v6: Vec<Range128>,
}

fn padded<const N: usize>(name: &str) -> Option<[u8; N]> {
    let mut padded = [0; N];
    let room = padded.get_mut(..name.len())?;
    room.copy_from_slice(name.as_bytes());
    (name.len() < N).then_some(padded)
}

impl Device {
    /// Changes a dynamic set of the policy in force, or does nothing at all: `what` is
    /// `SET_ADD` or `SET_DELETE` of [`nftrace_core::policy::control`]. The ranges are in
    /// order, and do not overlap. With a generation, only if that is in force.
    ///
    /// # Errors
    ///
    /// [`Error::NoSet`] and the like.
    pub fn change_set(
        &self,
        name: &str,
        what: u32,
        elements: Elements<'_>,
        generation: Option<u32>,
    ) -> Result<SetChanged> {
        let no_set = || Error::NoSet {
            name: name.to_owned(),
        };
        let count = |len: usize| u32::try_from(len).map_err(|_| Error::SetTooMany);
        let mut request = SetChange {
            abi: ABI,
            what,
            generation: generation.unwrap_or(ANY),
            count4: count(elements.v4.len())?,
            address4: elements.v4.as_ptr() as u64,
            count6: count(elements.v6.len())?,
            address6: elements.v6.as_ptr() as u64,
            name: padded(name).ok_or_else(no_set)?,
            ..SetChange::default()
        };
        // SAFETY: IOC_SET_CHANGE reads and writes a `SetChange`, any bytes of which are one.
        let command = unsafe { Updater::<{ IOC_SET_CHANGE }, SetChange>::new(&mut request) };
        // SAFETY: this is the module's device (`open` checked it), and that is the module's
        // command, with the argument that it takes; the module only reads as many ranges at
        // each address as `elements` has.
        match unsafe { ioctl(self, command) } {
            Ok(()) => Ok(SetChanged {
                changed: request.changed,
                now4: request.now4,
                now6: request.now6,
            }),
            Err(Errno::NOENT) => Err(no_set()),
            Err(Errno::SRCH) => Err(Error::NoPolicy),
            Err(Errno::STALE) => Err(Error::PolicyStale),
            Err(Errno::TOOBIG) => Err(Error::SetTooMany),
            Err(Errno::NOSPC) => Err(Error::SetFull {
                name: name.to_owned(),
                all: request.reason == SETS_FULL,
            }),
            Err(Errno::NOMEM) => Err(Error::SetNoMemory),
            Err(errno) => Err(self.failed("changing the set")(errno)),
        }
    }

    /// What is in a dynamic set of a generation that is kept, or of the one in force; none
    /// where there is none of that name.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn set(&self, name: &str, generation: Option<u32>) -> Result<Option<SetContents>> {
        let mut bytes = Vec::new();
        loop {
            let Some((request, is_whole)) = self.list_set(name, generation, &mut bytes)? else {
                return Ok(None);
            };
            if !is_whole {
                // There may be more the next time, too.
                bytes.resize(request.buffer.len as usize + 4096, 0);
                continue;
            }
            let len4 = request.count4 as usize * size_of::<Range32>();
            let (v4, v6) = bytes.split_at(len4.min(bytes.len()));
            let v4 = v4.chunks_exact(size_of::<Range32>());
            let v6 = v6.chunks_exact(size_of::<Range128>());
            return Ok(Some(SetContents {
                generation: request.generation,
                v4: v4
                    .filter_map(|one| Range32::read_from_bytes(one).ok())
                    .collect(),
                v6: v6
                    .filter_map(|one| Range128::read_from_bytes(one).ok())
                    .take(request.count6 as usize)
                    .collect(),
            }));
        }
    }

    /// How many ranges it has, of IPv4 and of IPv6.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn set_size(&self, name: &str, generation: Option<u32>) -> Result<Option<(u32, u32)>> {
        let found = self.list_set(name, generation, &mut Vec::new())?;
        Ok(found.map(|(request, _)| (request.count4, request.count6)))
    }

    /// What the module says of a set, and whether there was room for all of it.
    fn list_set(
        &self,
        name: &str,
        generation: Option<u32>,
        bytes: &mut Vec<u8>,
    ) -> Result<Option<(SetList, bool)>> {
        let Some(name) = padded(name) else {
            return Ok(None);
        };
        let mut request = SetList {
            buffer: Buffer {
                abi: ABI,
                len: bytes.len().try_into().unwrap_or(u32::MAX),
                address: bytes.as_mut_ptr() as u64,
            },
            generation: generation.unwrap_or(0),
            name,
            ..SetList::default()
        };
        // SAFETY: IOC_SET_LIST reads and writes a `SetList`, any bytes of which are one.
        let command = unsafe { Updater::<{ IOC_SET_LIST }, SetList>::new(&mut request) };
        // SAFETY: this is the module's device (`open` checked it), and that is the module's
        // command, with the argument that it takes; the module writes at most `len` bytes at
        // `address`, which are ours.
        match unsafe { ioctl(self, command) } {
            Ok(()) => Ok(Some((request, true))),
            Err(Errno::NOSPC) => Ok(Some((request, false))),
            Err(Errno::SRCH | Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.failed("asking for the set")(errno)),
        }
    }
}
