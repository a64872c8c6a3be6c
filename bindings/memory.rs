// SPDX-License-Identifier: GPL-2.0

//! Memory for a ring, which user space may map for reading.
//!
//! C header: [`include/linux/vmalloc.h`](srctree/include/linux/vmalloc.h)

use core::ptr::NonNull;
use kernel::ffi::c_void;

use kernel::bindings;
use kernel::error::to_result;
use kernel::page::PAGE_SIZE;
use kernel::prelude::*;

use nftrace_core::abi::RING_HEADER;
use nftrace_core::ring::{Header, Memory, Slot};

use super::generated;

/// A ring's header and slots.
///
/// # Invariants
///
/// `memory` is what `vmalloc_user()` returned for [`Self::size`] bytes, and ours:
/// page-aligned and zeroed when it was made. It is written through atomics only.
pub(crate) struct RingMemory {
    memory: NonNull<c_void>,
    slots: usize,
}

// SAFETY: The memory may be freed by any thread.
unsafe impl Send for RingMemory {}
// SAFETY: What is in it are atomics.
unsafe impl Sync for RingMemory {}

const _: () = assert!(size_of::<Header>() <= RING_HEADER && RING_HEADER % align_of::<Slot>() == 0);

impl RingMemory {
    /// Room for so many slots.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `EOVERFLOW`.
    pub(crate) fn new(slots: usize) -> Result<Self> {
        let size = Self::size_of(slots).ok_or(EOVERFLOW)?;
        // SAFETY: The function has no preconditions.
        let memory = unsafe { generated::nftrace_alloc_mappable(size) };
        // INVARIANT: It was just made, of this size.
        Ok(Self {
            memory: NonNull::new(memory).ok_or(ENOMEM)?,
            slots,
        })
    }

    fn size_of(slots: usize) -> Option<usize> {
        slots
            .checked_mul(size_of::<Slot>())?
            .checked_add(RING_HEADER)?
            .checked_next_multiple_of(PAGE_SIZE)
    }

    /// Bytes, whole pages.
    pub(crate) fn size(&self) -> usize {
        Self::size_of(self.slots).unwrap_or(0)
    }

    /// Maps it for reading.
    ///
    /// # Errors
    ///
    /// `EPERM` for a mapping that may be written, `EINVAL` for one that is too large.
    ///
    /// # Safety
    ///
    /// `vma` is that of a running `mmap` file operation.
    pub(super) unsafe fn map(&self, vma: *mut bindings::vm_area_struct) -> Result {
        // SAFETY: `vma` is valid by this function's contract, and the memory is
        // mappable by the type invariants; its pages stay for as long as they are
        // mapped, whatever becomes of us.
        to_result(unsafe { generated::nftrace_map_read_only(vma, self.memory.as_ptr()) })
    }
}

impl Memory for RingMemory {
    #[inline]
    fn header(&self) -> &Header {
        // SAFETY: By the type invariants, a header's place is at the start, and all
        // zeroes is a header.
        unsafe { self.memory.cast::<Header>().as_ref() }
    }

    #[inline]
    fn slots(&self) -> &[Slot] {
        // SAFETY: By the type invariants, there is more than a ring's header of memory.
        let first = unsafe { self.memory.byte_add(RING_HEADER) }.cast::<Slot>();
        // SAFETY: By the type invariants, so many slots lie there, aligned since the
        // header's size is a multiple of their alignment; all zeroes is a slot.
        unsafe { core::slice::from_raw_parts(first.as_ptr(), self.slots) }
    }
}

impl Drop for RingMemory {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, it is from `vmalloc_user()` and ours.
        unsafe { generated::vfree(self.memory.as_ptr()) };
    }
}
