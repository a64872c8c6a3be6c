// SPDX-License-Identifier: GPL-2.0

//! The names by which the kernel calls us, and whom each call is for.

use kernel::ffi::{c_char, c_int, c_long, c_uint, c_ulong, c_void};

use kernel::bindings;

use super::{chardev, generated, hook, param, wakeup};
use crate::module::{control, device, tracing};

use nftrace_core::record::Kind;

/// What the hooks call.
pub(super) type Attached = crate::module::datapath::Datapath;

/// An open file of the device.
pub(super) type Opened = device::Reader;

/// What all of them share.
pub(super) type Shared = device::Shared;

/// The hook function; `nft list hooks` shows it by this name.
///
/// # Safety
///
/// Called by netfilter only, as the hook function that was registered.
#[no_mangle]
pub(super) unsafe extern "C" fn nftrace_hook(
    mask: hook::Priv,
    skb: *mut bindings::sk_buff,
    state: *const generated::nf_hook_state,
) -> c_uint {
    // SAFETY: The contract is the same.
    unsafe { hook::run_hook(mask, skb, state, Kind::Entry) }
}

/// The hook function that comes last.
///
/// # Safety
///
/// Called by netfilter only, as the hook function that was registered.
#[no_mangle]
pub(super) unsafe extern "C" fn nftrace_hook_exit(
    mask: hook::Priv,
    skb: *mut bindings::sk_buff,
    state: *const generated::nf_hook_state,
) -> c_uint {
    // SAFETY: The contract is the same.
    unsafe { hook::run_hook(mask, skb, state, Kind::Exit) }
}

/// The probe of the tracepoint `kfree_skb`.
///
/// # Safety
///
/// Called by that tracepoint only.
pub(super) unsafe extern "C" fn nftrace_kfree_skb(
    _data: *mut c_void,
    skb: *mut bindings::sk_buff,
    location: *const c_void,
    reason: c_uint,
    _receiver: *const c_void,
) {
    // SAFETY: The contract is the same.
    unsafe { hook::run_freed(skb, Some((reason, location))) }
}

/// The probe of the tracepoint `consume_skb`.
///
/// # Safety
///
/// Called by that tracepoint only.
pub(super) unsafe extern "C" fn nftrace_consume_skb(
    _data: *mut c_void,
    skb: *mut bindings::sk_buff,
    _location: *const c_void,
) {
    // SAFETY: The contract is the same.
    unsafe { hook::run_freed(skb, None) }
}

/// `file_operations.open`.
///
/// # Safety
///
/// Called by the kernel only, as that.
#[no_mangle]
unsafe extern "C" fn nftrace_open(
    _inode: *mut bindings::inode,
    file: *mut bindings::file,
) -> c_int {
    // SAFETY: The contract is the same.
    unsafe { chardev::open(file) }
}

/// `file_operations.release`.
///
/// # Safety
///
/// Called by the kernel only, as that.
#[no_mangle]
unsafe extern "C" fn nftrace_release(
    _inode: *mut bindings::inode,
    file: *mut bindings::file,
) -> c_int {
    // SAFETY: The contract is the same.
    unsafe { chardev::release(file) };
    0
}

/// `file_operations.read`.
///
/// # Safety
///
/// Called by the kernel only, as that.
#[no_mangle]
unsafe extern "C" fn nftrace_read(
    file: *mut bindings::file,
    buffer: *mut c_char,
    len: usize,
    _position: *mut bindings::loff_t,
) -> isize {
    // SAFETY: The contract is the same.
    unsafe { chardev::read(file, buffer.addr(), len) as isize }
}

/// `file_operations.poll`.
///
/// # Safety
///
/// Called by the kernel only, as that.
#[no_mangle]
unsafe extern "C" fn nftrace_poll(
    file: *mut bindings::file,
    table: *mut bindings::poll_table_struct,
) -> c_uint {
    // SAFETY: The contract is the same.
    unsafe { chardev::poll(file, table) }
}

/// `file_operations.unlocked_ioctl`.
///
/// # Safety
///
/// Called by the kernel only, as that.
#[no_mangle]
unsafe extern "C" fn nftrace_ioctl(
    file: *mut bindings::file,
    command: c_uint,
    argument: c_ulong,
) -> c_long {
    // SAFETY: The contract is the same.
    unsafe { chardev::ioctl(file, command, argument) }
}

/// `file_operations.mmap`.
///
/// # Safety
///
/// Called by the kernel only, as that.
#[no_mangle]
unsafe extern "C" fn nftrace_mmap(
    file: *mut bindings::file,
    vma: *mut bindings::vm_area_struct,
) -> c_int {
    // SAFETY: The contract is the same.
    unsafe { chardev::mmap(file, vma) }
}

/// The timer of [`wakeup`].
#[no_mangle]
extern "C" fn nftrace_wake_now() {
    wakeup::wake_now();
}

/// `kernel_param_ops.free` of `ports=`: the module goes, or does not load after all.
#[no_mangle]
extern "C" fn nftrace_ports_free(_argument: *mut c_void) {
    tracing::free();
}

/// Gives a parameter of `params.c` its two functions.
macro_rules! param {
    ($param:ty, $set:ident, $get:ident) => {
        /// Sets the parameter.
        ///
        /// # Safety
        ///
        /// Called by the module loader and by sysfs only, as `kernel_param_ops.set`.
        #[no_mangle]
        unsafe extern "C" fn $set(
            value: *const c_char,
            _param: *const bindings::kernel_param,
        ) -> c_int {
            // SAFETY: The contract is the same.
            unsafe { param::set::<$param>(value) }
        }

        /// Shows the parameter.
        ///
        /// # Safety
        ///
        /// Called by sysfs only, as `kernel_param_ops.get`.
        #[no_mangle]
        unsafe extern "C" fn $get(
            buffer: *mut c_char,
            _param: *const bindings::kernel_param,
        ) -> c_int {
            // SAFETY: The contract is the same.
            unsafe { param::get::<$param>(buffer) }
        }
    };
}

param!(control::Ports, nftrace_ports_set, nftrace_ports_get);
param!(control::Format, nftrace_format_set, nftrace_format_get);
param!(control::Fail, nftrace_fail_set, nftrace_fail_get);
param!(
    control::Counters,
    nftrace_counters_set,
    nftrace_counters_get
);
