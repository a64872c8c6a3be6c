// SPDX-License-Identifier: GPL-2.0

//! Sleeping readers of the device, woken a millisecond after a record, or at once
//! when many have come: never for each.
//!
//! C headers: [`include/linux/wait.h`](srctree/include/linux/wait.h),
//! [`include/linux/hrtimer.h`](srctree/include/linux/hrtimer.h)

use core::sync::atomic::{fence, AtomicU32, Ordering};

use super::generated;

/// The timer, which stands for as long as records are made.
///
/// # Invariants
///
/// The timer is initialised.
pub(crate) struct Timer(());

impl Timer {
    /// To be made before any hook is registered, once.
    pub(crate) fn new() -> Self {
        // SAFETY: The timer is a static of `device.c` that nothing has set yet.
        unsafe { generated::nftrace_wake_setup() };
        // INVARIANT: It was just initialised.
        Self(())
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, it is initialised. Records are not made any
        // more when this is dropped, so nobody sets it again.
        unsafe { generated::nftrace_wake_cancel() };
    }
}

/// Nobody waits.
const IDLE: u32 = 0;
/// Somebody waits, and nothing has come.
const WAITING: u32 = 1;
/// The timer is set; how many records have come since is this less.
const ARMED: u32 = 2;

/// How many records end the wait before the timer does: about what a reader's
/// buffer takes at once.
const WATERMARK: u32 = 256;

static STATE: AtomicU32 = AtomicU32::new(IDLE);

/// Says that a record was written. To be called from any context but NMI.
#[inline]
pub(crate) fn produced() {
    // What was written is seen by whoever says after this that he waits; what he
    // said before, we see. (See `wait`.)
    fence(Ordering::SeqCst);
    if STATE.load(Ordering::Relaxed) != IDLE {
        notify();
    }
}

#[cold]
fn notify() {
    let before = STATE.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |state| match state {
        IDLE => None,
        state => Some(state.wrapping_add(1)),
    });
    match before {
        // SAFETY: A `Timer` lives: it is dropped only when no hook is there any more.
        Ok(WAITING) => unsafe { generated::nftrace_wake_in_a_millisecond() },
        Ok(state) if state >= ARMED + WATERMARK => wake_now(),
        _ => {}
    }
}

/// Wakes all who wait.
pub(super) fn wake_now() {
    if STATE.swap(IDLE, Ordering::SeqCst) != IDLE {
        // SAFETY: The function has no preconditions; it may be called from an interrupt.
        unsafe { generated::nftrace_wake() };
    }
}

/// Says that the caller is about to wait; to be called before he looks whether
/// there is anything, and each time that he looks again.
pub(super) fn about_to_wait() {
    let _ = STATE.compare_exchange(IDLE, WAITING, Ordering::SeqCst, Ordering::SeqCst);
    fence(Ordering::SeqCst);
}
