// SPDX-License-Identifier: GPL-2.0

//! Rules of five fields, of which the first that matches decides.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nftrace_tests::random::Random;

use crate::packets::PacketTuple;
use crate::shapes::Shape;

/// Number of TCP.
pub const TCP: u8 = 6;
/// Number of UDP.
pub const UDP: u8 = 17;

/// The family of all rules of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// Bits of an address.
    #[must_use]
    pub const fn width(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    /// The highest address.
    #[must_use]
    pub const fn last(self) -> u128 {
        match self {
            Self::V4 => 0xffff_ffff,
            Self::V6 => u128::MAX,
        }
    }

    /// An address from its number.
    #[must_use]
    pub fn address(self, number: u128) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::from_bits(u32::try_from(number).unwrap_or(u32::MAX)).into(),
            Self::V6 => Ipv6Addr::from_bits(number).into(),
        }
    }

    /// Any address, as its number.
    pub fn any_address(self, random: &mut Random) -> u128 {
        let high = u128::from(random.number());
        ((high << 64) | u128::from(random.number())) & self.last()
    }

    /// Number of its ICMP.
    #[must_use]
    pub const fn icmp(self) -> u8 {
        match self {
            Self::V4 => 1,
            Self::V6 => 58,
        }
    }

    /// As it is named in files and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        }
    }
}

/// A prefix: its first address has no bits set behind its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    family: Family,
    first: u128,
    len: u8,
}

impl Prefix {
    /// The prefix of this length, or the longest there is, around an address.
    #[must_use]
    pub fn new(family: Family, address: u128, len: u8) -> Self {
        let len = len.min(family.width());
        let host = Self::host_bits(family, len);
        let first = address & family.last() & !host;
        Self { family, first, len }
    }

    /// All addresses.
    #[must_use]
    pub fn any(family: Family) -> Self {
        Self::new(family, 0, 0)
    }

    fn host_bits(family: Family, len: u8) -> u128 {
        family.last().checked_shr(len.into()).unwrap_or(0)
    }

    /// Its family.
    #[must_use]
    pub const fn family(self) -> Family {
        self.family
    }

    /// How many bits are fixed.
    #[must_use]
    pub const fn length(self) -> u8 {
        self.len
    }

    /// Whether it has all addresses.
    #[must_use]
    pub const fn is_any(self) -> bool {
        self.len == 0
    }

    /// Whether it has one address only.
    #[must_use]
    pub const fn is_host(self) -> bool {
        self.len == self.family.width()
    }

    /// Its lowest address.
    #[must_use]
    pub const fn first(self) -> u128 {
        self.first
    }

    /// Its highest address.
    #[must_use]
    pub fn last(self) -> u128 {
        self.first | Self::host_bits(self.family, self.len)
    }

    /// Whether an address is in it.
    #[must_use]
    pub fn contains(self, address: u128) -> bool {
        (self.first..=self.last()).contains(&address)
    }

    /// Whether an address is in both.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.first <= other.last() && other.first <= self.last()
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.family.address(self.first);
        if self.is_host() {
            write!(f, "{address}")
        } else {
            write!(f, "{address}/{}", self.len)
        }
    }
}

/// Ports, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ports {
    /// The lowest.
    pub low: u16,
    /// The highest, which is not lower.
    pub high: u16,
}

impl Ports {
    /// All ports.
    pub const ANY: Self = Self {
        low: 0,
        high: u16::MAX,
    };

    /// One port.
    #[must_use]
    pub const fn one(port: u16) -> Self {
        Self {
            low: port,
            high: port,
        }
    }

    /// Whether it has one port only.
    #[must_use]
    pub const fn is_one(self) -> bool {
        self.low == self.high
    }

    /// How many there are.
    #[must_use]
    pub fn count(self) -> u32 {
        u32::from(self.high) - u32::from(self.low) + 1
    }

    /// Whether a port is in it.
    #[must_use]
    pub const fn contains(self, port: u16) -> bool {
        self.low <= port && port <= self.high
    }

    /// Whether a port is in both.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.low <= other.high && other.low <= self.high
    }

    /// `80` or `80-90`, with this between the ends.
    #[must_use]
    pub fn text(self, between: &str) -> String {
        if self.is_one() {
            self.low.to_string()
        } else {
            format!("{}{between}{}", self.low, self.high)
        }
    }
}

/// One rule. It has ports only where its protocol is TCP or UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BenchRule {
    /// Source addresses.
    pub src: Prefix,
    /// Destination addresses.
    pub dst: Prefix,
    /// The protocol; none: any.
    pub proto: Option<u8>,
    /// Source ports.
    pub sport: Ports,
    /// Destination ports.
    pub dport: Ports,
}

impl BenchRule {
    /// The rule that matches every packet of a family.
    #[must_use]
    pub fn any(family: Family) -> Self {
        Self {
            src: Prefix::any(family),
            dst: Prefix::any(family),
            proto: None,
            sport: Ports::ANY,
            dport: Ports::ANY,
        }
    }

    /// Whether it matches a packet of its family.
    #[must_use]
    pub fn matches(&self, packet: &PacketTuple) -> bool {
        self.src.contains(packet.src)
            && self.dst.contains(packet.dst)
            && self.proto.is_none_or(|proto| proto == packet.proto)
            && self.sport.contains(packet.sport)
            && self.dport.contains(packet.dport)
    }

    /// Whether some packet matches both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.src.overlaps(other.src)
            && self.dst.overlaps(other.dst)
            && (self.proto.is_none() || other.proto.is_none() || self.proto == other.proto)
            && self.sport.overlaps(other.sport)
            && self.dport.overlaps(other.dport)
    }

    /// How much of what there is it leaves out, in bits.
    #[must_use]
    pub fn specificity(&self) -> f64 {
        let ports = |ports: Ports| 16.0 - f64::from(ports.count()).log2();
        let proto = if self.proto.is_some() { 8.0 } else { 0.0 };
        // Addresses of both families weigh the same.
        let prefix =
            |prefix: Prefix| f64::from(prefix.len) * 32.0 / f64::from(prefix.family.width());
        prefix(self.src) + prefix(self.dst) + proto + ports(self.sport) + ports(self.dport)
    }
}

/// Rules in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSet {
    /// From which generator they are.
    pub shape: Shape,
    /// Of which family.
    pub family: Family,
    /// Of which seed.
    pub seed: u64,
    /// The rules.
    pub rules: Vec<BenchRule>,
}

impl RuleSet {
    /// The first of the rules, counted from 0, that matches a packet, found by asking all of
    /// them: what every peer has to answer.
    #[must_use]
    pub fn first_match(&self, packet: &PacketTuple) -> Option<usize> {
        self.rules.iter().position(|rule| rule.matches(packet))
    }
}
