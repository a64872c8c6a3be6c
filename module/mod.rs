// SPDX-License-Identifier: GPL-2.0

//! What the module does, in safe code.

pub(crate) mod control;
pub(crate) mod datapath;
pub(crate) mod device;
pub(crate) mod dmesg;
mod headers;
pub(crate) mod policy;
pub(crate) mod rings;
pub(crate) mod tracing;
