// SPDX-License-Identifier: GPL-2.0

//! Sets as the classifier wants them: sorted ranges that neither overlap nor touch.

use crate::ast::{AddressRange, PortRange};
use nftrace_core::policy::dynamic::Elements;
use nftrace_core::policy::layout::{Range128, Range32};
use nftrace_core::policy::ranges::{self, halves, Range};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
        sort(&mut self.v4);
        sort(&mut self.v6);
    }

    /// Makes one range of those that overlap: what touches stays apart.
    pub(crate) fn sort_apart(&mut self) {
        join(&mut self.v4, |end, low| low <= end);
        join(&mut self.v6, |end, low| low <= end);
    }

    /// They, as the classifier takes them.
    #[must_use]
    pub fn elements(&self) -> Elements<'_> {
        Elements {
            v4: &self.v4,
            v6: &self.v6,
        }
    }

    /// These and those.
    #[must_use]
    pub fn with(&self, more: &Self) -> Self {
        Self {
            v4: collect(|put| ranges::union(&self.v4, &more.v4, put)),
            v6: collect(|put| ranges::union(&self.v6, &more.v6, put)),
        }
    }

    /// These without those.
    #[must_use]
    pub fn without(&self, less: &Self) -> Self {
        Self {
            v4: collect(|put| ranges::difference(&self.v4, &less.v4, put)),
            v6: collect(|put| ranges::difference(&self.v6, &less.v6, put)),
        }
    }

    /// Each range in order, IPv4 first, as it is written.
    pub fn ranges(&self) -> impl Iterator<Item = AddressRange> + '_ {
        let v4 = self.v4.iter().map(|range| {
            let [low, high] = [range.low, range.high].map(|end| Ipv4Addr::from_bits(end).into());
            AddressRange::new(low, high)
        });
        let v6 = self.v6.iter().map(|range| {
            let address = |[upper, lower]: [u64; 2]| {
                Ipv6Addr::from_bits((u128::from(upper) << 64) | u128::from(lower)).into()
            };
            AddressRange::new(address(range.low), address(range.high))
        });
        // A set that has been read has no range that is none.
        v4.chain(v6).filter_map(Result::ok)
    }
}

/// What a function puts, in one.
fn collect<R: Clone>(
    work: impl FnOnce(&mut dyn FnMut(&[R]) -> Result<(), Infallible>) -> Result<(), Infallible>,
) -> Vec<R> {
    let mut all = Vec::new();
    let Ok(()) = work(&mut |some| {
        all.extend_from_slice(some);
        Ok(())
    });
    all
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

/// Makes one range of those that overlap or touch.
pub(crate) fn sort<R: Range>(ranges: &mut Vec<R>) {
    join(ranges, |end, low| {
        R::above(end).is_none_or(|above| low <= above)
    });
}

/// Makes one range of those that `joins` says it of: the end of one, and where the next begins.
fn join<R: Range>(ranges: &mut Vec<R>, joins: impl Fn(R::Value, R::Value) -> bool) {
    ranges.sort_unstable_by_key(|range| (range.low(), range.high()));
    ranges.dedup_by(|next, range| {
        let is_one = joins(range.high(), next.low());
        if is_one {
            *range = R::new(range.low(), range.high().max(next.high()));
        }
        is_one
    });
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
            sort(&mut sorted);
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
            sort(&mut wide);
            for two in wide.windows(2) {
                prop_assert!(Range128::above(two[0].high) < Some(two[1].low));
            }
        }
    }
}
