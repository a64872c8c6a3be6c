// SPDX-License-Identifier: GPL-2.0

//! The kernel's tracepoints `kfree_skb` and `consume_skb`: the end of packets.
//!
//! C header: [`include/linux/tracepoint.h`](srctree/include/linux/tracepoint.h)

use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering};
use kernel::ffi::{c_int, c_uint, c_void};

use kernel::bindings;
use kernel::error::to_result;
use kernel::prelude::*;

use super::exports::{nftrace_consume_skb, nftrace_kfree_skb};
use super::generated;
use super::param::Locked;

/// A packet whose buffer is about to be freed.
///
/// # Invariants
///
/// `skb` is that of a running probe: valid for as long as the value lives.
pub(crate) struct FreedPacket {
    skb: NonNull<bindings::sk_buff>,
}

impl FreedPacket {
    /// # Safety
    ///
    /// `skb` is what a tracepoint hands to a probe that runs for as long as the value lives.
    pub(super) unsafe fn new(skb: *mut bindings::sk_buff) -> Option<Self> {
        // INVARIANT: By this function's contract.
        NonNull::new(skb).map(|skb| Self { skb })
    }

    /// The address of the buffer, as [`super::skb::HookedPacket::address`] says it.
    #[inline]
    pub(crate) fn address(&self) -> u64 {
        self.skb.as_ptr().addr() as u64
    }

    /// Copies from the network header on into `buffer`, as much as there is; how
    /// long the packet is from there on. None where that header cannot be found.
    pub(crate) fn copy_network(&self, buffer: &mut [u8]) -> Option<usize> {
        let room = u32::try_from(buffer.len()).ok()?;
        // SAFETY: By the type invariants, `skb` is valid; `buffer` is valid for
        // writes of so many bytes.
        let total = unsafe {
            generated::nftrace_skb_copy_network(
                self.skb.as_ptr(),
                buffer.as_mut_ptr().cast::<c_void>(),
                room,
            )
        };
        usize::try_from(total).ok()
    }
}

/// Why and where a packet is dropped.
pub(crate) struct Reason {
    /// The number.
    pub(crate) number: u32,
    location: *const c_void,
}

impl Reason {
    pub(super) fn new(number: c_uint, location: *const c_void) -> Self {
        Self { number, location }
    }

    /// Whether it is that of packets in a queue that nobody will read any more.
    pub(crate) fn is_purge(&self) -> bool {
        self.number == bindings::skb_drop_reason_SKB_DROP_REASON_QUEUE_PURGE
    }

    /// Its name, with a zero byte behind it.
    pub(crate) fn name(&self) -> [u8; 40] {
        let mut name = [0; 40];
        // SAFETY: `name` is valid for writes of so many bytes.
        unsafe { generated::nftrace_drop_reason(self.number, name.as_mut_ptr().cast(), 40) };
        name
    }

    /// The function that drops it, with a zero byte behind it.
    pub(crate) fn location(&self) -> [u8; 32] {
        let mut name = [0; 32];
        // SAFETY: `name` is valid for writes of so many bytes; the location is only
        // looked up, whatever it is.
        unsafe { generated::nftrace_symbol(self.location, name.as_mut_ptr().cast(), 32) };
        name
    }
}

const KFREE_SKB: &CStr = c"kfree_skb";
const CONSUME_SKB: &CStr = c"consume_skb";

/// Whether the probes are registered. Written under the parameters' lock.
static ARMED: AtomicBool = AtomicBool::new(false);

fn kfree_skb() -> *mut c_void {
    nftrace_kfree_skb as *mut c_void
}

fn consume_skb() -> *mut c_void {
    nftrace_consume_skb as *mut c_void
}

/// Registers the probes, or unregisters them. When this returns, no probe runs
/// that was not wanted.
///
/// # Errors
///
/// `ENOENT` where the kernel has no such tracepoint, `ENOMEM`.
pub(crate) fn arm(wanted: bool, _locked: &Locked) -> Result {
    if ARMED.load(Ordering::Relaxed) == wanted {
        return Ok(());
    }
    if !wanted {
        disarm(&[(KFREE_SKB, kfree_skb()), (CONSUME_SKB, consume_skb())]);
        ARMED.store(false, Ordering::Relaxed);
        return Ok(());
    }
    probe(KFREE_SKB, kfree_skb())?;
    probe(CONSUME_SKB, consume_skb()).inspect_err(|_| disarm(&[(KFREE_SKB, kfree_skb())]))?;
    ARMED.store(true, Ordering::Relaxed);
    Ok(())
}

fn probe(name: &CStr, function: *mut c_void) -> Result {
    // SAFETY: The function has the prototype of this tracepoint's probes, and is
    // unregistered before the module goes.
    let result: c_int = unsafe { generated::nftrace_probe(name.as_char_ptr(), function) };
    to_result(result)
}

fn disarm(probes: &[(&CStr, *mut c_void)]) {
    for (name, function) in probes {
        // SAFETY: It was registered for this tracepoint.
        unsafe { generated::nftrace_unprobe(name.as_char_ptr(), *function) };
    }
    // SAFETY: The function has no preconditions but process context, which holds
    // under the parameters' lock.
    unsafe { generated::nftrace_probes_synchronize() };
}
