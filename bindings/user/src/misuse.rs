// SPDX-License-Identifier: GPL-2.0

//! Ways to map the rings that the kernel has to refuse, or to bear, signals that end what
//! waits in it, packets of any bytes, and what of it was run: for the tests of that.

use std::ffi::c_void;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;
use rustix::mm::{MapFlags, MprotectFlags, MremapFlags, ProtFlags};

use crate::device::Device;
use crate::error::{Error, Result};

mod arena;
mod kcov;
mod tun;

pub use arena::{map as map_anyhow, Arena, Where};
pub use kcov::Coverage;
pub use tun::tun;

/// What came of each try, by its name; without an error, it was let through.
///
/// # Errors
///
/// The rings cannot even be mapped as they should be.
#[doc(hidden)]
pub fn of_maps(device: &Device) -> Result<Vec<(&'static str, Option<Errno>)>> {
    let info = device.info();
    let size = usize::try_from(info.ring_size).map_err(|_| Error::Rings)?;
    let all = u64::from(info.rings) * info.ring_size;
    let page = 4096;
    let read_write = ProtFlags::READ | ProtFlags::WRITE;
    let tries = [
        ("writable", size, read_write, MapFlags::SHARED, 0),
        ("write only", size, ProtFlags::WRITE, MapFlags::SHARED, 0),
        ("a writable copy", size, read_write, MapFlags::PRIVATE, 0),
        (
            "too long",
            size + page,
            ProtFlags::READ,
            MapFlags::SHARED,
            0,
        ),
        (
            "far too long",
            size << 10,
            ProtFlags::READ,
            MapFlags::SHARED,
            0,
        ),
        (
            "inside of a ring",
            page,
            ProtFlags::READ,
            MapFlags::SHARED,
            page as u64,
        ),
        (
            "behind the last ring",
            size,
            ProtFlags::READ,
            MapFlags::SHARED,
            all,
        ),
        (
            "the end of the address space",
            size,
            ProtFlags::READ,
            MapFlags::SHARED,
            u64::MAX << 12,
        ),
    ];
    let mut told = Vec::new();
    for (name, len, protection, flags, offset) in tries {
        // SAFETY: the address is the kernel's choice, so no memory of ours is replaced;
        // what is mapped is given up below, or stays and is not used.
        let result = unsafe {
            rustix::mm::mmap(
                ptr::null_mut(),
                len,
                protection,
                flags,
                device.as_fd(),
                offset,
            )
        };
        told.push((name, result.err()));
        if let Ok(address) = result {
            // SAFETY: it was just mapped, and nobody has a reference into it.
            let _ = unsafe { rustix::mm::munmap(address, len) };
        }
    }
    let address = map(device, size)?;
    let writable = MprotectFlags::READ | MprotectFlags::WRITE;
    // SAFETY: this was mapped above, and nobody has a reference into it.
    let protected = unsafe { rustix::mm::mprotect(address, size, writable) };
    told.push(("made writable", protected.err()));
    // SAFETY: as above; what it is moved to is nobody's, and stays to the end.
    let grown = unsafe { rustix::mm::mremap(address, size, size * 2, MremapFlags::MAYMOVE) };
    told.push(("grown", grown.err()));
    Ok(told)
}

/// A child that was forked while the first ring was mapped reads all of it, and its
/// parent unmaps a half of it then: the child's exit code, none if it was killed.
///
/// # Errors
///
/// What the kernel says.
#[doc(hidden)]
pub fn of_fork(device: &Device) -> Result<Option<i32>> {
    let size = usize::try_from(device.info().ring_size).map_err(|_| Error::Rings)?;
    let address = map(device, size)? as usize;
    let read = move || -> io::Result<()> {
        let words = ptr::with_exposed_provenance::<u64>(address);
        let sum = (0..size / 8).fold(0_u64, |sum, at| {
            // SAFETY: the child inherited the mapping, of `size` bytes; the kernel may
            // write there meanwhile, which a volatile read allows for.
            sum.wrapping_add(unsafe { words.add(at).read_volatile() })
        });
        // Never so, which the compiler does not know.
        if sum == 0x5eed_5eed_5eed_5eed {
            Err(Errno::IO.into())
        } else {
            Ok(())
        }
    };
    let mut child = Command::new("true");
    // SAFETY: between fork and exec it only reads memory.
    unsafe { child.pre_exec(read) };
    let status = child.status().map_err(|_| Error::Rings)?;
    // SAFETY: it was mapped above, and nobody has a reference into it.
    let _ = unsafe { rustix::mm::munmap(ptr::with_exposed_provenance_mut(address), size / 2) };
    Ok(status.code())
}

static SIGNALS: AtomicU64 = AtomicU64::new(0);

extern "C" fn count(_signal: libc::c_int) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

/// From now on SIGUSR1 is counted, and ends a system call that waits.
///
/// # Errors
///
/// What the kernel says.
#[doc(hidden)]
pub fn count_signals() -> Result<&'static AtomicU64> {
    // SAFETY: all zeroes are a `sigaction`: no flags (SA_RESTART among them), no mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = count as extern "C" fn(libc::c_int) as usize;
    // SAFETY: the handler only adds to an atomic number, which a handler may.
    let result = unsafe { libc::sigaction(libc::SIGUSR1, &action, ptr::null_mut()) };
    if result == 0 {
        Ok(&SIGNALS)
    } else {
        let errno = io::Error::last_os_error().raw_os_error().unwrap_or(0);
        Err(Error::kernel("waiting for signals")(
            Errno::from_raw_os_error(errno),
        ))
    }
}

/// Moves the reader to any place.
///
/// # Errors
///
/// What the kernel says.
#[doc(hidden)]
pub fn seek(device: &Device, to: usize) -> std::result::Result<(), Errno> {
    device.seek_to(to)
}

fn map(device: &Device, size: usize) -> Result<*mut c_void> {
    let fd = device.as_fd();
    // SAFETY: the address is the kernel's choice, so no memory of ours is replaced.
    let address = unsafe {
        rustix::mm::mmap(
            ptr::null_mut(),
            size,
            ProtFlags::READ,
            MapFlags::SHARED,
            fd,
            0,
        )
    };
    address.map_err(Error::kernel("mapping the rings"))
}
