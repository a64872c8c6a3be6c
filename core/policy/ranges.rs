// SPDX-License-Identifier: GPL-2.0

//! Sets as ranges in order that do not overlap: what is in one, and two of them together.

use ::core::net::Ipv6Addr;
use ::core::slice::from_ref;

use super::layout::{Range128, Range32};
use super::tables::partition;

/// All values from a least to a greatest one.
pub trait Range: Copy {
    /// A value.
    type Value: Copy + Ord;

    /// From `low` to `high`.
    fn new(low: Self::Value, high: Self::Value) -> Self;
    /// The least.
    fn low(&self) -> Self::Value;
    /// The greatest.
    fn high(&self) -> Self::Value;
    /// The value above one; none above the greatest that there is.
    fn above(value: Self::Value) -> Option<Self::Value>;
    /// The value below one; none below the least that there is.
    fn below(value: Self::Value) -> Option<Self::Value>;
}

impl Range for Range32 {
    type Value = u32;

    #[inline]
    fn new(low: u32, high: u32) -> Self {
        Self { low, high }
    }

    #[inline]
    fn low(&self) -> u32 {
        self.low
    }

    #[inline]
    fn high(&self) -> u32 {
        self.high
    }

    #[inline]
    fn above(value: u32) -> Option<u32> {
        value.checked_add(1)
    }

    #[inline]
    fn below(value: u32) -> Option<u32> {
        value.checked_sub(1)
    }
}

impl Range for Range128 {
    type Value = [u64; 2];

    #[inline]
    fn new(low: [u64; 2], high: [u64; 2]) -> Self {
        Self { low, high }
    }

    #[inline]
    fn low(&self) -> [u64; 2] {
        self.low
    }

    #[inline]
    fn high(&self) -> [u64; 2] {
        self.high
    }

    #[inline]
    fn above([upper, lower]: [u64; 2]) -> Option<[u64; 2]> {
        match lower.checked_add(1) {
            Some(lower) => Some([upper, lower]),
            None => Some([upper.checked_add(1)?, 0]),
        }
    }

    #[inline]
    fn below([upper, lower]: [u64; 2]) -> Option<[u64; 2]> {
        match lower.checked_sub(1) {
            Some(lower) => Some([upper, lower]),
            None => Some([upper.checked_sub(1)?, u64::MAX]),
        }
    }
}

/// The two halves of an IPv6 address, the upper one first.
#[inline]
pub fn halves(address: Ipv6Addr) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = address.octets();
    [
        u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        u64::from_be_bytes(rest),
    ]
}

/// Whether a set has a value.
#[inline]
pub fn holds<R: Range>(set: &[R], value: R::Value) -> bool {
    let at = partition(set, |range| range.high() < value);
    set.get(at).is_some_and(|range| range.low() <= value)
}

/// The first range that is reversed, or does not lie behind the one before it.
pub fn first_out_of_order<R: Range>(set: &[R]) -> Option<usize> {
    let mut before: Option<R::Value> = None;
    set.iter().position(|range| {
        let is_good =
            range.low() <= range.high() && before.is_none_or(|before| before < range.low());
        before = Some(range.high());
        !is_good
    })
}

/// How many of these ranges are not in the set as a whole.
pub fn not_in<R: Range>(set: &[R], ranges: &[R]) -> usize {
    let is_in = |range: &R| {
        let at = partition(set, |one| one.high() < range.high());
        set.get(at).is_some_and(|one| one.low() <= range.low())
    };
    ranges.iter().fold(0_usize, |sum, range| {
        sum.wrapping_add(usize::from(!is_in(range)))
    })
}

/// Of how many of these ranges the set has a part.
pub fn met<R: Range>(set: &[R], ranges: &[R]) -> usize {
    let is_met = |range: &R| {
        let at = partition(set, |one| one.high() < range.low());
        set.get(at).is_some_and(|one| one.low() <= range.high())
    };
    ranges.iter().fold(0_usize, |sum, range| {
        sum.wrapping_add(usize::from(is_met(range)))
    })
}

/// Takes off what comes before a position.
fn take_until<'a, R>(rest: &mut &'a [R], at: usize) -> &'a [R] {
    let taken = rest.get(..at).unwrap_or_default();
    *rest = rest.get(at..).unwrap_or_default();
    taken
}

/// What is in one of two sets, in parts for `put`: in all, not more ranges than both have.
///
/// Ranges that touch become one, but for those that touched in `set` already.
///
/// # Errors
///
/// What `put` says.
pub fn union<R: Range, E>(
    set: &[R],
    more: &[R],
    mut put: impl FnMut(&[R]) -> Result<(), E>,
) -> Result<(), E> {
    let is_apart = |end: R::Value, next: R::Value| R::above(end).is_some_and(|above| above < next);
    let mut rest = set;
    let mut open: Option<R> = None;
    for one in more {
        let (mut low, mut high) = (one.low(), one.high());
        match open {
            Some(range) if is_apart(range.high(), low) => put(from_ref(&range))?,
            Some(range) => {
                low = range.low();
                high = high.max(range.high());
            }
            None => {}
        }
        let before = partition(rest, |range| is_apart(range.high(), low));
        put(take_until(&mut rest, before))?;
        while let Some((first, others)) = rest.split_first() {
            if is_apart(high, first.low()) {
                break;
            }
            low = low.min(first.low());
            high = high.max(first.high());
            rest = others;
        }
        open = Some(R::new(low, high));
    }
    if let Some(range) = open {
        put(from_ref(&range))?;
    }
    put(rest)
}

/// What is in `set` and not in `less`, in parts for `put`: in all, not more ranges than
/// both have.
///
/// # Errors
///
/// What `put` says.
pub fn difference<R: Range, E>(
    set: &[R],
    less: &[R],
    mut put: impl FnMut(&[R]) -> Result<(), E>,
) -> Result<(), E> {
    // Keeps what of a range lies below `one`; returns what lies above it.
    let cut = |range: R, one: &R, put: &mut dyn FnMut(&[R]) -> Result<(), E>| {
        if let Some(end) = R::below(one.low()).filter(|end| range.low() <= *end) {
            put(from_ref(&R::new(range.low(), end)))?;
        }
        let start = R::above(one.high()).filter(|start| *start <= range.high());
        Ok(start.map(|start| R::new(start, range.high())))
    };
    let mut rest = set;
    // What is left of the range before `rest`.
    let mut head: Option<R> = None;
    for one in less {
        if let Some(range) = head.take() {
            if range.high() < one.low() {
                put(from_ref(&range))?;
            } else {
                head = cut(range, one, &mut put)?;
                if head.is_some() {
                    continue;
                }
            }
        }
        let before = partition(rest, |range| range.high() < one.low());
        put(take_until(&mut rest, before))?;
        while let Some((first, others)) = rest.split_first() {
            if head.is_some() || first.low() > one.high() {
                break;
            }
            head = cut(*first, one, &mut put)?;
            rest = others;
        }
    }
    if let Some(range) = head {
        put(from_ref(&range))?;
    }
    put(rest)
}

#[cfg(test)]
mod tests;
