// SPDX-License-Identifier: GPL-2.0

//! One tree while it grows.

use super::choose::{leaf_cost, Question, Scratch};
use super::grow::Grower;
use super::Grown;
use nftrace_core::policy::forest::{Node, Region, Shape, MAX_DEPTH};
use std::collections::VecDeque;

/// So many boxes are a leaf, however they could be cut.
const LEAF: usize = 8;

/// Copies that a tree may make of its boxes, on average.
const MEMORY: usize = 8;

/// A node that is not grown yet.
struct Bud {
    /// The number of the node.
    at: usize,
    /// Positions in the grower's boxes.
    ids: Vec<u32>,
    /// What comes behind them: a box that decides all of the node. What would come
    /// behind that is left out, so that no leaf below may lack it.
    cover: Option<u32>,
    region: Region,
    depth: usize,
}

pub(super) struct Growth<'g, 'a, 't, S> {
    grower: &'g Grower<'a, S>,
    /// Leaves that list each box.
    copies: Vec<u32>,
    is_spilled: Vec<bool>,
    spilled: usize,
    /// Copies that may still be made.
    left: usize,
    cap: u32,
    is_last: bool,
    /// A leaf has the place of its boxes in `listed` until all is known.
    nodes: Vec<Node>,
    /// The boxes of the leaves, in no order of the leaves.
    listed: Vec<u32>,
    buds: VecDeque<Bud>,
    scratch: &'g mut Scratch<'t>,
    lists: Lists,
    /// How often a box was looked at.
    visits: usize,
}

/// The boxes of the children of a node: kept from node to node, for its memory.
#[derive(Default)]
struct Lists {
    /// A box that stays in the tree, and the first and the last child that it is in.
    spans: Vec<(u32, u32, u32)>,
    /// Where the boxes of each child end.
    ends: Vec<usize>,
    ids: Vec<u32>,
}

impl Lists {
    /// Sorts what is in `spans` by child.
    fn sort(&mut self, children: usize) {
        self.ends.clear();
        self.ends.resize(children + 1, 0);
        for (_, first, last) in &self.spans {
            for child in *first..=*last {
                self.ends[child as usize + 1] += 1;
            }
        }
        let mut sum = 0;
        for end in &mut self.ends {
            sum += *end;
            *end = sum;
        }
        self.ids.clear();
        self.ids.resize(sum, 0);
        for (id, first, last) in &self.spans {
            for child in *first..=*last {
                let at = &mut self.ends[child as usize];
                self.ids[*at] = *id;
                *at += 1;
            }
        }
        // Each has moved to where the next one begins.
    }

    fn of(&self, child: usize) -> &[u32] {
        let start = child.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.ids[start..self.ends[child]]
    }
}

impl<'g, 'a, 't, S: Shape> Growth<'g, 'a, 't, S> {
    /// A tree of some boxes, some of which are left to the next one already.
    pub(super) fn new(
        grower: &'g Grower<'a, S>,
        scratch: &'g mut Scratch<'t>,
        ids: &[u32],
        is_spilled: Vec<bool>,
        cap: u32,
        is_last: bool,
    ) -> Self {
        let root = Bud {
            at: 0,
            ids: ids.to_vec(),
            cover: None,
            region: S::space(),
            depth: 1,
        };
        Self {
            grower,
            copies: vec![0; is_spilled.len()],
            spilled: is_spilled.iter().filter(|is| **is).count(),
            is_spilled,
            left: ids.len() * MEMORY + 64,
            cap,
            is_last,
            nodes: vec![Node::Leaf { first: 0, count: 0 }],
            listed: Vec::new(),
            buds: [root].into(),
            scratch,
            lists: Lists::default(),
            visits: ids.len(),
        }
    }

    /// The tree, which boxes are left to the next one, and how often one was looked at.
    pub(super) fn grow(mut self) -> (Grown, Vec<bool>, usize) {
        // Level by level: the children are always put at the end.
        while let Some(mut bud) = self.buds.pop_front() {
            bud.ids.retain(|id| !self.is_spilled[*id as usize]);
            if !self.cut(&bud) {
                self.leaf(bud.at, &bud.ids, bud.cover);
            }
        }
        (self.grown(), self.is_spilled, self.visits)
    }

    /// Leaves one behind the other, without what was spilled after it had come to one.
    fn grown(&mut self) -> Grown {
        let mut entries = Vec::with_capacity(self.listed.len());
        for node in &mut self.nodes {
            if let Node::Leaf { first, count } = node {
                let listed = &self.listed[*first as usize..][..*count as usize];
                let start = number(entries.len());
                // A box that decides everything is there also where it is in another tree.
                let (cover, ids) = listed.split_last().unwrap_or((&NOTHING, &[]));
                let stays = |id: &&u32| !self.is_spilled[**id as usize];
                let cover = (*cover != NOTHING).then_some(cover);
                let ids = ids.iter().filter(stays).chain(cover);
                entries.extend(ids.map(|id| self.grower.id(*id)));
                (*first, *count) = (start, number(entries.len()) - start);
            }
        }
        Grown {
            nodes: std::mem::take(&mut self.nodes),
            entries,
        }
    }

    fn leaf(&mut self, at: usize, ids: &[u32], cover: Option<u32>) {
        if ids.is_empty() && cover.is_none() {
            return;
        }
        let first = number(self.listed.len());
        self.listed.extend_from_slice(ids);
        self.listed.push(cover.unwrap_or(NOTHING));
        self.nodes[at] = Node::Leaf {
            first,
            count: number(self.listed.len()) - first,
        };
    }

    /// Cuts a node, unless it is to be a leaf.
    fn cut(&mut self, bud: &Bud) -> bool {
        // Where memory ends, the boxes that are left make a long leaf.
        if bud.ids.len() <= LEAF || bud.depth >= MAX_DEPTH || (self.is_last && self.left == 0) {
            return false;
        }
        let grower = self.grower;
        let question = Question {
            columns: grower.columns(),
            ids: &bud.ids,
            region: &bud.region,
            cap: if self.is_last { u32::MAX } else { self.cap },
            spilled: self.spilled,
            max_bits: if bud.depth == 1 { 14 } else { 8 },
        };
        match question.best(self.scratch) {
            Some(choice) if choice.cost < leaf_cost(bud.ids.len()) => self.divide(choice.node, bud),
            _ => false,
        }
    }

    /// Puts the boxes of a node into its children. False where all of them have none.
    fn divide(&mut self, node: Node, bud: &Bud) -> bool {
        let (dimension, children) = match node {
            Node::Cut {
                dimension, bits, ..
            } => (dimension, 1_usize << bits),
            Node::Split { dimension, .. } => (dimension, 2),
            Node::Leaf { .. } => return false,
        };
        let (low, high) = bud.region[dimension as usize];
        let grower = self.grower;
        let column = &grower.columns()[dimension as usize];
        let mut spilled_here = false;
        self.lists.spans.clear();
        for id in &bud.ids {
            let side = column[*id as usize];
            let (first, last) = (
                child_of(node, side.0.max(low)),
                child_of(node, side.1.min(high)),
            );
            if first < last && !self.may_copy(*id, last - first) {
                spilled_here |= !self.is_spilled[*id as usize];
                self.spill(*id);
            } else {
                self.lists.spans.push((*id, first, last));
            }
        }
        if self.lists.spans.is_empty() && !spilled_here {
            return false;
        }
        let base = self.nodes.len();
        self.nodes[bud.at] = at_base(node, number(base));
        self.nodes
            .resize(base + children, Node::Leaf { first: 0, count: 0 });
        let mut lists = std::mem::take(&mut self.lists);
        lists.sort(children);
        self.visits += lists.ids.len();
        for child in 0..children {
            let ids = lists.of(child);
            let mut region = bud.region;
            region[dimension as usize] = side_of(node, number(child), (low, high));
            let (ids, cover) = self.pruned(ids, bud.cover, &region);
            if ids.len() <= LEAF {
                self.leaf(base + child, ids, cover);
            } else {
                self.buds.push_back(Bud {
                    at: base + child,
                    ids: ids.to_vec(),
                    cover,
                    region,
                    depth: bud.depth + 1,
                });
            }
        }
        self.lists = lists;
        true
    }

    /// Without all that comes behind the first box that decides everything here.
    fn pruned<'l>(
        &self,
        ids: &'l [u32],
        cover: Option<u32>,
        region: &Region,
    ) -> (&'l [u32], Option<u32>) {
        // Behind the last one there is nothing to leave out.
        let last = ids.len().saturating_sub(1);
        let is_cover = |id: &u32| self.grower.decides(*id, region);
        match ids[..last].iter().position(is_cover) {
            Some(at) => (&ids[..at], Some(ids[at])),
            None => (ids, cover),
        }
    }

    /// Whether a box may be in so many more children; it is, then.
    fn may_copy(&mut self, id: u32, more: u32) -> bool {
        let copies = &mut self.copies[id as usize];
        if !self.is_last && (*copies + more >= self.cap || self.left < more as usize) {
            return false;
        }
        self.left = self.left.saturating_sub(more as usize);
        *copies = copies.saturating_add(more);
        true
    }

    fn spill(&mut self, id: u32) {
        let is_spilled = &mut self.is_spilled[id as usize];
        self.spilled += usize::from(!*is_spilled);
        *is_spilled = true;
    }
}

/// No box.
const NOTHING: u32 = u32::MAX;

/// What is there to grow has fewer; more is refused when it is written.
fn number(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// In which child of a node a number is.
pub(super) fn child_of(node: Node, value: u32) -> u32 {
    match node {
        Node::Cut { shift, bits, .. } => (value >> shift) & ((1 << bits) - 1),
        Node::Split { limit, .. } => u32::from(value > limit),
        Node::Leaf { .. } => 0,
    }
}

/// The side of a child.
pub(super) fn side_of(node: Node, child: u32, (low, high): (u32, u32)) -> (u32, u32) {
    match node {
        Node::Cut { shift, bits, .. } => {
            let above = u64::from(low) >> (shift + bits) << (shift + bits);
            let start = above + (u64::from(child) << shift);
            let end = start + (1 << shift) - 1;
            let clip = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
            (clip(start).max(low), clip(end).min(high))
        }
        Node::Split { limit, .. } if child == 0 => (low, high.min(limit)),
        Node::Split { limit, .. } => (low.max(limit.saturating_add(1)), high),
        Node::Leaf { .. } => (low, high),
    }
}

/// The node with its children from there on.
pub(super) fn at_base(node: Node, base: u32) -> Node {
    match node {
        Node::Cut {
            dimension,
            shift,
            bits,
            ..
        } => Node::Cut {
            base,
            dimension,
            shift,
            bits,
        },
        Node::Split {
            dimension, limit, ..
        } => Node::Split {
            base,
            dimension,
            limit,
        },
        leaf @ Node::Leaf { .. } => leaf,
    }
}
