// SPDX-License-Identifier: GPL-2.0

//! The user's side of `/dev/nftrace`: reading, mapping and control.
//!
//! The only crate of userspace in which `unsafe` may stand. What it hands out is
//! safe: a [`Device`] that was checked to speak this command's ABI.

#![deny(missing_docs)]

mod clock;
mod device;
mod error;
mod map;
#[doc(hidden)]
pub mod misuse;
pub mod netns;
mod policy;
mod sets;

pub use clock::monotonic;
pub use device::{Device, Start, DEFAULT_PATH};
pub use error::{Error, Result};
pub use map::{MappedReader, Rings};
pub use policy::Loading;
pub use sets::{SetChanged, SetContents};
