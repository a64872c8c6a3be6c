// SPDX-License-Identifier: GPL-2.0

//! What the kernel module and the userspace of nftrace share.
//!
//! Compiled twice from the same files: by Kbuild into `nftrace.ko`, by Cargo for
//! the tests and the command. No allocation, no `unsafe`, and no panic path:
//! `make check` looks for one in the object.

#![cfg_attr(not(any(MODULE, test)), no_std)]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod abi;
pub mod hook;
pub mod lives;
pub mod packet;
pub mod policy;
pub mod ports;
pub mod rate;
pub mod recent;
pub mod record;
pub mod ring;
pub mod trace;

/// The atomics of the ring: `tests/ring` compiles it with others, which try every order.
mod atomics {
    pub(crate) use ::core::sync::atomic::{fence, AtomicU64, Ordering};
}

const _: () = assert!(size_of::<ring::Slot>() == ring::SLOT_WORDS * 8);
