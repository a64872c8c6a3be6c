// SPDX-License-Identifier: GPL-2.0

//! Netfilter hooks in every network namespace.
//!
//! C headers: [`include/linux/netfilter.h`](srctree/include/linux/netfilter.h),
//! [`include/net/net_namespace.h`](srctree/include/net/net_namespace.h)

use core::marker::PhantomData;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};
use kernel::ffi::{c_int, c_uint};

use kernel::bindings;
use kernel::prelude::*;
use kernel::sync::Arc;

use nftrace_core::hook::{Family, Hook};
use nftrace_core::record::Kind;

use super::armed;
use super::exports::{nftrace_hook, nftrace_hook_exit};
use super::generated;
use super::hook::{Attached, Handler as _, HANDLER};

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
    pub(crate) fn new(handler: Arc<Attached>, bridge: bool, exit: bool) -> Result<Self> {
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
