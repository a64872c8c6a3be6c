// SPDX-License-Identifier: GPL-2.0

//! Boxes, and packets as they are looked for, of both families.

use super::layout::{Box4, Box6, Rest, Side32, PORTS};
use crate::policy::condition::Kind;
use crate::policy::layout::{Condition, Pool, Range128, Range32};
use crate::policy::tables::Tables;

/// A dimension, by its number in nodes.
pub type Dimension = u32;

/// Numbers from the first to the second.
pub type Side = (u32, u32);

/// A part of the space, by dimension. Of IPv4, ten are not used.
pub type Region = [Side; 16];

/// The most dimensions that a family has, and their mask.
const MOST: u32 = 15;

/// The boxes of a family.
pub trait Shape: Copy + Default + PartialEq + Send + Sync {
    /// A packet as it is looked for.
    type Key;
    /// An address.
    type Address: Copy;
    /// How many dimensions there are. Behind the addresses they are: source port,
    /// destination port, protocol, namespace.
    const DIMENSIONS: Dimension;
    /// The number of the first behind the addresses.
    const FIRST_PORT: Dimension;
    /// Whether it is for IPv6.
    const IS_IPV6: bool;

    /// A key's number in a dimension.
    fn word(key: &Self::Key, dimension: Dimension) -> u32;
    /// Whether the packet is in the box.
    fn holds(&self, key: &Self::Key) -> bool;
    /// The same without a look at ports.
    fn holds_fragment(&self, key: &Self::Key) -> bool;
    /// What both families have.
    fn rest(&self) -> &Rest;
    /// What the addresses of the box are at most in a dimension: in each word of an
    /// address by itself.
    fn address_side(&self, dimension: Dimension) -> Side;
    /// Whether [`Shape::address_side`] says all of it.
    fn is_rectangular(&self) -> bool;
    /// The box of two ranges of addresses and the rest.
    fn new(
        src: (Self::Address, Self::Address),
        dst: (Self::Address, Self::Address),
        rest: Rest,
    ) -> Self;
    /// All addresses.
    fn all() -> (Self::Address, Self::Address);
    /// How many ranges the set of a condition about addresses has.
    fn set_len(tables: &Tables<'_>, condition: &Condition) -> usize;
    /// One of them.
    fn range(
        tables: &Tables<'_>,
        condition: &Condition,
        number: usize,
    ) -> Option<(Self::Address, Self::Address)>;

    /// What the box is at most in a dimension; with `is_fragment` as a box that has no
    /// ports.
    #[inline]
    fn side(&self, dimension: Dimension, is_fragment: bool) -> Side {
        let rest = self.rest();
        let of16 = |[low, span]: [u16; 2]| (u32::from(low), u32::from(low.wrapping_add(span)));
        match dimension.wrapping_sub(Self::FIRST_PORT) {
            0 | 1 if is_fragment => (0, 0xffff),
            0 => of16(rest.sport),
            1 => of16(rest.dport),
            2 => {
                let [low, span] = rest.protocol;
                (low.into(), low.wrapping_add(span).into())
            }
            3 => of16(rest.namespace),
            _ => self.address_side(dimension),
        }
    }

    /// Whether the packets of this class that a rule matches have a box here.
    #[inline]
    fn is_in(&self, class: super::Class) -> bool {
        let flags = self.rest().flags;
        match class {
            super::Class::Ports => true,
            super::Class::NoPorts => flags & PORTS == 0,
            super::Class::Fragment => flags & super::LEADS != 0,
        }
    }

    /// Whether no later rule is asked about any packet of a region.
    fn decides(&self, region: &Region, is_fragment: bool) -> bool {
        let decides = if is_fragment {
            super::DECIDES_FRAGMENTS
        } else {
            super::DECIDES
        };
        self.rest().flags & decides != 0
            && self.is_rectangular()
            && (0..Self::DIMENSIONS).zip(region).all(|(number, inner)| {
                let outer = self.side(number, is_fragment);
                outer.0 <= inner.0 && inner.1 <= outer.1
            })
    }

    /// The whole space.
    fn space() -> Region {
        let mut region = [(0, u32::MAX); 16];
        for (number, side) in (0..16).zip(&mut region) {
            match Self::FIRST_PORT.checked_sub(number) {
                Some(left) if left > 0 => {}
                _ if number == Self::FIRST_PORT.wrapping_add(2) => *side = (0, 0xff),
                _ => *side = (0, 0xffff),
            }
        }
        region
    }
}

/// An IPv4 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key4 {
    /// Source, destination, source port, destination port, protocol, namespace.
    pub words: [u32; 8],
}

/// An IPv6 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key6 {
    /// The four words of the source, those of the destination, and so on.
    pub words: [u32; 16],
    /// The source once more.
    pub src: u128,
    /// The destination.
    pub dst: u128,
}

impl Key4 {
    /// That of a packet, with port 0 where it has none.
    #[inline]
    pub const fn new(src: u32, dst: u32, ports: (u16, u16), protocol: u8, namespace: u16) -> Self {
        let (sport, dport) = ports;
        Self {
            words: [
                src,
                dst,
                sport as u32,
                dport as u32,
                protocol as u32,
                namespace as u32,
                0,
                0,
            ],
        }
    }
}

impl Key6 {
    /// The same for IPv6.
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // Each word is cut out of its address.
    pub const fn new(
        src: u128,
        dst: u128,
        ports: (u16, u16),
        protocol: u8,
        namespace: u16,
    ) -> Self {
        let (sport, dport) = ports;
        Self {
            words: [
                (src >> 96) as u32,
                (src >> 64) as u32,
                (src >> 32) as u32,
                src as u32,
                (dst >> 96) as u32,
                (dst >> 64) as u32,
                (dst >> 32) as u32,
                dst as u32,
                sport as u32,
                dport as u32,
                protocol as u32,
                namespace as u32,
                0,
                0,
                0,
                0,
            ],
            src,
            dst,
        }
    }
}

#[inline]
fn is_between([low, span]: [u16; 2], value: u32) -> bool {
    value.wrapping_sub(low.into()) <= span.into()
}

impl Rest {
    #[inline]
    fn holds(&self, [sport, dport, protocol, namespace]: [u32; 4], is_fragment: bool) -> bool {
        let [low, span] = self.protocol;
        protocol.wrapping_sub(low.into()) <= span.into()
            && (is_fragment || (is_between(self.dport, dport) && is_between(self.sport, sport)))
            && is_between(self.namespace, namespace)
    }
}

impl Side32 {
    #[inline]
    const fn holds(self, value: u32) -> bool {
        value.wrapping_sub(self.low) <= self.span
    }
}

impl Shape for Box4 {
    type Key = Key4;
    type Address = u32;
    const DIMENSIONS: Dimension = 6;
    const FIRST_PORT: Dimension = 2;
    const IS_IPV6: bool = false;

    #[inline]
    fn word(key: &Key4, dimension: Dimension) -> u32 {
        let [.., last] = key.words;
        *key.words.get((dimension & 7) as usize).unwrap_or(&last)
    }

    #[inline]
    fn holds(&self, key: &Key4) -> bool {
        let [src, dst, rest @ .., _, _] = key.words;
        self.src.holds(src) && self.dst.holds(dst) && self.rest.holds(rest, false)
    }

    #[inline]
    fn holds_fragment(&self, key: &Key4) -> bool {
        let [src, dst, rest @ .., _, _] = key.words;
        self.src.holds(src) && self.dst.holds(dst) && self.rest.holds(rest, true)
    }

    #[inline]
    fn rest(&self) -> &Rest {
        &self.rest
    }

    #[inline]
    fn address_side(&self, dimension: Dimension) -> Side {
        let side = if dimension == 0 { self.src } else { self.dst };
        (side.low, side.low.wrapping_add(side.span))
    }

    #[inline]
    fn is_rectangular(&self) -> bool {
        true
    }

    fn new(src: (u32, u32), dst: (u32, u32), rest: Rest) -> Self {
        let side = |(low, high): (u32, u32)| Side32 {
            low,
            span: high.wrapping_sub(low),
        };
        Self {
            src: side(src),
            dst: side(dst),
            rest,
        }
    }

    fn all() -> (u32, u32) {
        (0, u32::MAX)
    }

    fn set_len(tables: &Tables<'_>, condition: &Condition) -> usize {
        set4(tables, condition).len()
    }

    fn range(tables: &Tables<'_>, condition: &Condition, number: usize) -> Option<(u32, u32)> {
        let range = set4(tables, condition).get(number)?;
        Some((range.low, range.high))
    }
}

fn set4<'a>(tables: &Tables<'a>, condition: &Condition) -> &'a [Range32] {
    tables.set(Pool::Ranges32, tables.ranges32, condition.first)
}

fn set6<'a>(tables: &Tables<'a>, condition: &Condition) -> &'a [Range128] {
    tables.set(Pool::Ranges128, tables.ranges128, condition.second)
}

#[inline]
const fn whole([upper, lower]: [u64; 2]) -> u128 {
    ((upper as u128) << 64) | lower as u128
}

impl Box6 {
    #[inline]
    const fn bounds([low_upper, low_lower, span_upper, span_lower]: [u64; 4]) -> (u128, u128) {
        let low = whole([low_upper, low_lower]);
        (low, low.wrapping_add(whole([span_upper, span_lower])))
    }

    #[inline]
    const fn is_in(sides: &[u64; 4], address: u128) -> bool {
        let [low_upper, low_lower, span_upper, span_lower] = *sides;
        address.wrapping_sub(whole([low_upper, low_lower])) <= whole([span_upper, span_lower])
    }

    /// The words of the least and of the greatest, the first one first.
    #[allow(clippy::cast_possible_truncation)] // They are cut out of it.
    fn words(sides: [u64; 4]) -> impl Iterator<Item = Side> {
        let (low, high) = Self::bounds(sides);
        [96_u32, 64, 32, 0].into_iter().map(move |shift| {
            (
                low.wrapping_shr(shift) as u32,
                high.wrapping_shr(shift) as u32,
            )
        })
    }

    /// Whether a range of addresses is all of its words' ranges: none that differs comes
    /// before one that is not all there is.
    fn is_product(sides: [u64; 4]) -> bool {
        let mut differed = false;
        Self::words(sides).all(|(low, high)| {
            let is_all = low == 0 && high == u32::MAX;
            let is_good = !differed || is_all;
            differed |= low != high;
            is_good
        })
    }
}

impl Shape for Box6 {
    type Key = Key6;
    type Address = u128;
    const DIMENSIONS: Dimension = 12;
    const FIRST_PORT: Dimension = 8;
    const IS_IPV6: bool = true;

    #[inline]
    fn word(key: &Key6, dimension: Dimension) -> u32 {
        let [.., last] = key.words;
        *key.words.get((dimension & MOST) as usize).unwrap_or(&last)
    }

    #[inline]
    fn holds(&self, key: &Key6) -> bool {
        let [_, _, _, _, _, _, _, _, rest @ .., _, _, _, _] = key.words;
        Self::is_in(&self.src, key.src)
            && Self::is_in(&self.dst, key.dst)
            && self.rest.holds(rest, false)
    }

    #[inline]
    fn holds_fragment(&self, key: &Key6) -> bool {
        let [_, _, _, _, _, _, _, _, rest @ .., _, _, _, _] = key.words;
        Self::is_in(&self.src, key.src)
            && Self::is_in(&self.dst, key.dst)
            && self.rest.holds(rest, true)
    }

    #[inline]
    fn rest(&self) -> &Rest {
        &self.rest
    }

    fn address_side(&self, dimension: Dimension) -> Side {
        let (sides, number) = if dimension < 4 {
            (self.src, dimension)
        } else {
            (self.dst, dimension.wrapping_sub(4))
        };
        let mut differed = false;
        for (at, (low, high)) in (0..4).zip(Self::words(sides)) {
            if differed {
                break;
            }
            if at == number {
                return (low, high);
            }
            differed = low != high;
        }
        (0, u32::MAX)
    }

    fn is_rectangular(&self) -> bool {
        Self::is_product(self.src) && Self::is_product(self.dst)
    }

    #[allow(clippy::cast_possible_truncation)] // Halves are cut out of an address.
    fn new(src: (u128, u128), dst: (u128, u128), rest: Rest) -> Self {
        let sides = |(low, high): (u128, u128)| {
            let span = high.wrapping_sub(low);
            [
                (low >> 64) as u64,
                low as u64,
                (span >> 64) as u64,
                span as u64,
            ]
        };
        Self {
            src: sides(src),
            dst: sides(dst),
            rest,
            reserved: 0,
        }
    }

    fn all() -> (u128, u128) {
        (0, u128::MAX)
    }

    fn set_len(tables: &Tables<'_>, condition: &Condition) -> usize {
        set6(tables, condition).len()
    }

    fn range(tables: &Tables<'_>, condition: &Condition, number: usize) -> Option<(u128, u128)> {
        let range = set6(tables, condition).get(number)?;
        Some((whole(range.low), whole(range.high)))
    }
}

/// The kinds of conditions that boxes are made of.
pub(super) const fn is_a_side(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Source
            | Kind::Destination
            | Kind::SourcePort
            | Kind::DestinationPort
            | Kind::Protocol
            | Kind::Namespace
    )
}
