// SPDX-License-Identifier: GPL-2.0

//! Whether the trees are trees: each node has one parent, and each entry one leaf.
//!
//! Level by level, the children of the nodes, and the entries of the leaves, have to lie
//! one behind the other without a gap. So one pass over the nodes in their order sees
//! that there is neither a cycle nor a second way to any of them, and how deep they are.

use super::layout::{Forest, Node, Tree, EXACT, MAX_DEPTH, MAX_TREES, SPECIAL};
use super::shape::Shape;
use crate::policy::tables::Tables;
use crate::policy::verify::{refuse, Flaw, Refusal};

/// Where the parts of the next forest have to begin.
#[derive(Default)]
pub(super) struct Expected {
    pub(super) tree: u32,
    pub(super) node: u32,
    pub(super) entry: u32,
    pub(super) home: u32,
}

/// Verifies the structure of a forest; returns how many steps a packet costs at most.
pub(super) fn verify_structure<S: Shape>(
    tables: &Tables<'_>,
    boxes: &[S],
    number: usize,
    forest: &Forest,
    expected: &mut Expected,
) -> Result<u32, Refusal> {
    let is_good = forest.first_tree == expected.tree
        && (1..=MAX_TREES).contains(&(forest.trees as usize))
        && forest.first_home == expected.home
        && forest.is_ipv6 == u8::from(S::IS_IPV6)
        && forest.is_special <= 1
        && forest.reserved == 0;
    let first = forest.first_tree as usize;
    let trees = first
        .checked_add(forest.trees as usize)
        .and_then(|end| tables.trees.get(first..end))
        .filter(|_| is_good);
    let (Some(trees), Some(home)) = (trees, expected.home.checked_add(forest.homes)) else {
        return refuse(number, Flaw::Forest);
    };
    expected.home = home;
    let mut bound = 0_u32;
    let mut leaves = 0_u32;
    let mut least = None;
    for tree in trees {
        if least.is_some_and(|least| tree.least < least) {
            return refuse(expected.tree as usize, Flaw::Tree);
        }
        least = Some(tree.least);
        let cost = Scan::new(tables, boxes, forest, tree, expected)
            .and_then(Scan::run)
            .ok_or(Refusal {
                offset: expected.tree,
                flaw: Flaw::Tree,
            })?;
        bound = bound.saturating_add(cost.0).saturating_add(cost.1);
        leaves = leaves.saturating_add(cost.1);
        expected.node = expected.node.saturating_add(tree.nodes);
        expected.entry = expected.entry.saturating_add(tree.entries);
        expected.tree = expected.tree.saturating_add(1);
    }
    if forest.is_special != 0 {
        // Each entry is looked for among all trees.
        bound = bound.saturating_add(leaves.saturating_mul(forest.trees));
    }
    Ok(bound)
}

/// One pass over a tree.
struct Scan<'a, S> {
    tables: &'a Tables<'a>,
    boxes: &'a [S],
    is_special: bool,
    first: u32,
    nodes: &'a [u64],
    /// The number of the node behind the last one that has a parent.
    next: u32,
    /// The same of entries that have a leaf.
    next_entry: u32,
    end_entry: u32,
    /// The least entry so far.
    least: Option<u32>,
    expected_least: u32,
    /// Entries of the most expensive leaf, and the conditions that they are compared by.
    leaf: u32,
}

impl<'a, S: Shape> Scan<'a, S> {
    fn new(
        tables: &'a Tables<'a>,
        boxes: &'a [S],
        forest: &Forest,
        tree: &Tree,
        expected: &Expected,
    ) -> Option<Self> {
        if tree.first_node != expected.node || tree.first_entry != expected.entry {
            return None;
        }
        let end = tree.first_node.checked_add(tree.nodes)?;
        Some(Self {
            tables,
            boxes,
            is_special: forest.is_special != 0,
            first: tree.first_node,
            nodes: tables
                .nodes
                .get(tree.first_node as usize..end as usize)
                .filter(|_| end <= Node::MOST)?,
            next: tree.first_node.checked_add(1)?,
            next_entry: tree.first_entry,
            end_entry: tree.first_entry.checked_add(tree.entries)?,
            least: None,
            expected_least: tree.least,
            leaf: 0,
        })
    }

    /// Takes the next children.
    fn claim(&mut self, base: u32, count: u32, dimension: u32) -> Option<()> {
        if base != self.next || dimension >= S::DIMENSIONS {
            return None;
        }
        self.next = base.checked_add(count)?;
        Some(())
    }

    fn leaf(&mut self, first: u32, count: u32) -> Option<()> {
        if first != self.next_entry {
            return None;
        }
        self.next_entry = first
            .checked_add(count)
            .filter(|end| *end <= self.end_entry)?;
        let entries = self
            .tables
            .entries
            .get(first as usize..self.next_entry as usize)?;
        let mut before = None;
        let mut cost = 0_u32;
        for entry in entries {
            if before.is_some_and(|before| before >= *entry) {
                return None;
            }
            before = Some(*entry);
            let rest = self.boxes.get(*entry as usize)?.rest();
            if rest.flags & SPECIAL != 0 && !self.is_special {
                return None;
            }
            cost = cost.saturating_add(1);
            if rest.flags & EXACT == 0 {
                let rule = self.tables.rules.get(rest.rule as usize)?;
                cost = cost.saturating_add(rule.conditions.into());
            }
        }
        if let Some(first) = entries.first() {
            self.least = Some(self.least.map_or(*first, |least| least.min(*first)));
        }
        self.leaf = self.leaf.max(cost);
        Some(())
    }

    /// How many nodes there are on the longest way, and what the most expensive leaf costs.
    fn run(mut self) -> Option<(u32, u32)> {
        let mut depth = 1_u32;
        let mut end_of_level = self.next;
        for (at, node) in (self.first..=u32::MAX).zip(self.nodes) {
            if at >= self.next {
                return None;
            }
            if at == end_of_level {
                depth = depth.wrapping_add(1);
                end_of_level = self.next;
                if depth as usize > MAX_DEPTH {
                    return None;
                }
            }
            let read = Node::read(*node);
            // Bits without a meaning are zero.
            if read.write() != *node {
                return None;
            }
            match read {
                Node::Leaf { first, count } => self.leaf(first, count)?,
                Node::Cut {
                    base,
                    dimension,
                    shift,
                    bits,
                } => {
                    if !(1..=16).contains(&bits) || shift.wrapping_add(bits) > 32 {
                        return None;
                    }
                    self.claim(base, 1_u32.wrapping_shl(bits), dimension)?;
                }
                Node::Split {
                    base, dimension, ..
                } => self.claim(base, 2, dimension)?,
            }
        }
        let end = self
            .first
            .checked_add(u32::try_from(self.nodes.len()).ok()?)?;
        let is_good = self.next == end
            && self.next_entry == self.end_entry
            && self.least.unwrap_or(u32::MAX) == self.expected_least;
        is_good.then_some((depth, self.leaf))
    }
}
