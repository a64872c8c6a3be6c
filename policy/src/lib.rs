// SPDX-License-Identifier: GPL-2.0

//! The policy language of nftrace, as docs/policy.md describes it.

pub mod ast;
mod source;
mod words;

pub use source::{Disk, File, Files, Loader, Memory, Place, Span};
