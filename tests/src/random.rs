// SPDX-License-Identifier: GPL-2.0

//! Numbers that look random and are the same whenever the seed is.

/// Where numbers come from.
pub trait Source {
    /// The next one.
    fn next(&mut self) -> u64;
}

/// All that follows from a seed.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl Source for SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Choices by the numbers of a source.
#[derive(Clone, Debug)]
pub struct Random<S = SplitMix64>(S);

impl Random {
    /// The numbers of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(SplitMix64(seed))
    }
}

impl<S: Source> Random<S> {
    /// The numbers of another source.
    pub fn of(source: S) -> Self {
        Self(source)
    }

    /// That source.
    pub fn source(&mut self) -> &mut S {
        &mut self.0
    }

    /// The next one.
    pub fn number(&mut self) -> u64 {
        self.0.next()
    }

    /// One below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX);
        usize::try_from(self.number() % end).unwrap_or_default()
    }

    /// Yes in one of so many cases.
    pub fn one_in(&mut self, cases: usize) -> bool {
        self.below(cases) == 0
    }

    /// One of them, of which there is at least one.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}
