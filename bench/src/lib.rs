// SPDX-License-Identifier: GPL-2.0

//! What nftrace and its peers are measured with: rule sets of many shapes, packets that
//! meet and miss them, and the same rules in the language of each peer.

pub mod judge;
pub mod overlap;
pub mod packets;
pub mod render;
pub mod rules;
pub mod shapes;
