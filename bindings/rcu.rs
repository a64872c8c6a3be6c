// SPDX-License-Identifier: GPL-2.0

//! A value that is read inside RCU read-side critical sections and replaced as a whole.
//!
//! C header: [`include/linux/rcupdate.h`](srctree/include/linux/rcupdate.h)

use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, Ordering};

use kernel::ffi::c_ulong;
use kernel::prelude::*;
use kernel::sync::rcu::Guard;

use super::skb::HookedPacket;

/// A value or none.
///
/// # Invariants
///
/// The pointer is null or from [`KBox::into_raw`]; who swaps it out waits for a
/// grace period before the value is gone.
pub(crate) struct RcuBox<T>(AtomicPtr<T>);

impl<T: Send + Sync> RcuBox<T> {
    /// None.
    pub(crate) const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// Whether there is a value: the cheapest question.
    #[inline]
    pub(crate) fn is_some(&self) -> bool {
        !self.0.load(Ordering::Relaxed).is_null()
    }

    /// The value, which stays for as long as the critical section goes on.
    #[inline]
    pub(crate) fn read<'a>(&'a self, _critical_section: &'a Guard) -> Option<&'a T> {
        // SAFETY: By the type invariants, a pointer that was found inside the
        // critical section is null or valid until its end, which `'a` does not outlive.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    /// The same in a hook, which is inside such a critical section.
    #[inline]
    pub(crate) fn read_in<'a>(&'a self, _hook: &'a HookedPacket<'_>) -> Option<&'a T> {
        // SAFETY: By the type invariants of both, a pointer that was found while the hook
        // has the packet is null or valid until the critical section ends, which the
        // packet, and so `'a`, does not outlive.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    /// Makes `value` what is read from now on. When this returns, nobody reads
    /// what was there before. May sleep: not to be called while a `Guard` is held.
    pub(crate) fn replace(&self, value: Option<KBox<T>>) {
        let new = value.map_or(ptr::null_mut(), KBox::into_raw);
        let old = self.0.swap(new, Ordering::AcqRel);
        super::synchronize_rcu();
        if !old.is_null() {
            // SAFETY: By the type invariants, it is from `KBox::into_raw`; the swap
            // took it out, and after the grace period nobody reads it.
            drop(unsafe { KBox::from_raw(old) });
        }
    }

    /// Makes `value` what is read from now on. Who reads what was there before may go on.
    pub(crate) fn swap(&self, value: Option<KBox<T>>) -> Option<Retired<T>> {
        let new = value.map_or(ptr::null_mut(), KBox::into_raw);
        let old = NonNull::new(self.0.swap(new, Ordering::AcqRel))?;
        // SAFETY: The function has no preconditions but a context that is no NMI.
        let period = unsafe { kernel::bindings::start_poll_synchronize_rcu() };
        // INVARIANT: The swap took it out, before the period was asked for.
        Some(Retired { old, period })
    }
}

impl<T> Drop for RcuBox<T> {
    fn drop(&mut self) {
        let old = *self.0.get_mut();
        if !old.is_null() {
            // SAFETY: By the type invariants, it is from `KBox::into_raw`. Who reads it has
            // borrowed this box, so that nobody does now, and nobody can find it any more.
            drop(unsafe { KBox::from_raw(old) });
        }
    }
}

/// A value that was taken out of an [`RcuBox`]. Dropping it may sleep, for a grace period
/// that is not over.
///
/// # Invariants
///
/// `old` is from [`KBox::into_raw`], and was taken out before `period` was begun; nobody
/// else has it but those who found it before.
pub(crate) struct Retired<T> {
    old: NonNull<T>,
    period: c_ulong,
}

// SAFETY: It may be freed by any thread where its value may.
unsafe impl<T: Send + Sync> Send for Retired<T> {}

impl<T> Retired<T> {
    /// Whether nobody reads it any more, so that dropping it does not wait.
    pub(crate) fn is_over(&self) -> bool {
        // SAFETY: The period is from the function that begins one.
        unsafe { kernel::bindings::poll_state_synchronize_rcu(self.period) }
    }
}

impl<T> Drop for Retired<T> {
    fn drop(&mut self) {
        if !self.is_over() {
            super::synchronize_rcu();
        }
        // SAFETY: By the type invariants, it is from `KBox::into_raw` and ours alone: a
        // grace period has passed since it was taken out.
        drop(unsafe { KBox::from_raw(self.old.as_ptr()) });
    }
}
