// SPDX-License-Identifier: GPL-2.0

//! Netfilter hooks in every network namespace.
//!
//! C headers: [`include/linux/netfilter.h`](srctree/include/linux/netfilter.h),
//! [`include/net/net_namespace.h`](srctree/include/net/net_namespace.h)

use core::marker::PhantomData;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use kernel::ffi::{c_int, c_uint, c_void};

use kernel::bindings;
use kernel::prelude::*;
use kernel::sync::{rcu, Arc};

use nftrace_core::hook::{Family, Hook};
use nftrace_core::policy::layout::Answer;
use nftrace_core::record::Kind;

use super::armed::{self, Armed};
use super::exports::{nftrace_hook, nftrace_hook_exit};
use super::generated;
use super::skb::HookedPacket;
use super::tracepoint::{FreedPacket, Reason};

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
/// [`super::exports::Attached`], of which a count is held until all hooks are gone
/// and a grace period after that has passed.
static HANDLER: AtomicPtr<super::exports::Attached> = AtomicPtr::new(ptr::null_mut());

/// Which of [`HOOKS`] are registered in each namespace: bit n for the group n.
static GROUPS: AtomicUsize = AtomicUsize::new(0);

/// How many namespaces have our hooks.
static NAMESPACES: AtomicUsize = AtomicUsize::new(0);

/// Groups of hooks: those of a family, before or behind all other functions.
const GROUP_COUNT: usize = 2 * Family::ALL.len();

/// The table that netfilter is given, in groups.
///
/// # Invariants
///
/// Never written after it was made: netfilter only reads it, in every namespace.
#[repr(transparent)]
struct HookTable([[generated::nf_hook_ops; Hook::ALL.len()]; GROUP_COUNT]);

// SAFETY: By the type invariants, nobody writes it; the pointers in it are to
// functions, or null.
unsafe impl Sync for HookTable {}

static HOOKS: HookTable = HookTable([
    group(Family::Ipv4, Kind::Entry),
    group(Family::Ipv6, Kind::Entry),
    group(Family::Bridge, Kind::Entry),
    group(Family::Ipv4, Kind::Exit),
    group(Family::Ipv6, Kind::Exit),
    group(Family::Bridge, Kind::Exit),
]);

const fn group(family: Family, kind: Kind) -> [generated::nf_hook_ops; Hook::ALL.len()] {
    [
        hook_ops(family, Hook::PreRouting, kind),
        hook_ops(family, Hook::LocalIn, kind),
        hook_ops(family, Hook::Forward, kind),
        hook_ops(family, Hook::LocalOut, kind),
        hook_ops(family, Hook::PostRouting, kind),
    ]
}

const fn hook_ops(family: Family, hook: Hook, kind: Kind) -> generated::nf_hook_ops {
    // SAFETY: All zeroes is a value of this C structure of numbers, links and pointers.
    let mut ops: generated::nf_hook_ops = unsafe { core::mem::zeroed() };
    // NF_IP_PRI_FIRST, NF_IP6_PRI_FIRST and NF_BR_PRI_FIRST are the one, and
    // NF_IP_PRI_LAST and the others the other.
    if matches!(kind, Kind::Exit) {
        ops.hook = Some(nftrace_hook_exit);
        ops.priority = c_int::MAX;
    } else {
        ops.hook = Some(nftrace_hook);
        ops.priority = c_int::MIN;
    }
    ops.pf = family.number();
    ops.hooknum = hook.number() as c_uint;
    ops.priv_ = ptr::without_provenance_mut(armed::mask(family, hook, kind));
    ops
}

/// The groups that are registered, and the number of hooks in each.
fn groups() -> impl Iterator<Item = (*const generated::nf_hook_ops, c_uint)> {
    let registered = GROUPS.load(Ordering::Relaxed);
    (0_u32..32)
        .zip(&HOOKS.0)
        .filter(move |(number, _)| registered & 1_usize.wrapping_shl(*number) != 0)
        .map(|(_, group)| (group.as_ptr(), group.len() as c_uint))
}

/// The body of the hook function.
///
/// # Safety
///
/// To be called by netfilter as the hook function of [`HOOKS`] only: `skb` and
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
    match super::exports::Attached::judge::<IPV6>(&packet) {
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
    handler: &super::exports::Attached,
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
    handler: &super::exports::Attached,
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

/// Registers the hooks in a namespace that is there already or is being made.
///
/// # Safety
///
/// To be called as `pernet_operations.init` only: `net` is valid.
unsafe extern "C" fn namespace_init(net: *mut bindings::net) -> c_int {
    // SAFETY: `net` is valid, and has our memory in it.
    unsafe { generated::nftrace_net_born(net) };
    for (hooks, count) in groups() {
        // SAFETY: `net` is valid, and there are so many hooks, which live until the
        // module is gone, before which all of them are unregistered.
        let result = unsafe { generated::nf_register_net_hooks(net, hooks, count) };
        if result != 0 {
            for (earlier, count) in groups().take_while(|(earlier, _)| *earlier != hooks) {
                // SAFETY: `net` is valid, and these were registered just now.
                unsafe { generated::nf_unregister_net_hooks(net, earlier, count) };
            }
            return result;
        }
    }
    NAMESPACES.fetch_add(1, Ordering::Relaxed);
    // SAFETY: By the invariants of `HANDLER`, the pointer is null or valid: it goes
    // only after the operations are unregistered, which waits for this function.
    if let Some(handler) = unsafe { HANDLER.load(Ordering::Acquire).as_ref() } {
        handler.namespace_born();
    }
    0
}

/// Gives back what we hold of others in a namespace that goes, or from which we go.
/// It comes before any other's exit, so that what we give back is still there.
///
/// # Safety
///
/// To be called as `pernet_operations.pre_exit` only: `net` is valid.
unsafe extern "C" fn namespace_pre_exit(net: *mut bindings::net) {
    // SAFETY: `net` is valid, and has our memory in it.
    unsafe { generated::nftrace_net_leave(net) };
}

/// Unregisters the hooks in a namespace that goes, or from which we go.
///
/// # Safety
///
/// To be called as `pernet_operations.exit` only: `net` is valid, and
/// [`namespace_init`] was called for it and returned 0.
unsafe extern "C" fn namespace_exit(net: *mut bindings::net) {
    for (hooks, count) in groups() {
        // SAFETY: `net` is valid, and these are the hooks that `namespace_init`
        // registered: `GROUPS` does not change in between.
        unsafe { generated::nf_unregister_net_hooks(net, hooks, count) };
    }
    NAMESPACES.fetch_sub(1, Ordering::Relaxed);
}

/// What the list of all pernet operations links.
///
/// # Invariants
///
/// Written only by `register_pernet_subsys()` and its counterpart, under their lock.
#[repr(transparent)]
struct PernetOperations(core::cell::UnsafeCell<generated::pernet_operations>);

// SAFETY: By the type invariants, the C side serialises all access.
unsafe impl Sync for PernetOperations {}

static PERNET_OPERATIONS: PernetOperations = PernetOperations(core::cell::UnsafeCell::new({
    // SAFETY: All zeroes is a value of this C structure of links and optional functions.
    let mut ops: generated::pernet_operations = unsafe { core::mem::zeroed() };
    ops.init = Some(namespace_init);
    ops.pre_exit = Some(namespace_pre_exit);
    ops.exit = Some(namespace_exit);
    ops.id = ptr::addr_of_mut!(generated::nftrace_net_id);
    ops.size = size_of::<generated::nftrace_net>();
    ops
}));

/// Our hooks, in every namespace that exists and in every later one.
///
/// # Invariants
///
/// While it lives, [`PERNET_OPERATIONS`] is registered, [`HANDLER`] is set and
/// [`GROUPS`] does not change. There is at most one.
pub(crate) struct Registration(PhantomData<*mut ()>);

// SAFETY: It has no data; what it stands for may be undone by any thread.
unsafe impl Send for Registration {}
// SAFETY: It has no methods that take it by reference.
unsafe impl Sync for Registration {}

impl Registration {
    /// Registers the hooks of the IP families, with `bridge` those of the bridge
    /// family, and with `exit` the ends of all of them.
    ///
    /// # Errors
    ///
    /// `EBUSY` while another registration lives; otherwise what netfilter says
    /// of the first namespace that would not take the hooks, and then none has them.
    pub(crate) fn new(
        handler: Arc<super::exports::Attached>,
        bridge: bool,
        exit: bool,
    ) -> Result<Self> {
        let handler = Arc::into_raw(handler).cast_mut();
        if HANDLER
            .compare_exchange(
                ptr::null_mut(),
                handler,
                Ordering::AcqRel,
                Ordering::Relaxed,
            )
            .is_err()
        {
            // SAFETY: The pointer is from `Arc::into_raw` above, and nobody else got it.
            drop(unsafe { Arc::from_raw(handler) });
            return Err(EBUSY);
        }
        // INVARIANT: `HANDLER` was null, so there is no other registration, and is set now.
        let families = if bridge { 0b111 } else { 0b011 };
        let ends = if exit {
            families << Family::ALL.len()
        } else {
            0
        };
        GROUPS.store(families | ends, Ordering::Relaxed);
        // SAFETY: The operations are a static that is registered nowhere, since
        // there is no other registration, and `drop` unregisters them.
        let result = unsafe { generated::register_pernet_subsys(PERNET_OPERATIONS.0.get()) };
        if let Err(error) = kernel::error::to_result(result) {
            Self::release_handler();
            return Err(error);
        }
        // INVARIANT: The operations are registered.
        Ok(Self(PhantomData))
    }

    /// In how many namespaces the hooks are.
    pub(crate) fn namespaces() -> usize {
        NAMESPACES.load(Ordering::Relaxed)
    }

    /// Gives the handler back when no hook is registered any more.
    fn release_handler() {
        let handler = HANDLER.swap(ptr::null_mut(), Ordering::AcqRel);
        // A packet may still be in the hook function that was unregistered just now.
        super::synchronize_rcu();
        if !handler.is_null() {
            // SAFETY: By the invariants of `HANDLER`, it is from `Arc::into_raw`;
            // the swap took it out, and after the grace period no hook uses it.
            drop(unsafe { Arc::from_raw(handler) });
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, the operations are registered.
        unsafe { generated::unregister_pernet_subsys(PERNET_OPERATIONS.0.get()) };
        Self::release_handler();
    }
}

/// The inode number of the initial network namespace.
pub(crate) fn init_net_inode() -> u32 {
    // SAFETY: `init_net` is a static of the kernel that is always valid.
    unsafe { generated::nftrace_net_inode(ptr::addr_of!(bindings::init_net)) }
}

/// The cookie of the initial network namespace.
pub(crate) fn init_net_cookie() -> u64 {
    // SAFETY: `init_net` is a static of the kernel that is always valid.
    unsafe { generated::nftrace_net_cookie(ptr::addr_of!(bindings::init_net)) }
}

/// The type of netfilter's hook functions, for the one that we export.
pub(super) type Priv = *mut c_void;
