// SPDX-License-Identifier: GPL-2.0

//! Memory whose use the kernel may be asked for in any way, and calls with any argument.

use std::ffi::c_void;
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd as _};
use std::ptr;

use nftrace_core::policy::control::{SetChange, IOC_SET_CHANGE};
use rustix::io::Errno;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};

use crate::error::{Error, Result};

/// Where the address of a buffer stands in what the module is given.
const ADDRESS: usize = 8;

/// The same of [`IOC_SET_CHANGE`], whose buffers are only read.
const SETS: [usize; 2] = [
    offset_of!(SetChange, address4),
    offset_of!(SetChange, address6),
];

/// Where an argument or a buffer is.
#[derive(Clone, Copy, Debug)]
pub enum Where {
    /// In the arena, so far behind its beginning; behind its end nothing can be reached.
    Here(usize),
    /// At address 0.
    Null,
    /// In the kernel's part of the address space.
    Kernel,
    /// Nowhere: an address that the processor knows not to exist.
    Nowhere,
}

/// Some memory with nothing behind it. The kernel may write to all of it in every call, so
/// nobody ever has a reference into it.
#[derive(Debug)]
pub struct Arena {
    base: *mut c_void,
}

impl Arena {
    /// How many bytes there are.
    pub const SIZE: usize = 1 << 18;

    /// Memory of zeroes.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn new() -> Result<Self> {
        // SAFETY: the address is the kernel's choice, so no memory of ours is replaced.
        let base = unsafe {
            rustix::mm::mmap_anonymous(
                ptr::null_mut(),
                Self::SIZE * 2,
                ProtFlags::empty(),
                MapFlags::PRIVATE,
            )
        };
        let base = base.map_err(Error::kernel("asking for memory"))?;
        let both = MprotectFlags::READ | MprotectFlags::WRITE;
        // SAFETY: the first half of what was just mapped.
        unsafe { rustix::mm::mprotect(base, Self::SIZE, both) }
            .map_err(Error::kernel("asking for memory"))?;
        Ok(Self { base })
    }

    fn address(&self, at: Where) -> u64 {
        match at {
            Where::Here(offset) => self.base as u64 + offset.min(Self::SIZE) as u64,
            Where::Null => 0,
            Where::Kernel => 0xffff_8880_0000_0000,
            Where::Nowhere => 0x8000_0000_0000_0000,
        }
    }

    /// Puts bytes there, as far as there is room.
    pub fn put(&mut self, at: usize, bytes: &[u8]) {
        let at = at.min(Self::SIZE);
        let len = bytes.len().min(Self::SIZE - at);
        // SAFETY: the arena has `at + len` bytes, and `bytes` are none of them.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.base.cast::<u8>().add(at), len) };
    }

    /// Calls the device with these bytes, the arena's first ones, as what the command is
    /// about; with `buffer`, the address in them is that one.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn ioctl(
        &mut self,
        device: impl AsFd,
        command: u32,
        request: &[u8],
        buffer: Where,
        argument: Option<Where>,
    ) -> std::result::Result<(), Errno> {
        self.put(0, request);
        // Always one of ours: any other number could be where something of ours lies.
        let address = self.address(buffer).to_ne_bytes();
        if command == IOC_SET_CHANGE {
            SETS.into_iter().for_each(|at| self.put(at, &address));
        } else {
            self.put(ADDRESS, &address);
        }
        let argument = self.address(argument.unwrap_or(Where::Here(0)));
        let fd = device.as_fd().as_raw_fd();
        // SAFETY: whatever the command is, the kernel writes to where the argument or the
        // address in it leads: into the arena, where nothing of ours is, up to its end.
        // IOC_SET_CHANGE writes to the argument alone.
        let code = unsafe { libc::ioctl(fd, command.into(), argument) };
        told(code == 0)
    }

    /// Reads so many bytes to there.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn read(
        &mut self,
        device: impl AsFd,
        to: Where,
        len: usize,
    ) -> std::result::Result<usize, Errno> {
        let fd = device.as_fd().as_raw_fd();
        let address = usize::try_from(self.address(to)).unwrap_or(0);
        let to = ptr::with_exposed_provenance_mut(address);
        // SAFETY: the kernel writes into the arena up to its end, or nowhere.
        let read = unsafe { libc::read(fd, to, len) };
        usize::try_from(read).map_err(|_| last())
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: `new` mapped it, and nobody has a reference into it.
        let _ = unsafe { rustix::mm::munmap(self.base, Self::SIZE * 2) };
    }
}

fn told(is_done: bool) -> std::result::Result<(), Errno> {
    is_done.then_some(()).ok_or_else(last)
}

fn last() -> Errno {
    let error = std::io::Error::last_os_error();
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

/// Maps a part of the device's memory in any way, reads some of it and unmaps it in two
/// steps, the first of so many bytes.
///
/// # Errors
///
/// What the kernel says.
pub fn map(
    device: impl AsFd,
    len: usize,
    may: u32,
    is_shared: bool,
    offset: u64,
    first: usize,
) -> std::result::Result<(), Errno> {
    let may = ProtFlags::from_bits_truncate(may);
    let flags = if is_shared {
        MapFlags::SHARED
    } else {
        MapFlags::PRIVATE
    };
    // SAFETY: the address is the kernel's choice, so no memory of ours is replaced.
    let address = unsafe { rustix::mm::mmap(ptr::null_mut(), len, may, flags, device, offset) }?;
    if may.contains(ProtFlags::READ) {
        let words = address.cast::<u64>();
        for at in (0..len / 8).step_by(len.div_ceil(64).max(1)) {
            // SAFETY: it was just mapped, `len` bytes of it; the kernel may write there
            // meanwhile, which a volatile read allows for.
            std::hint::black_box(unsafe { words.add(at).read_volatile() });
        }
    }
    let first = first.min(len) & !4095;
    if first > 0 {
        // SAFETY: as far as it was mapped above; nobody has a reference into it.
        unsafe { rustix::mm::munmap(address, first) }?;
    }
    if first < len {
        // SAFETY: the rest of it, of which nobody has a reference either.
        unsafe { rustix::mm::munmap(address.byte_add(first), len - first) }?;
    }
    Ok(())
}
