// SPDX-License-Identifier: GPL-2.0

//! Which code of the kernel a thread's calls run: KCOV, where the kernel has it, of what
//! was compiled for it.

use std::os::fd::AsFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::ioctl::{ioctl, opcode, IntegerSetter, Opcode};
use rustix::mm::{MapFlags, ProtFlags};

use crate::error::{Error, Result};

const PATH: &str = "/sys/kernel/debug/kcov";

// Of linux/kcov.h.
const KCOV_INIT_TRACE: Opcode = opcode::read::<libc::c_ulong>(b'c', 1);
const KCOV_ENABLE: Opcode = opcode::none(b'c', 100);
const KCOV_TRACE_PC: usize = 0;

/// What the kernel may write: how many there are, and an address for each edge, each time
/// that it is taken. What a call takes behind the last one is not told.
const WORDS: usize = 1 << 18;

/// The edges that one thread takes in the kernel.
#[derive(Debug)]
pub struct Coverage {
    words: NonNull<AtomicU64>,
}

impl Coverage {
    /// Those of this thread, from now on until it ends.
    ///
    /// # Errors
    ///
    /// What the kernel says: it has no KCOV, debugfs is not mounted.
    pub fn of_this_thread() -> Result<Self> {
        let file = rustix::fs::open(PATH, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .map_err(Error::kernel("opening /sys/kernel/debug/kcov"))?;
        ask::<KCOV_INIT_TRACE>(&file, WORDS).map_err(Error::kernel("giving room to kcov"))?;
        // SAFETY: the address is the kernel's choice, so no memory of ours is replaced.
        let address = unsafe {
            rustix::mm::mmap(
                ptr::null_mut(),
                WORDS * size_of::<AtomicU64>(),
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                &file,
                0,
            )
        };
        let address = address.map_err(Error::kernel("mapping kcov"))?;
        let words = NonNull::new(address.cast()).ok_or(Error::Rings)?;
        let coverage = Self { words };
        // The thread holds what it writes to, also when the file is closed.
        ask::<KCOV_ENABLE>(&file, KCOV_TRACE_PC).map_err(Error::kernel("enabling kcov"))?;
        Ok(coverage)
    }

    /// The word at a place, for which there is one.
    fn word(&self, at: usize) -> &AtomicU64 {
        assert!(at < WORDS);
        // SAFETY: `of_this_thread` mapped so many words, aligned to a page, and they stay as
        // long as `self`; whoever writes to them writes whole words.
        unsafe { self.words.add(at).as_ref() }
    }

    /// From here on they are counted.
    pub fn begin(&self) {
        self.word(0).store(0, Ordering::Relaxed);
    }

    /// What was taken since then: addresses in the kernel, each once, in order.
    pub fn edges(&self) -> Vec<u64> {
        let count = usize::try_from(self.word(0).load(Ordering::Relaxed)).unwrap_or(0);
        let mut edges: Vec<u64> = (1..=count.min(WORDS - 1))
            .map(|at| self.word(at).load(Ordering::Relaxed))
            .collect();
        edges.sort_unstable();
        edges.dedup();
        edges
    }
}

impl Drop for Coverage {
    fn drop(&mut self) {
        // SAFETY: `of_this_thread` mapped it, and `word` lends nothing for longer than `self`.
        let _ = unsafe {
            rustix::mm::munmap(self.words.as_ptr().cast(), WORDS * size_of::<AtomicU64>())
        };
    }
}

fn ask<const COMMAND: Opcode>(file: impl AsFd, number: usize) -> std::result::Result<(), Errno> {
    // SAFETY: the two commands of this module take a number and touch no memory of ours.
    let command = unsafe { IntegerSetter::<COMMAND>::new_usize(number) };
    // SAFETY: `of_this_thread` opened kcov, whose commands they are.
    unsafe { ioctl(file, command) }
}
