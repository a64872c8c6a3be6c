// SPDX-License-Identifier: GPL-2.0

//! What a policy asks of the rest of the kernel: other modules, conntrack in every
//! namespace, the order in which namespaces are made, who asks for a change.

use kernel::error::to_result;
use kernel::prelude::*;

use nftrace_core::policy::Needs;

use super::generated;

/// The epoch that begins now. A namespace is made in the epoch that has begun last.
pub(crate) fn next_epoch() -> u64 {
    // SAFETY: The function has no preconditions.
    unsafe { generated::nftrace_next_epoch() }
}

/// The epoch that has begun last; 0 for none.
pub(crate) fn epoch() -> u64 {
    // SAFETY: The function has no preconditions.
    unsafe { generated::nftrace_epoch() }
}

/// The right to what other modules offer. While hooks run that use it, it must live.
///
/// # Invariants
///
/// There is one, made when the module is loaded.
pub(crate) struct Helpers(());

impl Helpers {
    /// Of the module; nothing is loaded yet.
    pub(crate) fn new() -> Self {
        // INVARIANT: The module's init calls it once.
        Self(())
    }

    /// Has the modules loaded that a policy needs; says which thing there is not.
    /// May sleep. The caller makes sure that this happens one at a time.
    pub(crate) fn need(needs: &Needs) -> Result<(), &'static str> {
        // SAFETY: We are in process context, and the caller sees to it that no other does this.
        if needs.reject && !unsafe { generated::nftrace_need_reject() } {
            return Err("nf_reject_ipv4, nf_reject_ipv6");
        }
        // SAFETY: The same.
        if needs.conntrack && !unsafe { generated::nftrace_need_conntrack() } {
            return Err("nf_conntrack");
        }
        // SAFETY: The same.
        if needs.sockets && !unsafe { generated::nftrace_need_sockets() } {
            return Err("nf_socket_ipv4, nf_socket_ipv6");
        }
        // SAFETY: The same.
        if needs.queue && !unsafe { generated::nftrace_need_queue() } {
            return Err("nfnetlink_queue");
        }
        Ok(())
    }

    /// Has conntrack look at every namespace's packets, or not on our account.
    ///
    /// # Errors
    ///
    /// What conntrack says where it cannot. To be called with `wanted` only after
    /// [`Self::need`] has found it.
    pub(crate) fn track(wanted: bool) -> Result {
        // SAFETY: We are in process context, and our memory is in every namespace:
        // it goes only after `Ending` has come, behind which nobody calls this. `need`
        // has found conntrack, or nothing is tracked by us, so that there is nothing to undo.
        to_result(unsafe { generated::nftrace_track_all(wanted) })
    }
}

impl Drop for Helpers {
    fn drop(&mut self) {
        // SAFETY: No hook runs any more, and each namespace's exit has given back
        // what we held in it.
        unsafe { generated::nftrace_needs_put() };
    }
}

/// While it lives, the module cannot be unloaded.
pub(crate) struct ModuleHold(());

impl ModuleHold {
    /// None while the module is being unloaded.
    pub(crate) fn new() -> Option<Self> {
        // SAFETY: The function has no preconditions but that this module's code runs.
        unsafe { generated::nftrace_module_get() }.then_some(Self(()))
    }
}

impl Drop for ModuleHold {
    fn drop(&mut self) {
        // SAFETY: `new` has taken it. Its code stays until this returns: who runs this
        // has a file of the device open, or is the worker, for which the module's exit waits.
        unsafe { generated::nftrace_module_put() };
    }
}

/// Who asks for a change.
#[derive(Clone, Copy, Default)]
pub(crate) struct Task {
    /// The user, as the initial user namespace counts.
    pub(crate) uid: u32,
    /// The process, as the initial process namespace counts.
    pub(crate) pid: u32,
    /// The name of its program, padded with zeroes.
    pub(crate) comm: [u8; 16],
}

impl Task {
    /// The one that runs.
    pub(crate) fn current() -> Self {
        let mut found = generated::nftrace_task::default();
        // SAFETY: `found` is valid for writes; we are in process context.
        unsafe { generated::nftrace_current(&mut found) };
        Self {
            uid: found.uid,
            pid: found.pid,
            comm: found.comm,
        }
    }
}

/// Nanoseconds since 1970, UTC.
pub(crate) fn realtime() -> u64 {
    // SAFETY: The function has no preconditions.
    unsafe { generated::nftrace_realtime() }
}
