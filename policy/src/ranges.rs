// SPDX-License-Identifier: GPL-2.0

//! Sets as the classifier wants them: sorted ranges that neither overlap nor touch.

use crate::ast::{AddressRange, PortRange};
use nftrace_core::policy::layout::{Range128, Range32};
use std::net::{IpAddr, Ipv6Addr};

/// Addresses of both families.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// IPv4.
    pub v4: Vec<Range32>,
    /// IPv6.
    pub v6: Vec<Range128>,
}

impl Addresses {
    /// Adds a range; [`Addresses::sort`] is to follow.
    pub(crate) fn push(&mut self, range: AddressRange) {
        match (range.first(), range.last()) {
            (IpAddr::V4(first), IpAddr::V4(last)) => self.v4.push(Range32 {
                low: first.to_bits(),
                high: last.to_bits(),
            }),
            (IpAddr::V6(first), IpAddr::V6(last)) => self.v6.push(Range128 {
                low: halves(first),
                high: halves(last),
            }),
            _ => {}
        }
    }

    pub(crate) fn extend(&mut self, other: &Self) {
        self.v4.extend(&other.v4);
        self.v6.extend(&other.v6);
    }

    /// Makes one range of those that overlap or touch.
    pub(crate) fn sort(&mut self) {
        sort32(&mut self.v4);
        sort128(&mut self.v6);
    }
}

/// A range of 32-bit numbers.
pub(crate) fn range32(low: impl Into<u32>, high: impl Into<u32>) -> Range32 {
    Range32 {
        low: low.into(),
        high: high.into(),
    }
}

pub(crate) fn of_ports(range: PortRange) -> Range32 {
    range32(range.first(), range.last())
}

pub(crate) fn sort32(ranges: &mut Vec<Range32>) {
    ranges.sort_unstable_by_key(|range| (range.low, range.high));
    ranges.dedup_by(|next, range| {
        let joins = range.high.checked_add(1).is_none_or(|end| next.low <= end);
        if joins {
            range.high = range.high.max(next.high);
        }
        joins
    });
}

fn sort128(ranges: &mut Vec<Range128>) {
    ranges.sort_unstable_by_key(|range| (range.low, range.high));
    ranges.dedup_by(|next, range| {
        let end = whole(range.high).checked_add(1);
        let joins = end.is_none_or(|end| whole(next.low) <= end);
        if joins {
            range.high = range.high.max(next.high);
        }
        joins
    });
}

fn whole([upper, lower]: [u64; 2]) -> u128 {
    (u128::from(upper) << 64) | u128::from(lower)
}

fn halves(address: Ipv6Addr) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = address.octets();
    [
        u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        u64::from_be_bytes(rest),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sorted_ranges_hold_the_same_numbers_and_lie_apart(
            ends in proptest::collection::vec((0_u32..60, 0_u32..6, any::<bool>()), 0..12),
        ) {
            let ranges: Vec<Range32> = ends
                .iter()
                .map(|&(low, more, top)| {
                    let base = if top { u32::MAX - 65 } else { 0 };
                    range32(base + low, base + low + more)
                })
                .collect();
            let mut sorted = ranges.clone();
            sort32(&mut sorted);
            for value in (0..70).chain(u32::MAX - 70..=u32::MAX) {
                let holds = |ranges: &[Range32]| ranges.iter().any(|range| range.holds(value));
                prop_assert_eq!(holds(&ranges), holds(&sorted));
            }
            for two in sorted.windows(2) {
                prop_assert!(two[0].high + 1 < two[1].low);
            }

            let up = |value: u32| [u64::from(value) >> 5, u64::from(value) << 59 >> 59];
            let wide = |range: &Range32| Range128 { low: up(range.low), high: up(range.high) };
            let mut wide: Vec<Range128> = ranges.iter().map(wide).collect();
            sort128(&mut wide);
            for two in wide.windows(2) {
                prop_assert!(whole(two[0].high) + 1 < whole(two[1].low));
            }
        }
    }
}
