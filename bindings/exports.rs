// SPDX-License-Identifier: GPL-2.0

//! The names by which the kernel calls us, and whom each call is for.

use kernel::ffi::{c_char, c_int, c_uint};

use kernel::bindings;

use super::{generated, netfilter, param};
use crate::module::control;

/// What the hooks call.
pub(super) type Attached = crate::module::datapath::Datapath;

/// The hook function; `nft list hooks` shows it by this name.
///
/// # Safety
///
/// Called by netfilter only, as the hook function that was registered.
#[no_mangle]
pub(super) unsafe extern "C" fn nftrace_hook(
    _priv: netfilter::Priv,
    skb: *mut bindings::sk_buff,
    state: *const generated::nf_hook_state,
) -> c_uint {
    // SAFETY: The contract is the same.
    unsafe { netfilter::run_hook(skb, state) }
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
param!(
    control::Counters,
    nftrace_counters_set,
    nftrace_counters_get
);
