// SPDX-License-Identifier: GPL-2.0

//! The only unsafe code: what the kernel's C interfaces need, behind safe types.
//!
//! One file per interface: [`netfilter`] (hooks), [`hook`] (what they do), [`armed`]
//! (whether they do anything), [`skb`] (the packet in a hook), [`tracepoint`] (the end of
//! packets), [`bpf`] (programs that choose packets), [`memory`] (rings that can be mapped),
//! [`chardev`] (the device) and [`wakeup`] (its readers), [`policy`] (what a policy asks of
//! others), [`blob`] (a policy in memory), [`work`] (a delayed work item), [`param`] (module
//! parameters), [`rcu`]. [`exports`] gives the kernel the names by which it calls us. What is
//! safe in the `kernel` crate is used from there.

use nftrace_core::recent::KeyedHash;

pub(crate) mod armed;
pub(crate) mod blob;
pub(crate) mod bpf;
pub(crate) mod chardev;
pub(crate) mod hook;
pub(crate) mod memory;
pub(crate) mod netfilter;
pub(crate) mod param;
pub(crate) mod policy;
pub(crate) mod rcu;
pub(crate) mod skb;
pub(crate) mod tracepoint;
pub(crate) mod wakeup;
pub(crate) mod work;

mod exports;
mod fields;

/// What bindgen made of `bindings.h`; the types that it names come from the `kernel` crate.
#[allow(
    clippy::all,
    clippy::cast_lossless,
    clippy::ptr_as_ptr,
    clippy::ref_as_ptr,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    reason = "generated from C: what of this is there depends on the kernel's configuration"
)]
mod generated {
    use kernel::{bindings::*, ffi};

    include!(concat!(env!("NFTRACE_OBJ"), "/bindings/generated.rs"));
}

/// While it lives, no other task runs on this CPU.
pub(crate) struct PreemptionDisabled {
    cpu: u32,
    _here: core::marker::PhantomData<*mut ()>,
}

impl PreemptionDisabled {
    /// Nothing may sleep from now on.
    #[inline]
    pub(crate) fn new() -> Self {
        // SAFETY: The function has no preconditions; `drop` undoes it, on this CPU,
        // since the value is not `Send`.
        let cpu = unsafe { generated::nftrace_get_cpu() };
        Self {
            cpu,
            _here: core::marker::PhantomData,
        }
    }

    /// The CPU.
    #[inline]
    pub(crate) fn cpu(&self) -> u32 {
        self.cpu
    }
}

impl Drop for PreemptionDisabled {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `new` disabled it.
        unsafe { generated::nftrace_put_cpu() };
    }
}

/// Nanoseconds of the monotonic clock. (The kernel crate's function for it is never
/// inlined.)
#[inline]
pub(crate) fn now() -> u64 {
    // SAFETY: The function has no preconditions; outside of NMIs it may be called anywhere.
    let time = unsafe { kernel::bindings::ktime_get() };
    // It is never negative.
    u64::from_ne_bytes(time.to_ne_bytes())
}

/// A number that nobody knows.
pub(crate) fn random() -> u64 {
    // SAFETY: The function has no preconditions.
    unsafe { generated::nftrace_random() }
}

/// Waits for one RCU grace period: until no hook runs that ran when this was called.
/// Not to be called inside an RCU read-side critical section, which it would wait for.
pub(crate) fn synchronize_rcu() {
    // SAFETY: Its callers are in process context: the parameters' setters, file
    // operations, workers, and the module's init and exit. (The kernel crate has a wrapper from 7.3 on.)
    unsafe { kernel::bindings::synchronize_rcu() };
}

/// Errors that the kernel crate has from 7.3 on.
pub(crate) mod errno {
    use kernel::bindings;
    use kernel::error::Error;
    use kernel::ffi::c_int;

    /// `EPROTONOSUPPORT`
    pub(crate) fn protocol_not_supported() -> Error {
        Error::from_errno(-(bindings::EPROTONOSUPPORT as c_int))
    }

    /// `ECONNREFUSED`
    pub(crate) fn connection_refused() -> Error {
        Error::from_errno(-(bindings::ECONNREFUSED as c_int))
    }

    /// `ESTALE`
    pub(crate) fn stale() -> Error {
        Error::from_errno(-(bindings::ESTALE as c_int))
    }
}

/// The kernel's SipHash with a random key.
pub(crate) struct SipHash([u64; 2]);

impl SipHash {
    /// A hash whose key nobody knows.
    pub(crate) fn new() -> Self {
        Self([(); 2].map(|()| random()))
    }
}

impl KeyedHash for SipHash {
    #[inline]
    fn hash(&self, words: &[u64]) -> u64 {
        let [k0, k1] = self.0;
        // SAFETY: `words` is valid for reads of so many words.
        unsafe { generated::nftrace_siphash(words.as_ptr(), words.len(), k0, k1) }
    }
}
