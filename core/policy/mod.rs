// SPDX-License-Identifier: GPL-2.0

//! A policy as the kernel holds it: ordered rules, the first that matches decides.
//!
//! A compiler in userspace makes a blob ([`layout`]) of the rules and an index of them
//! ([`forest`]). [`Tables::read`] finds its parts, [`verify()`] proves that it is sound
//! and that the index says what the rules say, and [`classify()`] asks it about a
//! packet: the kernel with the same code as the command.

mod classify;
mod condition;
pub mod control;
mod decision;
pub mod dynamic;
pub mod forest;
mod glance;
mod identities;
pub mod layout;
pub mod ranges;
mod tables;
mod verify;

pub use classify::{classify, classify_in_order};
pub use condition::{
    Kind, Place, Unknown, STATE_ESTABLISHED, STATE_INVALID, STATE_NEW, STATE_RELATED,
    STATE_UNTRACKED,
};
pub use decision::{Action, By, Decision, Observer, Outcome, Subject};
pub use glance::{glance, outcome};
pub use identities::Identities;
pub use tables::Tables;
pub use verify::{verify, verify_within, Flaw, Limits, Needs, Refusal};
