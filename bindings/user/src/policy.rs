// SPDX-License-Identifier: GPL-2.0

//! Policies: what the module holds, and what it may be asked to do about it.

use nftrace_core::abi::{Buffer, ABI};
use nftrace_core::policy::control::{
    Blob, Change, Count, Entry, Load, Status, ANY, IOC_BLOB, IOC_CHANGE, IOC_COUNTS, IOC_HISTORY,
    IOC_LOAD, IOC_STATUS, KEEP_SETS, MISSING, NO_BRIDGE,
};
use nftrace_core::policy::{Flaw, Refusal};
use rustix::io::Errno;
use rustix::ioctl::{ioctl, Getter, Updater};
use std::collections::hash_map::{self, HashMap};
use std::time::Duration;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::device::Device;
use crate::error::{Error, Result};

/// What is to be loaded besides a blob.
#[derive(Clone, Copy, Debug)]
pub struct Loading {
    /// What [`Status::epoch`] said before names were resolved.
    pub epoch: u64,
    /// Seconds after which the policy before is restored unless somebody confirms.
    pub trial: Option<u32>,
    /// The generation that has to be in force now.
    pub expected: Option<u32>,
    /// Whether dynamic sets that the policy in force has too keep what is in them.
    pub keep_sets: bool,
}

/// A policy that the module has taken.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Its generation.
    pub generation: u32,
    /// How many steps a packet costs at most.
    pub bound: u32,
    /// How long it took the kernel to verify it.
    pub verified: Duration,
    /// Bytes of the kernel's memory that it takes.
    pub memory: u64,
}

impl Device {
    /// What is in force. Begins a new epoch: namespaces made from now on are new to
    /// what is loaded with it.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn status(&self) -> Result<Status> {
        // SAFETY: IOC_STATUS writes one `Status`, any bytes of which are one.
        let command = unsafe { Getter::<{ IOC_STATUS }, Status>::new() };
        // SAFETY: this is the module's device (`open` checked it), and that is the
        // module's command, with the argument that it takes.
        unsafe { ioctl(self, command) }.map_err(self.failed("asking for the policy's status"))
    }

    /// Loads a policy in place of the one in force.
    ///
    /// # Errors
    ///
    /// [`Error::PolicyRefused`] and the like; the policy in force stays.
    pub fn load_policy(&self, blob: &[u8], loading: &Loading) -> Result<Taken> {
        let mut request = Load {
            abi: ABI,
            len: blob.len().try_into().map_err(|_| Error::PolicyTooLarge)?,
            address: blob.as_ptr() as u64,
            epoch: loading.epoch,
            trial: loading.trial.unwrap_or(0),
            expected: loading.expected.unwrap_or(ANY),
            flags: if loading.keep_sets { KEEP_SETS } else { 0 },
            ..Load::default()
        };
        // SAFETY: IOC_LOAD reads and writes a `Load`, any bytes of which are one.
        let command = unsafe { Updater::<{ IOC_LOAD }, Load>::new(&mut request) };
        // SAFETY: this is the module's device (`open` checked it), and that is the
        // module's command, with the argument that it takes; the module only reads
        // the `len` bytes at `address`, which are those of `blob`.
        let Err(errno) = (unsafe { ioctl(self, command) }) else {
            return Ok(Taken {
                generation: request.generation,
                bound: request.bound,
                verified: Duration::from_nanos(request.verified),
                memory: request.memory,
            });
        };
        Err(match (errno, request.flaw) {
            (Errno::NOENT, MISSING) => Error::PolicyNeeds {
                missing: until_zero(&request.missing),
            },
            (Errno::INVAL, NO_BRIDGE) => Error::PolicyNeedsBridge,
            (Errno::TOOBIG, flaw) if flaw == Flaw::Bound as u32 => Error::PolicyTooSlow {
                bound: request.offset,
            },
            (Errno::INVAL, flaw) if flaw != 0 => Error::PolicyRefused {
                refusal: u8::try_from(flaw)
                    .ok()
                    .and_then(Flaw::from_number)
                    .map(|flaw| Refusal {
                        offset: request.offset,
                        flaw,
                    }),
            },
            (Errno::TOOBIG, _) => Error::PolicyTooLarge,
            (Errno::NOMEM, _) => Error::PolicyNoMemory,
            (Errno::BUSY, _) => Error::PolicyOnTrial,
            (Errno::STALE, _) => Error::PolicyStale,
            _ => self.failed("loading the policy")(errno),
        })
    }

    /// Changes something: `what` is one of the numbers of
    /// [`nftrace_core::policy::control`], from `CONFIRM` on. The generation in force
    /// behind it.
    ///
    /// # Errors
    ///
    /// [`Error::NoGeneration`]: there is none that it could be done with.
    pub fn change_policy(&self, what: u32, generation: Option<u32>) -> Result<u32> {
        let mut request = Change {
            abi: ABI,
            what,
            generation: generation.unwrap_or(ANY),
            now: 0,
        };
        // SAFETY: IOC_CHANGE reads and writes a `Change`, any bytes of which are one.
        let command = unsafe { Updater::<{ IOC_CHANGE }, Change>::new(&mut request) };
        // SAFETY: this is the module's device (`open` checked it), and that is the
        // module's command, with the argument that it takes.
        match unsafe { ioctl(self, command) } {
            Ok(()) => Ok(request.now),
            Err(Errno::SRCH) => Err(Error::NoGeneration { generation }),
            Err(errno) => Err(self.failed("changing the policy")(errno)),
        }
    }

    /// The blob of a generation that is kept, or of the one in force; none where
    /// there is none.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn policy(&self, generation: Option<u32>) -> Result<Option<(u32, Vec<u8>)>> {
        let mut bytes = Vec::new();
        loop {
            let mut request = Blob {
                buffer: buffer(&mut bytes),
                generation: generation.unwrap_or(0),
                reserved: 0,
            };
            // SAFETY: IOC_BLOB reads and writes a `Blob`, any bytes of which are one.
            let command = unsafe { Updater::<{ IOC_BLOB }, Blob>::new(&mut request) };
            // SAFETY: this is the module's device (`open` checked it), and that is the
            // module's command, with the argument that it takes; the module writes at
            // most `len` bytes at `address`, which are ours.
            match unsafe { ioctl(self, command) } {
                Ok(()) => {
                    bytes.truncate(request.buffer.len as usize);
                    return Ok(Some((request.generation, bytes)));
                }
                Err(Errno::NOSPC) => bytes.resize(request.buffer.len as usize, 0),
                Err(Errno::SRCH) => return Ok(None),
                Err(errno) => return Err(self.failed("asking for the policy")(errno)),
            }
        }
    }

    /// What rules and defaults did so far.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn counts(&self) -> Result<Vec<Count>> {
        let parts: Vec<Count> = self.list::<IOC_COUNTS, _>("asking for the policy's counters")?;
        // CPUs count by themselves.
        let mut counts: Vec<Count> = Vec::new();
        let mut known = HashMap::new();
        for part in parts {
            match known.entry((part.cookie, part.slot)) {
                hash_map::Entry::Vacant(vacant) => {
                    vacant.insert(counts.len());
                    counts.push(part);
                }
                hash_map::Entry::Occupied(at) => {
                    let sum = &mut counts[*at.get()];
                    sum.packets += part.packets;
                    sum.bytes += part.bytes;
                    sum.last = sum.last.max(part.last);
                }
            }
        }
        Ok(counts)
    }

    /// The last changes, the oldest first.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn history(&self) -> Result<Vec<Entry>> {
        self.list::<IOC_HISTORY, _>("asking for the policy's history")
    }

    fn list<const COMMAND: u32, T>(&self, action: &'static str) -> Result<Vec<T>>
    where
        T: FromBytes + IntoBytes + Immutable + Clone,
    {
        let mut bytes = Vec::new();
        loop {
            let mut request = buffer(&mut bytes);
            // SAFETY: both commands read and write a `Buffer`, any bytes of which are one.
            let command = unsafe { Updater::<COMMAND, Buffer>::new(&mut request) };
            // SAFETY: this is the module's device (`open` checked it), and that is the
            // module's command, with the argument that it takes; the module writes at
            // most `len` bytes at `address`, which are ours.
            match unsafe { ioctl(self, command) } {
                Ok(()) => {
                    bytes.truncate(request.len as usize);
                    let chunks = bytes.chunks_exact(size_of::<T>());
                    return Ok(chunks
                        .filter_map(|one| T::read_from_bytes(one).ok())
                        .collect());
                }
                // There may be more the next time, too.
                Err(Errno::NOSPC) => bytes.resize(request.len as usize + 64 * size_of::<T>(), 0),
                Err(errno) => return Err(self.failed(action)(errno)),
            }
        }
    }

    pub(crate) fn failed<'a>(&'a self, action: &'static str) -> impl Fn(Errno) -> Error + 'a {
        move |errno| match errno {
            Errno::PROTONOSUPPORT => Error::Abi {
                module: self.info().abi,
            },
            Errno::PERM | Errno::ACCESS => Error::of_open(self.path(), errno),
            errno => Error::Kernel { action, errno },
        }
    }
}

fn buffer(bytes: &mut [u8]) -> Buffer {
    Buffer {
        abi: ABI,
        len: bytes.len().try_into().unwrap_or(u32::MAX),
        address: bytes.as_mut_ptr() as u64,
    }
}

fn until_zero(bytes: &[u8]) -> String {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}
