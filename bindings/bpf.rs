// SPDX-License-Identifier: GPL-2.0

//! Classic BPF programs, as libpcap compiles them; checked and translated by the kernel.
//!
//! C header: [`include/linux/filter.h`](srctree/include/linux/filter.h)

use core::ptr::NonNull;

use kernel::bindings;
use kernel::error::from_err_ptr;
use kernel::prelude::*;

use nftrace_core::trace::Instruction;

use super::generated;
use super::skb::HookedPacket;

/// A program that takes packets from their network header on.
///
/// # Invariants
///
/// What `bpf_prog_create()` returned, and ours alone.
pub(crate) struct Program(NonNull<bindings::bpf_prog>);

// SAFETY: A program may be destroyed by any thread.
unsafe impl Send for Program {}
// SAFETY: A program is never changed once it was made; any number of CPUs run it at once.
unsafe impl Sync for Program {}

impl Program {
    /// The program of these instructions.
    ///
    /// # Errors
    ///
    /// `EINVAL` for what the kernel refuses, `ENOMEM`.
    pub(crate) fn new(instructions: impl Iterator<Item = Instruction>) -> Result<Self> {
        let mut code = KVec::new();
        for instruction in instructions {
            code.push(
                bindings::sock_filter {
                    code: instruction.code,
                    jt: instruction.jt,
                    jf: instruction.jf,
                    k: instruction.k,
                },
                GFP_KERNEL,
            )?;
        }
        let len = u16::try_from(code.len()).map_err(|_| EINVAL)?;
        // SAFETY: `code` is valid for reads of so many instructions, which are
        // copied; whatever they are, the kernel checks them.
        let program = unsafe { generated::nftrace_bpf_create(code.as_mut_ptr(), len) };
        let program = from_err_ptr(program)?;
        // INVARIANT: It was just made.
        Ok(Self(NonNull::new(program).ok_or(EINVAL)?))
    }

    /// Whether the program takes the packet, which starts with its network header.
    #[inline]
    pub(crate) fn takes(&self, packet: &HookedPacket<'_>) -> bool {
        // SAFETY: By the type invariants of both, the program and the packet are valid;
        // it is run as the kernel's own xt_bpf does, at any hook.
        unsafe { generated::nftrace_bpf_run(self.0.as_ptr(), packet.as_ptr()) != 0 }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, it is ours; nobody runs it any more, since
        // that takes a reference to it.
        unsafe { generated::nftrace_bpf_destroy(self.0.as_ptr()) };
    }
}
