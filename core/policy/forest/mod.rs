// SPDX-License-Identifier: GPL-2.0

//! The index of a policy's rules: where each packet's candidates are.
//!
//! What a rule says about addresses, ports, protocol and namespace is one or more
//! boxes ([`Box4`], [`Box6`]). A forest is a few trees over the boxes of the rules of
//! one place, family and [`Class`]; each inner node cuts one dimension, and a leaf
//! lists the boxes that a packet there can be in. A box has one tree as its home,
//! where every leaf that it meets lists it, or lists an earlier box that decides all
//! of the leaf. So the first box over all trees that holds the packet, and whose rule
//! matches, is that of the first rule that matches.
//!
//! [`verify`](super::verify()) proves that of each forest; the one who builds it need
//! not be trusted.

mod boxes;
mod layout;
mod lookup;
mod proof;
mod shape;
mod structure;

pub use boxes::{each_box, MAX_BOXES};
pub use layout::{
    Box4, Box6, Class, Forest, Node, Rest, Side32, Tree, DECIDES, DECIDES_FRAGMENTS, EXACT, LEADS,
    MAX_DEPTH, MAX_TREES, PORTS, ROOTS, SPECIAL, TRANSPORT,
};
pub use shape::{Dimension, Key4, Key6, Region, Shape, Side};

pub(super) use lookup::{Found, Lookup};
pub(super) use proof::Verifier;
