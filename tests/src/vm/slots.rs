// SPDX-License-Identifier: GPL-2.0

//! How many machines may run at once in this process.

use std::sync::{Condvar, LazyLock, Mutex, PoisonError};

struct Slots {
    free: Mutex<usize>,
    freed: Condvar,
}

static SLOTS: LazyLock<Slots> = LazyLock::new(|| Slots {
    free: Mutex::new(at_once()),
    freed: Condvar::new(),
});

/// The right to run one machine; given back when dropped.
pub(super) struct Slot;

/// How many machines may run at once: `NFTRACE_VMS`, or one for each core.
///
/// Measured without KVM on two cores, two machines at once take each 1.4 times as long, and
/// save a suite a third of its time; every limit in time leaves room for that.
#[must_use]
pub fn at_once() -> usize {
    let asked = std::env::var("NFTRACE_VMS")
        .ok()
        .and_then(|text| text.parse().ok());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    asked.unwrap_or(cores).max(1)
}

impl Slot {
    /// Waits until a machine may run.
    pub(super) fn take() -> Self {
        let mut free = SLOTS.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = SLOTS
                .freed
                .wait(free)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Self
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        *SLOTS.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        SLOTS.freed.notify_one();
    }
}
