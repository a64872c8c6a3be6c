// SPDX-License-Identifier: GPL-2.0

//! What a hook function does: it finds the handler, and asks it about the packet.
//!
//! C header: [`include/linux/netfilter.h`](srctree/include/linux/netfilter.h)

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};
use kernel::ffi::{c_uint, c_void};

use kernel::bindings;
use kernel::prelude::*;
use kernel::sync::rcu;

use nftrace_core::hook::Family;
use nftrace_core::policy::layout::Answer;
use nftrace_core::record::Kind;

use super::armed::Armed;
pub(super) use super::exports::Attached;
use super::generated;
use super::skb::HookedPacket;
use super::tracepoint::{FreedPacket, Reason};

/// The type of netfilter's hook functions, for the one that we export.
pub(super) type Priv = *mut c_void;

/// What is called for each packet at each hook.
///
/// Runs in softirq or in process context, inside an RCU read-side critical
/// section, on any number of CPUs at once: it must not sleep and takes no lock.
pub(crate) trait Handler: Send + Sync + 'static {
    /// Says at a glance whether a packet is traced. Asked first, where any are.
    fn glance(&self, packet: &HookedPacket<'_>) -> Glance;

    /// Writes down a packet that was said to be traced; whether that was all.
    fn trace(&self, packet: &HookedPacket<'_>) -> bool;

    /// Decides about a packet that is not traced; none where it takes more than a glance.
    /// `IPV6` says which of the IP families the packet is of.
    fn judge<const IPV6: bool>(packet: &HookedPacket<'_>) -> Option<Verdict>;

    /// Looks at a packet and decides about it.
    fn packet(&self, packet: &HookedPacket<'_>) -> Verdict;

    /// Is told that a namespace is being made; may sleep.
    fn namespace_born(&self);

    /// Looks at a packet whose buffer is about to be freed, in any context but NMI;
    /// with a reason if the packet is dropped.
    fn freed(&self, packet: &FreedPacket, reason: Option<&Reason>);
}

/// What a glance at a packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Glance {
    /// It is of no interest.
    Nobodys,
    /// It is traced, and perhaps nothing else is to be known of it.
    Traced,
    /// Nothing.
    Unclear,
}

/// What the handler decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The packet goes on to the next hook function.
    Accept,
    /// The packet is gone; who sent it from here is told this error.
    Drop(Error),
    /// The packet is gone, and its sender gets this answer.
    Reject(Answer),
    /// A program in this namespace decides.
    Queue {
        /// The number of the queue.
        number: u16,
        /// Whether the packet goes on when no program does.
        else_accept: bool,
    },
}

impl Verdict {
    /// Does it, and returns the number that netfilter wants, `NF_…`.
    ///
    /// # Safety
    ///
    /// `skb` and `state` are those of a running hook function, which returns that
    /// number and touches `skb` no more.
    #[inline]
    unsafe fn execute(
        self,
        skb: *mut bindings::sk_buff,
        state: *const generated::nf_hook_state,
    ) -> c_uint {
        let error = match self {
            Self::Accept => return generated::NF_ACCEPT,
            Self::Queue {
                number,
                else_accept,
            } => return Self::queue(number, else_accept),
            Self::Reject(answer) => {
                // SAFETY: The contract is the same.
                unsafe { generated::nftrace_answer(skb, state, answer as u8) };
                EPERM
            }
            Self::Drop(error) => error,
        };
        // SAFETY: The contract is the same.
        unsafe { generated::nftrace_policy_drop(skb, error.to_errno().unsigned_abs()) }
    }

    /// As `NF_QUEUE_NR()`.
    const fn queue(number: u16, else_accept: bool) -> c_uint {
        let bypass = if else_accept {
            generated::NF_VERDICT_FLAG_QUEUE_BYPASS
        } else {
            0
        };
        (number as c_uint) << 16 | generated::NF_QUEUE | bypass
    }
}

/// The handler that the hooks call.
///
/// # Invariants
///
/// Null while no hook is registered; else what [`Arc::into_raw`] returned for a
/// [`Attached`], of which a count is held until all hooks are gone
/// and a grace period after that has passed.
pub(super) static HANDLER: AtomicPtr<Attached> = AtomicPtr::new(ptr::null_mut());

/// The body of the hook function.
///
/// # Safety
///
/// To be called by netfilter as a hook function of ours only: `skb` and
/// `state` are valid, and an RCU read-side critical section goes on.
#[inline]
pub(super) unsafe fn run_hook(
    mask: Priv,
    skb: *mut bindings::sk_buff,
    state: *const generated::nf_hook_state,
    kind: Kind,
) -> c_uint {
    match Armed::look(mask) {
        None => generated::NF_ACCEPT,
        // SAFETY: The contract is the same.
        Some(armed) => unsafe { run_armed(armed, skb, state, kind) },
    }
}

/// The rest of it, out of line: where there is nothing to do, nothing is to be saved.
///
/// # Safety
///
/// As for [`run_hook`].
#[inline(never)]
unsafe fn run_armed(
    armed: Armed,
    skb: *mut bindings::sk_buff,
    state: *const generated::nf_hook_state,
    kind: Kind,
) -> c_uint {
    // SAFETY: By the invariants of `HANDLER`, the pointer is null or is valid
    // until after the RCU read-side critical section in which we are.
    let Some(handler) = (unsafe { HANDLER.load(Ordering::Acquire).as_ref() }) else {
        return generated::NF_ACCEPT;
    };
    // SAFETY: The contract is the same.
    let packet = unsafe { HookedPacket::new(skb, state, armed, kind) };
    let glance = if packet.is_traced() {
        handler.glance(&packet)
    } else {
        Glance::Nobodys
    };
    match (glance, packet.is_judged()) {
        (Glance::Nobodys, false) => generated::NF_ACCEPT,
        (Glance::Nobodys, true) if packet.family() == Family::Ipv4 => {
            // SAFETY: The contract is the same.
            unsafe { run_judged::<false>(armed, skb, state) }
        }
        (Glance::Nobodys, true) if packet.family() == Family::Ipv6 => {
            // SAFETY: The contract is the same.
            unsafe { run_judged::<true>(armed, skb, state) }
        }
        // SAFETY: The contract is the same.
        (Glance::Traced, false) => unsafe { run_traced(handler, armed, skb, state, kind) },
        // SAFETY: The contract is the same.
        _ => unsafe { run_handler(handler, armed, skb, state, kind) },
    }
}

/// What comes next for a packet that is not traced where a policy decides: out of line so
/// that where none does nothing is to be saved, and one for each family, with all that
/// depends on it known.
///
/// # Safety
///
/// As for [`run_hook`].
#[inline(never)]
unsafe fn run_judged<const IPV6: bool>(
    armed: Armed,
    skb: *mut bindings::sk_buff,
    state: *const generated::nf_hook_state,
) -> c_uint {
    // SAFETY: The contract is the same.
    let packet = unsafe { HookedPacket::new(skb, state, armed, Kind::Entry) };
    match Attached::judge::<IPV6>(&packet) {
        Some(Verdict::Accept) => generated::NF_ACCEPT,
        // SAFETY: The contract is the same; `packet`, which borrows `skb`, is not used
        // any more.
        Some(verdict) => unsafe { verdict.execute(skb, state) },
        // SAFETY: The contract is the same.
        None => unsafe { run_unclear(armed, skb, state) },
    }
}

/// What comes next where that takes more than a glance.
///
/// # Safety
///
/// As for [`run_hook`].
#[inline(never)]
unsafe fn run_unclear(
    armed: Armed,
    skb: *mut bindings::sk_buff,
    state: *const generated::nf_hook_state,
) -> c_uint {
    // SAFETY: By the invariants of `HANDLER`, the pointer is null or is valid
    // until after the RCU read-side critical section in which we are.
    let Some(handler) = (unsafe { HANDLER.load(Ordering::Acquire).as_ref() }) else {
        return generated::NF_ACCEPT;
    };
    // SAFETY: The contract is the same.
    unsafe { run_handler(handler, armed, skb, state, Kind::Entry) }
}

/// What comes next for a packet that is traced, out of line for the same reason.
///
/// # Safety
///
/// As for [`run_hook`].
#[inline(never)]
unsafe fn run_traced(
    handler: &Attached,
    armed: Armed,
    skb: *mut bindings::sk_buff,
    state: *const generated::nf_hook_state,
    kind: Kind,
) -> c_uint {
    // SAFETY: The contract is the same.
    let packet = unsafe { HookedPacket::new(skb, state, armed, kind) };
    if handler.trace(&packet) {
        return generated::NF_ACCEPT;
    }
    // SAFETY: The contract is the same.
    unsafe { run_handler(handler, armed, skb, state, kind) }
}

/// What comes next for all others, out of line too.
///
/// # Safety
///
/// As for [`run_hook`].
#[inline(never)]
unsafe fn run_handler(
    handler: &Attached,
    armed: Armed,
    skb: *mut bindings::sk_buff,
    state: *const generated::nf_hook_state,
    kind: Kind,
) -> c_uint {
    // SAFETY: The contract is the same.
    let packet = unsafe { HookedPacket::new(skb, state, armed, kind) };
    match handler.packet(&packet) {
        Verdict::Accept => generated::NF_ACCEPT,
        // SAFETY: The contract is the same; `packet`, which borrows `skb`, is not used
        // any more.
        verdict => unsafe { verdict.execute(skb, state) },
    }
}

/// The body of the probes: `reason` is that of a drop, and where it happened.
///
/// # Safety
///
/// To be called by the tracepoints of [`super::tracepoint`] only: `skb` is valid.
pub(super) unsafe fn run_freed(
    skb: *mut bindings::sk_buff,
    reason: Option<(c_uint, *const c_void)>,
) {
    // A tracepoint need not be inside a critical section of this kind.
    let _critical_section = rcu::read_lock();
    // SAFETY: By the invariants of `HANDLER`, the pointer is null or is valid
    // until after the RCU read-side critical section in which we are.
    let Some(handler) = (unsafe { HANDLER.load(Ordering::Acquire).as_ref() }) else {
        return;
    };
    // SAFETY: The contract is the same.
    if let Some(packet) = unsafe { FreedPacket::new(skb) } {
        let reason = reason.map(|(number, location)| Reason::new(number, location));
        handler.freed(&packet, reason.as_ref());
    }
}
