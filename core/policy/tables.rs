// SPDX-License-Identifier: GPL-2.0

//! The parts of a blob.

use zerocopy::FromBytes as _;
use zerocopy::{Immutable, KnownLayout};

use super::condition::Place;
use super::layout::{
    Cgroup, Condition, Header, Pattern, Pool, Range128, Range32, Rule, Span, MAGIC, PLACES, POOLS,
};
use super::verify::{Flaw, Refusal};
use crate::abi::ABI;

/// The parts of a blob, borrowed from its bytes. Nothing has been verified but that
/// they are there.
#[derive(Clone, Copy, Debug)]
pub struct Tables<'a> {
    /// How it begins.
    pub header: &'a Header,
    /// The rules, in order.
    pub rules: &'a [Rule],
    /// The conditions of all rules.
    pub conditions: &'a [Condition],
    /// The sets of each pool.
    pub spans: [&'a [Span]; POOLS],
    /// A pool.
    pub ranges32: &'a [Range32],
    /// A pool.
    pub ranges128: &'a [Range128],
    /// A pool.
    pub words: &'a [u64],
    /// A pool.
    pub cgroups: &'a [Cgroup],
    /// A pool.
    pub patterns: &'a [Pattern],
    /// The numbers of the rules of all places, one place behind the other.
    pub chains: &'a [u32],
    /// The policy as its author can read it.
    pub text: &'a [u8],
}

/// Takes `count` values from the start of `bytes`.
fn take<'a, T>(bytes: &mut &'a [u8], count: u32) -> Option<&'a [T]>
where
    T: zerocopy::FromBytes + Immutable + KnownLayout + 'a,
{
    let size = size_of::<T>().checked_mul(usize::try_from(count).ok()?)?;
    let part = bytes.get(..size)?;
    *bytes = bytes.get(size..)?;
    <[T]>::ref_from_bytes(part).ok()
}

fn sum(counts: &[u32]) -> Option<u32> {
    counts
        .iter()
        .try_fold(0, |sum: u32, count| sum.checked_add(*count))
}

impl<'a> Tables<'a> {
    /// The parts of a blob. Its first byte has to be at an address that 8 divides.
    ///
    /// # Errors
    ///
    /// [`Flaw::NotABlob`], [`Flaw::Abi`], [`Flaw::Size`]: they are not there.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let at = |flaw| Refusal { offset: 0, flaw };
        let (header, mut rest) = Header::ref_from_prefix(bytes).map_err(|_| at(Flaw::NotABlob))?;
        if header.magic != MAGIC {
            return Err(at(Flaw::NotABlob));
        }
        if header.abi != ABI {
            return Err(at(Flaw::Abi));
        }
        Self::parts(header, &mut rest)
            .filter(|_| rest.is_empty())
            .ok_or(at(Flaw::Size))
    }

    fn parts(header: &'a Header, rest: &mut &'a [u8]) -> Option<Self> {
        let [n32, n128, words, cgroups, patterns] = header.elements;
        let [s32, s128, swords, scgroups, spatterns] = header.sets;
        Some(Self {
            header,
            rules: take(rest, header.rules)?,
            ranges128: take(rest, n128)?,
            words: take(rest, words)?,
            cgroups: take(rest, cgroups)?,
            patterns: take(rest, patterns)?,
            conditions: take(rest, header.conditions)?,
            spans: [
                take(rest, s32)?,
                take(rest, s128)?,
                take(rest, swords)?,
                take(rest, scgroups)?,
                take(rest, spatterns)?,
            ],
            ranges32: take(rest, n32)?,
            chains: take(rest, sum(&header.chains)?)?,
            text: take(rest, header.text)?,
        })
    }

    /// The numbers of the rules that are asked at a place, in order.
    #[inline]
    pub fn chain(&self, place: Place) -> &'a [u32] {
        let mut first = 0_usize;
        for (number, count) in self.header.chains.iter().enumerate() {
            let count = *count as usize;
            if number == place.number() {
                let end = first.wrapping_add(count);
                return self.chains.get(first..end).unwrap_or_default();
            }
            first = first.wrapping_add(count);
        }
        &[]
    }

    /// The text of a rule.
    pub fn rule_text(&self, rule: &Rule) -> &'a [u8] {
        let first = rule.text as usize;
        first
            .checked_add(rule.text_len as usize)
            .and_then(|end| self.text.get(first..end))
            .unwrap_or_default()
    }

    /// A set of a pool.
    #[inline]
    pub(super) fn set<T>(&self, pool: Pool, elements: &'a [T], number: u32) -> &'a [T] {
        let span = self
            .spans
            .get(pool as usize)
            .and_then(|spans| spans.get(number as usize));
        span.and_then(|span| {
            let first = span.first as usize;
            elements.get(first..first.checked_add(span.count as usize)?)
        })
        .unwrap_or_default()
    }
}

const _: () = assert!(PLACES == 10 && size_of::<Header>() % 8 == 0 && size_of::<Rule>() % 8 == 0);
