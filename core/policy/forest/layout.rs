// SPDX-License-Identifier: GPL-2.0

//! The bytes of the index.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::policy::condition::Place;
use crate::policy::layout::PLACES;

/// What of a packet's transport header rules can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// It has ports.
    Ports = 0,
    /// It has none.
    NoPorts = 1,
    /// It is in another packet: this is a later fragment.
    Fragment = 2,
}

impl Class {
    /// All of them, by number.
    pub const ALL: [Self; 3] = [Self::Ports, Self::NoPorts, Self::Fragment];

    /// The number of the root for packets of this class at a place.
    #[inline]
    pub const fn root(self, place: Place) -> usize {
        place.number().wrapping_mul(3).wrapping_add(self as usize)
    }
}

/// Roots of a family: one for each place and [`Class`].
pub const ROOTS: usize = PLACES * 3;

/// Trees that a forest may have.
pub const MAX_TREES: usize = 16;

/// Nodes between a tree's root and its leaves, both of them included.
pub const MAX_DEPTH: usize = 32;

/// All addresses from `low` to `low + span`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Side32 {
    /// The least.
    pub low: u32,
    /// How many more.
    pub span: u32,
}

/// What boxes of both families have. Each pair is the least, and how many more.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Rest {
    /// The number of the rule.
    pub rule: u32,
    /// Source ports.
    pub sport: [u16; 2],
    /// Destination ports.
    pub dport: [u16; 2],
    /// Namespaces, by their number in the policy, from 1; 0 are all others.
    pub namespace: [u16; 2],
    /// Protocols.
    pub protocol: [u8; 2],
    /// [`EXACT`] and the like.
    pub flags: u16,
}

/// In [`Rest::flags`]: a packet in the box meets all conditions of the rule.
pub const EXACT: u16 = 1;
/// In [`Rest::flags`]: behind it, no later rule is asked about a packet in the box.
pub const DECIDES: u16 = 2;
/// In [`Rest::flags`]: the same for later fragments, whatever their ports are.
pub const DECIDES_FRAGMENTS: u16 = 4;
/// In [`Rest::flags`]: the rule asks for the transport header.
pub const TRANSPORT: u16 = 8;
/// In [`Rest::flags`]: the rule asks for ports.
pub const PORTS: u16 = 16;
/// In [`Rest::flags`]: of the boxes of the rule that differ in their ports only, it is
/// the first: it stands for all of them where there are no ports.
pub const LEADS: u16 = 32;
/// In [`Rest::flags`]: the rule has a limit, or is not enforced.
pub const SPECIAL: u16 = 64;

/// What a rule says about an IPv4 packet.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Box4 {
    /// Source addresses.
    pub src: Side32,
    /// Destination addresses.
    pub dst: Side32,
    /// What both families have.
    pub rest: Rest,
}

/// What a rule says about an IPv6 packet. Addresses are the two halves of the least,
/// and of how many more there are, the upper half first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Box6 {
    /// Source addresses.
    pub src: [u64; 4],
    /// Destination addresses.
    pub dst: [u64; 4],
    /// What both families have.
    pub rest: Rest,
    /// Zero.
    pub reserved: u32,
}

/// Some trees over the boxes of a family. Its trees lie behind those of the forest before.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Forest {
    /// The number of its first tree.
    pub first_tree: u32,
    /// How many it has.
    pub trees: u32,
    /// Where its homes begin: of each of its boxes, in order, the number of its tree.
    pub first_home: u32,
    /// How many boxes it has.
    pub homes: u32,
    /// 1: its boxes are those of IPv6.
    pub is_ipv6: u8,
    /// 1: some rule has a limit, or is not enforced.
    pub is_special: u8,
    /// Zero.
    pub reserved: u16,
}

/// One tree. Its nodes and entries lie behind those of the tree before.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Tree {
    /// The number of its root.
    pub first_node: u32,
    /// How many nodes it has.
    pub nodes: u32,
    /// The number of its first entry.
    pub first_entry: u32,
    /// How many it has.
    pub entries: u32,
    /// The least of its entries.
    pub least: u32,
}

/// A node in 64 bits. The children of a node lie one behind the other, level by level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// The boxes that a packet there may be in, the earliest rule first.
    Leaf {
        /// The number of the first entry.
        first: u32,
        /// How many there are.
        count: u32,
    },
    /// `bits` bits of a dimension, from `shift` on, are the number of the child.
    Cut {
        /// The number of the first child.
        base: u32,
        /// The dimension.
        dimension: u32,
        /// Bits below.
        shift: u32,
        /// 1 to 16.
        bits: u32,
    },
    /// The first child is for what is not greater than `limit`, the second for the rest.
    Split {
        /// The number of the first child.
        base: u32,
        /// The dimension.
        dimension: u32,
        /// The greatest of the first child.
        limit: u32,
    },
}

const BASE: u64 = (1 << 26) - 1;

impl Node {
    /// Nodes that there may be.
    pub const MOST: u32 = 1 << 26;

    /// Entries that a leaf may have.
    pub const LARGEST_LEAF: u32 = 0xffff;

    /// That of its 64 bits.
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // The parts of a word are cut out of it.
    pub const fn read(bits: u64) -> Self {
        let base = (bits & BASE) as u32;
        let dimension = (bits >> 26) as u32 & 15;
        match bits >> 62 {
            0 => Self::Leaf {
                first: bits as u32,
                count: (bits >> 32) as u32 & Self::LARGEST_LEAF,
            },
            1 => Self::Cut {
                base,
                dimension,
                shift: (bits >> 30) as u32 & 31,
                bits: (bits >> 35) as u32 & 31,
            },
            _ => Self::Split {
                base,
                dimension,
                limit: (bits >> 30) as u32,
            },
        }
    }

    /// Its 64 bits.
    #[inline]
    pub const fn write(self) -> u64 {
        match self {
            Self::Leaf { first, count } => first as u64 | ((count as u64) << 32),
            Self::Cut {
                base,
                dimension,
                shift,
                bits,
            } => {
                (1 << 62)
                    | base as u64
                    | ((dimension as u64) << 26)
                    | ((shift as u64) << 30)
                    | ((bits as u64) << 35)
            }
            Self::Split {
                base,
                dimension,
                limit,
            } => (2 << 62) | base as u64 | ((dimension as u64) << 26) | ((limit as u64) << 30),
        }
    }
}
