// SPDX-License-Identifier: GPL-2.0

//! What a number is among: addresses, ports, users, all as numbers.

/// Ranges that neither overlap nor touch, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<(u128, u128)>);

impl Ranges {
    pub(super) fn of(ranges: impl IntoIterator<Item = (u128, u128)>) -> Self {
        let mut sorted: Vec<_> = ranges.into_iter().collect();
        sorted.sort_unstable();
        let mut merged: Vec<(u128, u128)> = Vec::with_capacity(sorted.len());
        for (low, high) in sorted {
            match merged.last_mut() {
                Some(last) if low <= last.1.saturating_add(1) => last.1 = last.1.max(high),
                _ => merged.push((low, high)),
            }
        }
        Self(merged)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u128, u128)> + '_ {
        self.0.iter().copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all of these are in the other.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        self.minus(other).is_empty()
    }

    fn and(&self, other: &Self) -> Self {
        let (mut left, mut right) = (self.iter().peekable(), other.iter().peekable());
        let mut both = Vec::new();
        while let (Some(&a), Some(&b)) = (left.peek(), right.peek()) {
            let (low, high) = (a.0.max(b.0), a.1.min(b.1));
            if low <= high {
                both.push((low, high));
            }
            if a.1 < b.1 {
                left.next();
            } else {
                right.next();
            }
        }
        Self(both)
    }

    fn or(&self, other: &Self) -> Self {
        Self::of(self.iter().chain(other.iter()))
    }

    fn minus(&self, other: &Self) -> Self {
        self.and(&other.complement())
    }

    fn complement(&self) -> Self {
        let mut gaps = Vec::new();
        let mut next = Some(0);
        for (low, high) in self.iter() {
            if let Some(from) = next.filter(|from| *from < low) {
                gaps.push((from, low - 1));
            }
            next = high.checked_add(1);
        }
        gaps.extend(next.map(|from| (from, u128::MAX)));
        Self(gaps)
    }
}

/// One of these, or none of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Among {
    pub(super) not: bool,
    pub(super) ranges: Ranges,
    /// The named set that they are, if they are one.
    pub(super) set: Option<String>,
}

impl Among {
    pub(super) fn of(not: bool, ranges: Ranges) -> Self {
        Self {
            not,
            ranges,
            set: None,
        }
    }

    pub(super) fn one(value: impl Into<u128>) -> Self {
        let value = value.into();
        Self::of(false, Ranges::of([(value, value)]))
    }

    pub(super) fn negated(mut self, not: bool) -> Self {
        self.not ^= not;
        self
    }

    pub(super) fn is_never(&self) -> bool {
        !self.not && self.ranges.is_empty()
    }

    /// Both at once.
    pub(super) fn and(&self, other: &Self) -> Self {
        if self == other {
            return self.clone();
        }
        let (not, ranges) = match (self.not, other.not) {
            (false, false) => (false, self.ranges.and(&other.ranges)),
            (false, true) => (false, self.ranges.minus(&other.ranges)),
            (true, false) => (false, other.ranges.minus(&self.ranges)),
            (true, true) => (true, self.ranges.or(&other.ranges)),
        };
        let mut both = Self::of(not, ranges);
        both.set = [self, other]
            .into_iter()
            .find(|one| one.not == both.not && one.ranges == both.ranges)
            .and_then(|one| one.set.clone());
        both
    }
}
