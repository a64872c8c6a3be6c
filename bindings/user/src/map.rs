// SPDX-License-Identifier: GPL-2.0

//! The rings in our own address space: reading without a system call.

use std::ffi::c_void;
use std::fmt;
use std::os::fd::AsFd as _;
use std::ptr::NonNull;

use nftrace_core::abi::{Frame, RING_HEADER};
use nftrace_core::ring::{merge, Cursor, Header, Merged, Slot, View};
use rustix::mm::{MapFlags, ProtFlags};

use crate::device::{Device, Start};
use crate::error::{Error, Result};

/// The rings of all CPUs, mapped read-only. They live as long as this, also when the
/// device is closed.
pub struct Rings {
    address: NonNull<c_void>,
    len: usize,
    rings: usize,
    ring_size: usize,
    slots: usize,
}

// SAFETY: the memory is only read, through atomic words, and unmapped when nobody has it any more.
unsafe impl Send for Rings {}
// SAFETY: as above.
unsafe impl Sync for Rings {}

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
        let len = rings.checked_mul(ring_size).filter(|len| *len > 0);
        let (true, true, Some(len)) = (fits, ring_size % RING_HEADER == 0, len) else {
            return Err(wrong());
        };
        // SAFETY: the address is the kernel's choice, so no memory of ours is replaced.
        let address = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                len,
                ProtFlags::READ,
                MapFlags::SHARED,
                device.as_fd(),
                0,
            )
        };
        let address = address.map_err(Error::kernel("mapping the rings"))?;
        Ok(Self {
            address: NonNull::new(address).ok_or_else(wrong)?,
            len,
            rings,
            ring_size,
            slots,
        })
    }

    /// How many rings there are, one for each CPU that there can be.
    pub fn count(&self) -> usize {
        self.rings
    }

    /// The ring of a CPU.
    pub fn view(&self, cpu: usize) -> Option<View<'_>> {
        if cpu >= self.rings {
            return None;
        }
        let ring = self
            .address
            .as_ptr()
            .wrapping_byte_add(cpu * self.ring_size);
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

impl Drop for Rings {
    fn drop(&mut self) {
        // SAFETY: this was mapped by `map`, and whatever was lent out of it is given back.
        // An error would mean that it is not mapped, and there is nothing to do.
        let _ = unsafe { rustix::mm::munmap(self.address.as_ptr(), self.len) };
    }
}

impl fmt::Debug for Rings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rings, slots, .. } = self;
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
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let now = time
            .tv_sec
            .wrapping_mul(1_000_000_000)
            .wrapping_add(time.tv_nsec);
        let until = u64::try_from(now).unwrap_or(0);
        match merge(&mut self.cursors, |cpu| rings.view(cpu), until) {
            Merged::Frame(cpu, mut frame) => {
                frame.record.cpu = u16::try_from(cpu).unwrap_or(u16::MAX);
                Some(frame)
            }
            Merged::Busy | Merged::Empty => None,
        }
    }
}
