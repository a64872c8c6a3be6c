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
use kernel::sync::Arc;

use nftrace_core::hook::{Family, Hook};

use super::exports::nftrace_hook;
use super::generated;
use super::skb::HookedPacket;

/// What is called for each packet at each hook.
///
/// Runs in softirq or in process context, inside an RCU read-side critical
/// section, on any number of CPUs at once: it must not sleep and takes no lock.
pub(crate) trait Handler: Send + Sync + 'static {
    /// Whether any packet has to be looked at now: asked first, at every packet.
    fn is_active(&self) -> bool;

    /// Looks at a packet and decides about it.
    fn packet(&self, packet: &HookedPacket<'_>) -> Verdict;
}

/// What the handler decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The packet goes on to the next hook function.
    Accept,
}

impl Verdict {
    /// The number that netfilter knows, `NF_…`.
    const fn number(self) -> c_uint {
        match self {
            Self::Accept => generated::NF_ACCEPT,
        }
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

/// How many of [`HOOKS`] are registered in each namespace.
static HOOK_COUNT: AtomicUsize = AtomicUsize::new(0);

/// How many namespaces have our hooks.
static NAMESPACES: AtomicUsize = AtomicUsize::new(0);

/// How many of [`HOOKS`] belong to the IP families.
const IP_HOOKS: usize = 2 * Hook::ALL.len();

/// The table that netfilter is given: the IP families' hooks, then the bridge's.
///
/// # Invariants
///
/// Never written after it was made: netfilter only reads it, in every namespace.
#[repr(transparent)]
struct HookTable([generated::nf_hook_ops; IP_HOOKS + Hook::ALL.len()]);

// SAFETY: By the type invariants, nobody writes it; the pointers in it are to
// functions, or null.
unsafe impl Sync for HookTable {}

static HOOKS: HookTable = HookTable([
    hook_ops(Family::Ipv4, Hook::PreRouting),
    hook_ops(Family::Ipv4, Hook::LocalIn),
    hook_ops(Family::Ipv4, Hook::Forward),
    hook_ops(Family::Ipv4, Hook::LocalOut),
    hook_ops(Family::Ipv4, Hook::PostRouting),
    hook_ops(Family::Ipv6, Hook::PreRouting),
    hook_ops(Family::Ipv6, Hook::LocalIn),
    hook_ops(Family::Ipv6, Hook::Forward),
    hook_ops(Family::Ipv6, Hook::LocalOut),
    hook_ops(Family::Ipv6, Hook::PostRouting),
    hook_ops(Family::Bridge, Hook::PreRouting),
    hook_ops(Family::Bridge, Hook::LocalIn),
    hook_ops(Family::Bridge, Hook::Forward),
    hook_ops(Family::Bridge, Hook::LocalOut),
    hook_ops(Family::Bridge, Hook::PostRouting),
]);

const fn hook_ops(family: Family, hook: Hook) -> generated::nf_hook_ops {
    // SAFETY: All zeroes is a value of this C structure of numbers, links and pointers.
    let mut ops: generated::nf_hook_ops = unsafe { core::mem::zeroed() };
    ops.hook = Some(nftrace_hook);
    ops.pf = family.number();
    ops.hooknum = hook.number() as c_uint;
    // NF_IP_PRI_FIRST, NF_IP6_PRI_FIRST and NF_BR_PRI_FIRST are all this.
    ops.priority = c_int::MIN;
    ops
}

/// The body of the hook function.
///
/// # Safety
///
/// To be called by netfilter as the hook function of [`HOOKS`] only: `skb` and
/// `state` are valid, and an RCU read-side critical section goes on.
#[inline]
pub(super) unsafe fn run_hook(
    skb: *mut bindings::sk_buff,
    state: *const generated::nf_hook_state,
) -> c_uint {
    let accept = Verdict::Accept.number();
    // SAFETY: By the invariants of `HANDLER`, the pointer is null or is valid
    // until after the RCU read-side critical section in which we are.
    let Some(handler) = (unsafe { HANDLER.load(Ordering::Acquire).as_ref() }) else {
        return accept;
    };
    if !handler.is_active() {
        return accept;
    }
    // SAFETY: The contract is the same.
    let Some(packet) = (unsafe { HookedPacket::new(skb, state) }) else {
        return accept;
    };
    handler.packet(&packet).number()
}

/// Registers the hooks in a namespace that is there already or is being made.
///
/// # Safety
///
/// To be called as `pernet_operations.init` only: `net` is valid.
unsafe extern "C" fn namespace_init(net: *mut bindings::net) -> c_int {
    let count = HOOK_COUNT.load(Ordering::Relaxed).min(HOOKS.0.len()) as c_uint;
    // SAFETY: `net` is valid, and `HOOKS` has so many elements and lives until the
    // module is gone, before which all hooks are unregistered.
    let result = unsafe { generated::nf_register_net_hooks(net, HOOKS.0.as_ptr(), count) };
    if result == 0 {
        NAMESPACES.fetch_add(1, Ordering::Relaxed);
    }
    result
}

/// Unregisters the hooks in a namespace that goes, or from which we go.
///
/// # Safety
///
/// To be called as `pernet_operations.exit` only: `net` is valid, and
/// [`namespace_init`] was called for it and returned 0.
unsafe extern "C" fn namespace_exit(net: *mut bindings::net) {
    let count = HOOK_COUNT.load(Ordering::Relaxed).min(HOOKS.0.len()) as c_uint;
    // SAFETY: `net` is valid, and these are the hooks that `namespace_init`
    // registered: `HOOK_COUNT` does not change in between.
    unsafe { generated::nf_unregister_net_hooks(net, HOOKS.0.as_ptr(), count) };
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
    ops.exit = Some(namespace_exit);
    ops
}));

/// Our hooks, in every namespace that exists and in every later one.
///
/// # Invariants
///
/// While it lives, [`PERNET_OPERATIONS`] is registered, [`HANDLER`] is set and
/// [`HOOK_COUNT`] does not change. There is at most one.
pub(crate) struct Registration(PhantomData<*mut ()>);

// SAFETY: It has no data; what it stands for may be undone by any thread.
unsafe impl Send for Registration {}
// SAFETY: It has no methods that take it by reference.
unsafe impl Sync for Registration {}

impl Registration {
    /// Registers the hooks of the IP families, and with `bridge` those of the bridge family.
    ///
    /// # Errors
    ///
    /// `EBUSY` while another registration lives; otherwise what netfilter says
    /// of the first namespace that would not take the hooks, and then none has them.
    pub(crate) fn new(handler: Arc<super::exports::Attached>, bridge: bool) -> Result<Self> {
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
        HOOK_COUNT.store(
            if bridge { HOOKS.0.len() } else { IP_HOOKS },
            Ordering::Relaxed,
        );
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

/// The type of netfilter's hook functions, for the one that we export.
pub(super) type Priv = *mut c_void;
