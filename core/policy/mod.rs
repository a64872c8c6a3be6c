// SPDX-License-Identifier: GPL-2.0

//! A policy as the kernel holds it: ordered rules, the first that matches decides.
//!
//! A compiler in userspace makes a blob ([`layout`]). [`Tables::read`] finds its
//! parts, [`verify()`] says whether it is sound, and [`classify()`] asks it about a
//! packet: the kernel with the same code as the command.

mod classify;
mod condition;
pub mod control;
pub mod layout;
mod tables;
#[cfg(test)]
mod tests;
mod verify;

pub use classify::{classify, Action, By, Decision, Observer, Outcome, Subject};
pub use condition::{
    Kind, Place, Unknown, STATE_ESTABLISHED, STATE_INVALID, STATE_NEW, STATE_RELATED,
    STATE_UNTRACKED,
};
pub use tables::Tables;
pub use verify::{verify, Flaw, Needs, Refusal};
