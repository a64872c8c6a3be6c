// SPDX-License-Identifier: GPL-2.0

//! The parts of a blob.

use zerocopy::FromBytes as _;
use zerocopy::{Immutable, KnownLayout};

use super::dynamic::Dynamic;
use super::forest::{Box4, Box6, Forest, Tree};
use super::layout::{
    Cgroup, Condition, Header, Pattern, Pool, Range128, Range32, Rule, Span, MAGIC, POOLS,
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
    /// The cookies of the namespaces that rules name, in order.
    pub namespaces: &'a [u64],
    /// The boxes of IPv4 rules.
    pub boxes4: &'a [Box4],
    /// The boxes of IPv6 rules.
    pub boxes6: &'a [Box6],
    /// The forests.
    pub forests: &'a [Forest],
    /// The trees of all forests.
    pub trees: &'a [Tree],
    /// The nodes of all trees.
    pub nodes: &'a [u64],
    /// The entries of all leaves.
    pub entries: &'a [u32],
    /// The sets that change while the policy is in force.
    pub dynamics: &'a [Dynamic],
    /// The homes of all forests.
    pub homes: &'a [u8],
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
            namespaces: take(rest, header.namespaces)?,
            nodes: take(rest, header.nodes)?,
            boxes6: take(rest, header.boxes6)?,
            conditions: take(rest, header.conditions)?,
            spans: [
                take(rest, s32)?,
                take(rest, s128)?,
                take(rest, swords)?,
                take(rest, scgroups)?,
                take(rest, spatterns)?,
            ],
            ranges32: take(rest, n32)?,
            boxes4: take(rest, header.boxes4)?,
            forests: take(rest, header.forests)?,
            trees: take(rest, header.trees)?,
            entries: take(rest, header.entries)?,
            dynamics: take(rest, header.dynamics)?,
            homes: take(rest, header.homes)?,
            text: take(rest, header.text)?,
        })
    }

    /// The conditions of a rule.
    #[inline]
    pub fn conditions_of(&self, rule: &Rule) -> &'a [Condition] {
        let first = rule.first_condition as usize;
        let end = first.wrapping_add(usize::from(rule.conditions));
        self.conditions.get(first..end).unwrap_or_default()
    }

    /// The forest of a root; none where no rule can match.
    #[inline]
    pub fn forest(&self, is_ipv6: bool, root: usize) -> Option<&'a Forest> {
        let number = *self.header.roots.get(usize::from(is_ipv6))?.get(root)?;
        self.forests.get(number.checked_sub(1)? as usize)
    }

    /// The number of a namespace, from 1; 0 where no rule names it.
    #[inline]
    pub fn namespace(&self, cookie: u64) -> u16 {
        let at = partition(self.namespaces, |known| *known < cookie);
        match self.namespaces.get(at) {
            Some(known) if *known == cookie => u16::try_from(at).unwrap_or(0).wrapping_add(1),
            _ => 0,
        }
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

const _: () = assert!(size_of::<Header>() % 8 == 0 && size_of::<Rule>() % 8 == 0);
const _: () = assert!(size_of::<Box6>() % 8 == 0 && size_of::<Box4>() == 36);

/// How many elements of a sorted set come before the first that `is_before` does not hold for.
#[inline]
pub(super) fn partition<T>(set: &[T], is_before: impl Fn(&T) -> bool) -> usize {
    let (mut low, mut high) = (0_usize, set.len());
    while low < high {
        let middle = low.wrapping_add(high.wrapping_sub(low) >> 1);
        if set.get(middle).is_some_and(&is_before) {
            low = middle.wrapping_add(1);
        } else {
            high = middle;
        }
    }
    low
}
