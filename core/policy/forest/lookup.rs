// SPDX-License-Identifier: GPL-2.0

//! The first rule that matches a packet.

use super::layout::{Forest, Node, Tree, EXACT, MAX_DEPTH, MAX_TREES};
use super::shape::Shape;
use crate::policy::decision::Outcome;
use crate::policy::tables::Tables;

/// A rule by its number, and what came of it.
pub(in crate::policy) type Found = Option<(u32, Outcome)>;

/// A packet in a forest.
pub(in crate::policy) struct Lookup<'a, S: Shape> {
    pub(in crate::policy) tables: &'a Tables<'a>,
    pub(in crate::policy) boxes: &'a [S],
    pub(in crate::policy) key: &'a S::Key,
    /// A later fragment: ports are not known.
    pub(in crate::policy) is_fragment: bool,
}

impl<'a, S: Shape> Lookup<'a, S> {
    fn trees(&self, forest: &Forest) -> &'a [Tree] {
        let first = forest.first_tree as usize;
        let end = first.wrapping_add(forest.trees as usize);
        self.tables.trees.get(first..end).unwrap_or_default()
    }

    /// The boxes that the packet may be in, in order.
    #[inline(always)]
    fn leaf(&self, tree: &Tree) -> &'a [u32] {
        let mut at = tree.first_node;
        for _ in 0..MAX_DEPTH {
            let Some(node) = self.tables.nodes.get(at as usize) else {
                break;
            };
            match Node::read(*node) {
                Node::Leaf { first, count } => {
                    let first = first as usize;
                    let end = first.wrapping_add(count as usize);
                    return self.tables.entries.get(first..end).unwrap_or_default();
                }
                Node::Cut {
                    base,
                    dimension,
                    shift,
                    bits,
                } => {
                    let mask = 1_u32.wrapping_shl(bits).wrapping_sub(1);
                    let child = S::word(self.key, dimension).wrapping_shr(shift) & mask;
                    at = base.wrapping_add(child);
                }
                Node::Split {
                    base,
                    dimension,
                    limit,
                } => {
                    let is_above = S::word(self.key, dimension) > limit;
                    at = base.wrapping_add(u32::from(is_above));
                }
            }
        }
        &[]
    }

    #[inline(always)]
    fn is_in(&self, candidate: &S) -> bool {
        if self.is_fragment {
            candidate.holds_fragment(self.key)
        } else {
            candidate.holds(self.key)
        }
    }

    /// What comes of the rule of a box that the packet is in.
    #[inline(always)]
    fn outcome(&self, candidate: &S, outcome: impl Fn(u32) -> Outcome) -> Outcome {
        let rest = candidate.rest();
        if !self.is_fragment && rest.flags & EXACT != 0 {
            return Outcome::Matched;
        }
        outcome(rest.rule)
    }

    /// The first rule that matches, or cannot be told not to, of those that do nothing
    /// else than decide.
    #[inline(always)]
    pub(in crate::policy) fn first(
        &self,
        forest: &Forest,
        outcome: impl Fn(u32) -> Outcome,
    ) -> Found {
        let (mut best, mut found) = (u32::MAX, None);
        for tree in self.trees(forest) {
            if tree.least >= best {
                break;
            }
            for entry in self.leaf(tree) {
                if *entry >= best {
                    break;
                }
                let Some(candidate) = self.boxes.get(*entry as usize) else {
                    continue;
                };
                if !self.is_in(candidate) {
                    continue;
                }
                let outcome = self.outcome(candidate, &outcome);
                if matches!(outcome, Outcome::Matched | Outcome::Unknown(_)) {
                    best = *entry;
                    found = Some((candidate.rest().rule, outcome));
                    break;
                }
            }
        }
        found
    }

    /// Hands each rule that matches, or cannot be told not to, to `decides`, in order, until
    /// it says so.
    #[inline(never)]
    pub(in crate::policy) fn each(
        &self,
        forest: &Forest,
        outcome: impl Fn(u32) -> Outcome,
        mut decides: impl FnMut(u32, Outcome) -> bool,
    ) -> Found {
        let mut leaves: [&[u32]; MAX_TREES] = [&[]; MAX_TREES];
        for (leaf, tree) in leaves.iter_mut().zip(self.trees(forest)) {
            *leaf = self.leaf(tree);
        }
        let mut asked = None;
        loop {
            let next = leaves.iter_mut().filter(|leaf| !leaf.is_empty());
            let leaf = next.min_by_key(|leaf| leaf.first().copied())?;
            let (entry, rest) = leaf.split_first()?;
            *leaf = rest;
            let Some(candidate) = self.boxes.get(*entry as usize) else {
                continue;
            };
            let rule = candidate.rest().rule;
            // Of a rule that has several boxes here, one is enough.
            if asked == Some(rule) || !self.is_in(candidate) {
                continue;
            }
            asked = Some(rule);
            let outcome = self.outcome(candidate, &outcome);
            if matches!(outcome, Outcome::Matched | Outcome::Unknown(_)) && decides(rule, outcome) {
                return Some((rule, outcome));
            }
        }
    }
}
