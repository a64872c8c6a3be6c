// SPDX-License-Identifier: GPL-2.0

//! The bytes of a blob: a [`Header`], and behind it the sections that it counts, in
//! this order, without gaps:
//!
//! rules ([`Rule`]), sets of 128-bit ranges ([`Range128`]), of words (`u64`), of
//! cgroups ([`Cgroup`]), of names ([`Pattern`]), namespaces (`u64`), nodes (`u64`, see
//! [`super::forest::Node`]), boxes of IPv6 ([`super::forest::Box6`]), conditions
//! ([`Condition`]), the spans of the five pools ([`Span`], in the order of [`Pool`]),
//! sets of 32-bit ranges ([`Range32`]), boxes of IPv4 ([`super::forest::Box4`]), forests
//! ([`super::forest::Forest`]), trees ([`super::forest::Tree`]), entries of leaves
//! (`u32`), dynamic sets ([`super::dynamic::Dynamic`]), homes (`u8`), text (UTF-8).
//!
//! The rules are the policy; what [`super::forest`] has is an index of them.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::condition::Place;
use super::forest::ROOTS;

/// What a blob begins with: `nftp`.
pub const MAGIC: u32 = u32::from_le_bytes(*b"nftp");

/// The largest blob, in bytes.
pub const MAX_BLOB: usize = 64 << 20;

/// Steps that a packet may cost at most, unless the module is told otherwise.
pub const MAX_BOUND: u32 = 1024;

/// Hooks that a rule may be at: the five of the IP families, then the five of the bridge family.
pub const PLACES: usize = 10;

/// A pool of operands. Its sets lie one behind the other, and each condition has the
/// number of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Pool {
    /// [`Range32`].
    Ranges32 = 0,
    /// [`Range128`].
    Ranges128 = 1,
    /// `u64`.
    Words = 2,
    /// [`Cgroup`].
    Cgroups = 3,
    /// [`Pattern`].
    Patterns = 4,
}

/// How many pools there are.
pub const POOLS: usize = 5;

/// How the blob begins.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: u32,
    /// [`crate::abi::ABI`].
    pub abi: u32,
    /// Rules.
    pub rules: u32,
    /// Conditions of all rules.
    pub conditions: u32,
    /// Sets in each pool.
    pub sets: [u32; POOLS],
    /// Elements of all sets of each pool.
    pub elements: [u32; POOLS],
    /// Namespaces that rules name, by their cookies in order.
    pub namespaces: u32,
    /// Boxes of IPv4 rules, by rule.
    pub boxes4: u32,
    /// Boxes of IPv6 rules, by rule.
    pub boxes6: u32,
    /// Forests.
    pub forests: u32,
    /// Trees of all forests.
    pub trees: u32,
    /// Nodes of all trees.
    pub nodes: u32,
    /// Entries of all leaves.
    pub entries: u32,
    /// Homes of all forests.
    pub homes: u32,
    /// Of IPv4 and of IPv6, by [`super::forest::Class::root`]: 1 and the number of the
    /// forest; 0 where no rule can match.
    pub roots: [[u32; ROOTS]; 2],
    /// Bytes of the text: the policy as its author can read it.
    pub text: u32,
    /// The default of each place, as [`crate::record::Verdict`]: accept or drop.
    pub defaults: [u8; PLACES],
    /// What happens to packets that cannot be read: accept or drop.
    pub malformed: u8,
    /// What happens to a later fragment where a rule would have to know more of it.
    pub fragments: u8,
    /// One of [`New`].
    pub new: u8,
    /// Zero.
    pub reserved: [u8; 3],
    /// Dynamic sets.
    pub dynamics: u32,
}

/// What holds in namespaces that were made after the policy was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum New {
    /// The same as in all others.
    AsElsewhere = 0,
    /// Its rules, and where none decides, accept.
    Accept = 1,
    /// Its rules, and where none decides, drop.
    Drop = 2,
    /// Everything is accepted until a policy is loaded that knows them.
    AcceptUntilKnown = 3,
}

impl New {
    /// That of a number in [`Header::new`].
    #[inline]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::AsElsewhere),
            1 => Some(Self::Accept),
            2 => Some(Self::Drop),
            3 => Some(Self::AcceptUntilKnown),
            _ => None,
        }
    }
}

/// So many events in so many seconds; no events: no limit.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Rate {
    /// Events.
    pub events: u32,
    /// Seconds.
    pub seconds: u32,
}

/// One rule. It has its conditions behind those of the rule before.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Rule {
    /// By what the rule is the same one in the next policy: its counters go on.
    pub identity: u64,
    /// The number of its first condition.
    pub first_condition: u32,
    /// How many it has.
    pub conditions: u16,
    /// Where it is asked: bit n for place n.
    pub places: u16,
    /// [`IPV4`], [`IPV6`] or both.
    pub families: u8,
    /// As [`crate::record::Verdict`].
    pub verdict: u8,
    /// [`SHADOW`] and the like.
    pub flags: u8,
    /// One of [`Answer`], for reject.
    pub answer: u8,
    /// The number of the queue.
    pub queue: u16,
    /// Which sides of its IPv4 boxes are split: see [`super::forest::each_box`].
    pub split4: u8,
    /// Which of its IPv6 boxes.
    pub split6: u8,
    /// How often it may match.
    pub limit: Rate,
    /// How many matches may come at once, for a limit.
    pub burst: u32,
    /// How often it may write to the kernel's log.
    pub log_limit: Rate,
    /// Where in the text the rule stands.
    pub text: u32,
    /// Bytes of it.
    pub text_len: u32,
    /// Zero.
    pub reserved2: u32,
}

impl Rule {
    /// Whether it is asked at a place.
    #[inline]
    pub const fn is_at(&self, place: Place) -> bool {
        self.places & 1_u16.wrapping_shl(place.bit()) != 0
    }
}

/// In [`Rule::families`].
pub const IPV4: u8 = 1;
/// In [`Rule::families`].
pub const IPV6: u8 = 2;

/// In [`Rule::flags`]: counted, never enforced.
pub const SHADOW: u8 = 1;
/// In [`Rule::flags`]: the kernel's log gets a record.
pub const LOG: u8 = 2;
/// In [`Rule::flags`]: a packet that no program takes out of the queue goes on.
pub const ELSE_ACCEPT: u8 = 4;

/// What the sender of a rejected packet is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Answer {
    /// TCP: a reset; else: that the port cannot be reached.
    Fitting = 0,
    /// A reset.
    TcpReset = 1,
    /// ICMP: port unreachable.
    PortUnreachable = 2,
    /// ICMP: host unreachable; for IPv6: address unreachable.
    HostUnreachable = 3,
    /// ICMP: network unreachable; for IPv6: no route.
    NetUnreachable = 4,
    /// ICMP: administratively prohibited.
    AdminProhibited = 5,
}

impl Answer {
    /// All of them, by number.
    pub const ALL: [Self; 6] = [
        Self::Fitting,
        Self::TcpReset,
        Self::PortUnreachable,
        Self::HostUnreachable,
        Self::NetUnreachable,
        Self::AdminProhibited,
    ];

    /// That of a number in [`Rule::answer`].
    #[inline]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Fitting),
            1 => Some(Self::TcpReset),
            2 => Some(Self::PortUnreachable),
            3 => Some(Self::HostUnreachable),
            4 => Some(Self::NetUnreachable),
            5 => Some(Self::AdminProhibited),
            _ => None,
        }
    }
}

/// One condition of a rule.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Condition {
    /// One of [`super::Kind`].
    pub kind: u8,
    /// 1: it is met where otherwise it would not be.
    pub negated: u8,
    /// The number of a dynamic set, from 1, for a kind that asks one; else 0.
    pub dynamic: u16,
    /// The number of a set, or an operand itself: see [`super::Kind`].
    pub first: u32,
    /// The same.
    pub second: u32,
}

/// Where a set lies in its pool.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Span {
    /// Its first element.
    pub first: u32,
    /// How many it has.
    pub count: u32,
}

/// Numbers from `low` to `high`: IPv4 addresses, ports, and whatever fits.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Range32 {
    /// The least.
    pub low: u32,
    /// The greatest.
    pub high: u32,
}

/// IPv6 addresses from `low` to `high`, the upper half of each first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Range128 {
    /// The least.
    pub low: [u64; 2],
    /// The greatest.
    pub high: [u64; 2],
}

/// A cgroup, and all that are below it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Cgroup {
    /// Its id.
    pub id: u64,
    /// How far below the root it is: 0 for the root itself.
    pub level: u32,
    /// Zero.
    pub reserved: u32,
}

/// The name of a device, or how its name begins.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Pattern {
    /// The name, padded with zeroes.
    pub name: [u8; 16],
    /// Bytes of it: 1 to 15.
    pub len: u8,
    /// 1: names that begin so.
    pub is_prefix: u8,
    /// Zero.
    pub reserved: [u8; 6],
}

impl Range32 {
    /// Whether it holds `value`.
    #[inline]
    pub const fn holds(&self, value: u32) -> bool {
        self.low <= value && value <= self.high
    }
}

impl Pattern {
    /// The pattern of a name, which ends with `*` where more may follow.
    pub fn new(text: &[u8]) -> Option<Self> {
        let (name, is_prefix) = match text.strip_suffix(b"*") {
            Some(start) => (start, 1),
            None => (text, 0),
        };
        if name.is_empty() || name.len() > 15 || name.contains(&0) {
            return None;
        }
        let mut pattern = Self {
            len: u8::try_from(name.len()).ok()?,
            is_prefix,
            ..Self::default()
        };
        for (to, from) in pattern.name.iter_mut().zip(name) {
            *to = *from;
        }
        Some(pattern)
    }

    /// Whether a device of this name, padded with zeroes, is meant.
    #[inline]
    pub fn matches(&self, name: &[u8; 16]) -> bool {
        // The zero behind the name is compared too, where nothing may follow.
        let len = u32::from(self.len).wrapping_add(u32::from(self.is_prefix == 0));
        let bits = len.wrapping_mul(8).min(128);
        let mask = u128::MAX
            .checked_shr(128_u32.wrapping_sub(bits))
            .unwrap_or(0);
        (u128::from_le_bytes(self.name) ^ u128::from_le_bytes(*name)) & mask == 0
    }
}
