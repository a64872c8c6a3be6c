// SPDX-License-Identifier: GPL-2.0

//! Module parameters that are read and written by code of ours.
//!
//! They are declared in `params.c`, where the kernel's macros put them where the
//! module loader and sysfs find them.
//!
//! C header: [`include/linux/moduleparam.h`](srctree/include/linux/moduleparam.h)

use core::fmt;
use core::marker::PhantomData;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};
use kernel::ffi::{c_char, c_int};

use kernel::error::code::EINVAL;
use kernel::prelude::*;
use kernel::str::Formatter;
use kernel::sync::Arc;

use nftrace_core::ports::Printable;

use super::generated;

/// A module parameter.
///
/// The kernel serialises all calls for the parameters of a module.
pub(crate) trait Param {
    /// The name.
    const NAME: &'static str;

    /// Why a value is refused.
    type Error<'a>: fmt::Display;

    /// What whoever wrote it is told: that the value is wrong, unless it is something else.
    fn error(_reason: &Self::Error<'_>) -> Error {
        EINVAL
    }

    /// Takes a new value; called before the module's init too.
    ///
    /// # Errors
    ///
    /// A value that is refused changes nothing.
    fn set<'a>(value: &'a str, locked: &Locked) -> Result<(), Self::Error<'a>>;

    /// Prints the value.
    fn get(out: &mut dyn fmt::Write) -> fmt::Result;
}

/// The parameters' lock, held: what it stands for happens one at a time. The kernel
/// holds it around every setter, also while the module is loaded.
pub(crate) struct Locked(PhantomData<*mut ()>);

/// Has `work` work under the parameters' lock. May sleep.
pub(crate) fn with_lock<T>(work: impl FnOnce(&Locked) -> T) -> T {
    // SAFETY: We are in process context, and no caller has the lock: who does was
    // given a `Locked` and passes it on.
    unsafe { generated::nftrace_param_lock() };
    let value = work(&Locked(PhantomData));
    // SAFETY: It was taken above.
    unsafe { generated::nftrace_param_unlock() };
    value
}

/// What the parameters' setters find while the module is loaded.
///
/// # Invariants
///
/// The pointer is null or valid. It is written under the lock only.
pub(crate) struct Attached<T>(AtomicPtr<T>);

impl<T: Send + Sync> Attached<T> {
    /// Nothing.
    pub(crate) const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// What is attached.
    pub(crate) fn get<'a>(&self, _locked: &'a Locked) -> Option<&'a T> {
        // SAFETY: By the type invariants, it is null or valid for as long as the
        // lock is held, which `'a` does not outlive.
        unsafe { self.0.load(Ordering::Relaxed).as_ref() }
    }

    /// Attaches a value, or none; gives back what was attached.
    pub(crate) fn swap(&self, value: Option<Arc<T>>, _locked: &Locked) -> Option<Arc<T>> {
        let new = value.map_or(ptr::null_mut(), |value| Arc::into_raw(value).cast_mut());
        let old = self.0.swap(new, Ordering::Relaxed);
        if old.is_null() {
            return None;
        }
        // SAFETY: By the type invariants, it is valid, and only `swap` puts one in,
        // from `Arc::into_raw`.
        Some(unsafe { Arc::from_raw(old) })
    }
}

/// Calls [`Param::set`], and says in the kernel log what it refused and why.
///
/// # Safety
///
/// To be called as `kernel_param_ops.set` only: `value` is null or a string that
/// is valid during the call.
pub(super) unsafe fn set<P: Param>(value: *const c_char) -> c_int {
    // A parameter without a value, as in `insmod nftrace.ko ports`.
    let value = if value.is_null() {
        c""
    } else {
        // SAFETY: `value` is a valid string during the call, by this function's contract.
        unsafe { core::ffi::CStr::from_char_ptr(value) }
    };
    let name = P::NAME;
    let Ok(value) = value.to_str() else {
        pr_err!("{name}: refused: the value is not UTF-8 text\n");
        return EINVAL.to_errno();
    };
    // The kernel holds the lock around a setter.
    match P::set(value, &Locked(PhantomData)) {
        Ok(()) => 0,
        Err(reason) => {
            let value = value.trim_ascii();
            pr_err!(
                "{}\n",
                format_args!("{name}={}: refused: {reason}", Printable(value))
            );
            P::error(&reason).to_errno()
        }
    }
}

/// How large the buffer is that [`get`] is given, by the contract of `kernel_param_ops`.
const BUFFER: usize = 4096;

/// Calls [`Param::get`] and ends its text with a line break. Returns how long it is.
///
/// # Safety
///
/// To be called as `kernel_param_ops.get` only: `buffer` is valid for writes of 4096 bytes.
pub(super) unsafe fn get<P: Param>(buffer: *mut c_char) -> c_int {
    // SAFETY: `buffer` is valid for writes of so many bytes, by this function's
    // contract, and the kernel hands over a page that it has zeroed.
    let buffer = unsafe { core::slice::from_raw_parts_mut(buffer.cast::<u8>(), BUFFER) };
    let mut out = Formatter::new(buffer);
    match P::get(&mut out).and_then(|()| fmt::Write::write_char(&mut out, '\n')) {
        Ok(()) => c_int::try_from(out.bytes_written()).unwrap_or(0),
        Err(fmt::Error) => EINVAL.to_errno(),
    }
}

/// Whether `bridge=1` was given.
pub(crate) fn bridge() -> bool {
    // SAFETY: The function has no preconditions.
    unsafe { generated::nftrace_param_bridge() }
}

/// Whether `exit=1` was given.
pub(crate) fn exit() -> bool {
    // SAFETY: The function has no preconditions.
    unsafe { generated::nftrace_param_exit() }
}

/// The value of `ring_slots=`.
pub(crate) fn ring_slots() -> u32 {
    // SAFETY: The function has no preconditions.
    unsafe { generated::nftrace_param_ring_slots() }
}

/// The value of `max_bound=` at this moment.
pub(crate) fn max_bound() -> u32 {
    // SAFETY: The function has no preconditions.
    unsafe { generated::nftrace_param_max_bound() }
}

/// The value of `log_rate=` at this moment.
pub(crate) fn log_rate() -> u32 {
    // SAFETY: The function has no preconditions.
    unsafe { generated::nftrace_param_log_rate() }
}
