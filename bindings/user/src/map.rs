// SPDX-License-Identifier: GPL-2.0

//! The rings in our own address space: reading without a system call.

use std::ffi::c_void;
use std::fmt;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::ptr::NonNull;

use nftrace_core::abi::{Frame, RING_HEADER};
use nftrace_core::ring::{merge, Cursor, Header, Merged, Slot, View};
use rustix::fs::{Mode, OFlags};
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};

use crate::clock::monotonic;
use crate::device::{Device, Start};
use crate::error::{Error, Result};

/// The rings of all CPUs, mapped read-only. They live as long as this, also when the
/// device is closed.
pub struct Rings {
    rings: Vec<Mapping>,
    slots: usize,
}

/// A ring's memory: unmapped when this is dropped.
struct Mapping {
    address: NonNull<c_void>,
    len: usize,
}

// SAFETY: the memory is only read, through atomic words, and unmapped when nobody has it any more.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Rings {
    /// Maps the rings of `device`.
    ///
    /// # Errors
    ///
    /// What the kernel says, or the module describes rings that cannot be.
    pub fn map(device: &Device) -> Result<Self> {
        let info = device.info();
        let wrong = || Error::Rings;
        let number = |value: u32| usize::try_from(value).map_err(|_| wrong());
        let (rings, slots) = (number(info.rings)?, number(info.slots)?);
        let ring_size = usize::try_from(info.ring_size).map_err(|_| wrong())?;
        let needed = slots
            .checked_mul(size_of::<Slot>())
            .and_then(|bytes| bytes.checked_add(RING_HEADER));
        let fits = slots.is_power_of_two() && needed.is_some_and(|needed| needed <= ring_size);
        if !fits || ring_size % RING_HEADER != 0 {
            return Err(wrong());
        }
        let map = |cpu: usize| {
            let offset = (cpu as u64).checked_mul(info.ring_size).ok_or_else(wrong)?;
            // SAFETY: the address is the kernel's choice, so no memory of ours is replaced.
            let address = unsafe {
                rustix::mm::mmap(
                    std::ptr::null_mut(),
                    ring_size,
                    ProtFlags::READ,
                    MapFlags::SHARED,
                    device.as_fd(),
                    offset,
                )
            };
            let address = address.map_err(Error::kernel("mapping the rings"))?;
            Ok(Mapping {
                address: NonNull::new(address).ok_or_else(wrong)?,
                len: ring_size,
            })
        };
        Ok(Self {
            rings: (0..rings).map(map).collect::<Result<_>>()?,
            slots,
        })
    }

    /// Whether the kernel lets somebody write to the rings, at once or later. It must
    /// not; this is for the test of that.
    ///
    /// # Errors
    ///
    /// What the kernel says, when it does not let them be read either.
    #[doc(hidden)]
    pub fn are_writable(path: &Path, len: usize) -> Result<bool> {
        let fd = rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| Error::of_open(path, errno))?;
        let map = |protection| {
            // SAFETY: the address is the kernel's choice, so no memory of ours is replaced.
            unsafe {
                rustix::mm::mmap(
                    std::ptr::null_mut(),
                    len,
                    protection,
                    MapFlags::SHARED,
                    &fd,
                    0,
                )
            }
        };
        // What is mapped here stays mapped: nobody uses it, and the test ends soon.
        if map(ProtFlags::READ | ProtFlags::WRITE).is_ok() {
            return Ok(true);
        }
        let address = map(ProtFlags::READ).map_err(Error::kernel("mapping the rings"))?;
        let writable = MprotectFlags::READ | MprotectFlags::WRITE;
        // SAFETY: this was mapped above, and nobody has a reference into it.
        Ok(unsafe { rustix::mm::mprotect(address, len, writable) }.is_ok())
    }

    /// How many rings there are, one for each CPU that there can be.
    pub fn count(&self) -> usize {
        self.rings.len()
    }

    /// The ring of a CPU.
    pub fn view(&self, cpu: usize) -> Option<View<'_>> {
        let ring = self.rings.get(cpu)?.address.as_ptr();
        // SAFETY: `map` made sure that each ring begins with a page whose first words are
        // the header, page-aligned, and it is mapped as long as `self`. The kernel writes
        // it with atomic stores only; our loads of 64 bits are plain ones on this
        // architecture, which read-only memory allows.
        let header = unsafe { &*ring.cast::<Header>() };
        let slots = ring.wrapping_byte_add(RING_HEADER).cast::<Slot>();
        // SAFETY: as above; `map` made sure that so many slots follow that page, and a
        // page is aligned as a slot has to be.
        let slots = unsafe { std::slice::from_raw_parts(slots, self.slots) };
        View::new(header, slots)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this was mapped by `map`, and whatever was lent out of it is given back.
        // An error would mean that it is not mapped, and there is nothing to do.
        let _ = unsafe { rustix::mm::munmap(self.address.as_ptr(), self.len) };
    }
}

impl fmt::Debug for Rings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rings, slots) = (self.rings.len(), self.slots);
        write!(f, "Rings {{ rings: {rings}, slots: {slots} }}")
    }
}

/// Reads mapped rings, with positions and counts of its own.
#[derive(Debug)]
pub struct MappedReader<'a> {
    rings: &'a Rings,
    cursors: Vec<Cursor>,
}

impl<'a> MappedReader<'a> {
    /// A reader that begins there.
    pub fn new(rings: &'a Rings, start: Start) -> Self {
        let views = (0..rings.count()).filter_map(|cpu| rings.view(cpu));
        let begin = match start {
            Start::Oldest => Cursor::oldest,
            Start::Newest => Cursor::newest,
        };
        Self {
            cursors: views.map(begin).collect(),
            rings,
        }
    }

    /// The next frame, of all CPUs in the order of their times; none where there is
    /// none yet. As [`Device::read`] would bring it.
    pub fn next_frame(&mut self) -> Option<Frame> {
        let rings = self.rings;
        // Up to now, in the order in which `merge` wants it: the clock first.
        let until = monotonic();
        match merge(&mut self.cursors, |cpu| rings.view(cpu), until) {
            Merged::Frame(cpu, mut frame) => {
                frame.record.cpu = u16::try_from(cpu).unwrap_or(u16::MAX);
                Some(frame)
            }
            Merged::Busy | Merged::Empty => None,
        }
    }
}
