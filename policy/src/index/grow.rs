// SPDX-License-Identifier: GPL-2.0

//! Growing the trees of a forest.
//!
//! Boxes that a cut would copy too often are left to the next tree: so those that are
//! small in the same dimensions are together, and memory stays in proportion to the boxes.

use super::choose::{leaf_cost, Question, Temper, TEMPERS};
use super::Grown;
use nftrace_core::policy::forest::{Node, Region, Shape, Side, MAX_DEPTH, MAX_TREES, SPECIAL};

/// So few boxes are found at once, however they are cut.
const SMALL: usize = 16;

/// A forest of more boxes is grown once only: it takes long.
const LARGE: usize = 20_000;

/// How often each box is looked at, on average, where boxes cannot be told apart.
const HARD: usize = 48;

/// Copies that a tree may make of its boxes, on average.
const MEMORY: usize = 8;

/// Fewer boxes are told apart as well as it goes.
const FEW: usize = 64;

/// A box is wide in a dimension where more than one in so many places, where others begin,
/// is in it.
const WIDE: usize = 16;

/// A forest as it was grown.
pub(super) struct Trees {
    pub(super) trees: Vec<Grown>,
    /// Of each box, the number of its tree.
    pub(super) homes: Vec<u8>,
    pub(super) is_special: bool,
    /// How often a box was looked at.
    visits: usize,
}

/// Grows a forest of the boxes `ids`.
pub(super) struct Grower<'a, S> {
    boxes: &'a [S],
    ids: &'a [u32],
    is_fragment: bool,
    /// The sides of the boxes, in the order of `ids`.
    sides: Vec<[Side; 12]>,
}

/// A node that is not grown yet.
struct Bud {
    /// Positions in [`Grower::ids`].
    ids: Vec<u32>,
    /// What comes behind them: a box that decides all of the node. What would come
    /// behind that is left out, so that no leaf below may lack it.
    cover: Option<u32>,
    region: Region,
    depth: usize,
}

impl<'a, S: Shape> Grower<'a, S> {
    pub(super) fn new(boxes: &'a [S], ids: &'a [u32], is_fragment: bool) -> Self {
        let sides_of = |id: &u32| {
            let mut sides = [(0, 0); 12];
            for (number, side) in (0..S::DIMENSIONS).zip(&mut sides) {
                *side = boxes[*id as usize].side(number, is_fragment);
            }
            sides
        };
        Self {
            boxes,
            ids,
            is_fragment,
            sides: ids.iter().map(sides_of).collect(),
        }
    }

    /// Whether a box decides all of a region.
    fn decides(&self, id: u32, region: &Region) -> bool {
        let covers = self.sides[id as usize]
            .iter()
            .zip(region)
            .take(S::DIMENSIONS as usize)
            .all(|(outer, inner)| outer.0 <= inner.0 && inner.1 <= outer.1);
        covers && self.boxes[self.ids[id as usize] as usize].decides(region, self.is_fragment)
    }

    /// Grows it by each temper, and keeps the one whose boxes are found with the fewest
    /// instructions. Of large ones, that are grown long, there are fewer to choose from.
    pub(super) fn grow(&self) -> Trees {
        let first = self.grow_by(&TEMPERS[0]);
        let len = self.ids.len();
        // Where boxes hardly let themselves be told apart, each try takes long and none helps.
        if len <= SMALL || len > LARGE || first.visits > len * HARD {
            return first;
        }
        let grow = |temper: &Temper| {
            let trees = self.grow_by(temper);
            (self.cost(&trees), trees)
        };
        let others: Vec<(f64, Trees)> = std::thread::scope(|scope| {
            let threads: Vec<_> = TEMPERS[1..]
                .iter()
                .map(|temper| scope.spawn(move || grow(temper)))
                .collect();
            threads
                .into_iter()
                .filter_map(|thread| thread.join().ok())
                .collect()
        });
        let all = others.into_iter().chain([(self.cost(&first), first)]);
        let best = all.min_by(|a, b| a.0.total_cmp(&b.0));
        best.map_or_else(|| self.grow_by(&TEMPERS[0]), |(_, trees)| trees)
    }

    /// How many instructions a packet costs, about, and what memory is worth. The packets
    /// are from corners of some boxes.
    #[allow(clippy::cast_precision_loss)]
    fn cost(&self, trees: &Trees) -> f64 {
        const SAMPLES: usize = 1024;
        const STEP: f64 = 13.0;
        const COMPARE: f64 = 10.0;
        const TREE: f64 = 10.0;
        let stride = self.ids.len().div_ceil(SAMPLES).max(1);
        let (mut sum, mut samples) = (0.0, 0_u32);
        for (number, sides) in self.sides.iter().enumerate().step_by(stride) {
            // Any point does, but it should not be the same corner each time.
            let mut mixed = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let point = sides.map(|(low, high)| {
                mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let offset = (mixed >> 32) % (u64::from(high - low) + 1);
                low + u32::try_from(offset).unwrap_or(0)
            });
            let mut best = u32::MAX;
            for tree in &trees.trees {
                if tree.least() >= best {
                    break;
                }
                let (steps, leaf) = tree.leaf(&point);
                sum += TREE + STEP * f64::from(steps);
                for entry in leaf.iter().take_while(|entry| **entry < best) {
                    sum += COMPARE;
                    let at = self.ids.partition_point(|id| id < entry);
                    let holds = self.sides[at]
                        .iter()
                        .zip(&point)
                        .all(|((low, high), value)| low <= value && value <= high);
                    if holds {
                        best = *entry;
                        break;
                    }
                }
            }
            samples += 1;
        }
        let memory: usize = trees.trees.iter().map(Grown::bytes).sum();
        sum / f64::from(samples) + 0.2 * memory as f64 / self.ids.len() as f64
    }

    fn grow_by(&self, temper: &Temper) -> Trees {
        let mut left: Vec<u32> = (0..u32::try_from(self.ids.len()).unwrap_or(u32::MAX)).collect();
        let (mut grown, mut visits) = (Vec::new(), 0);
        while !left.is_empty() {
            let is_last = grown.len() + 1 == MAX_TREES;
            let more = temper
                .growth
                .saturating_pow(u32::try_from(grown.len()).unwrap_or(u32::MAX));
            let cap = temper.cap.saturating_mul(more);
            let (tree, spilled) = self.tree(&left, temper, cap, is_last, &mut visits);
            let kept = difference(&left, &spilled);
            grown.push((tree, kept));
            left = spilled;
        }
        grown.sort_by_key(|(tree, _)| tree.least());
        let mut homes = vec![0; self.ids.len()];
        for (number, (_, kept)) in (0_u8..).zip(&grown) {
            for id in kept {
                homes[*id as usize] = number;
            }
        }
        let flags = |id: &u32| self.boxes[*id as usize].rest().flags;
        Trees {
            trees: grown.into_iter().map(|(tree, _)| tree).collect(),
            homes,
            is_special: self.ids.iter().any(|id| flags(id) & SPECIAL != 0),
            visits,
        }
    }

    /// Which boxes are wide in the dimension that tells most boxes apart. None where no
    /// dimension does.
    fn wide(&self, ids: &[u32]) -> Option<Vec<bool>> {
        if ids.len() < FEW {
            return None;
        }
        let mut best: Option<(f64, Vec<u32>)> = None;
        for dimension in 0..S::DIMENSIONS as usize {
            let side = |id: &u32| self.sides[*id as usize][dimension];
            let mut lows: Vec<u32> = ids.iter().map(|id| side(id).0).collect();
            lows.sort_unstable();
            lows.dedup();
            let mut information = 0.0;
            let mut wide = Vec::new();
            for id in ids {
                let (low, high) = side(id);
                let below = lows.partition_point(|other| *other < low);
                let met = lows.partition_point(|other| *other <= high) - below;
                if met * WIDE > lows.len() {
                    wide.push(*id);
                } else {
                    #[allow(clippy::cast_precision_loss)]
                    let ratio = lows.len() as f64 / met as f64;
                    information += ratio.log2();
                }
            }
            if best.as_ref().is_none_or(|(most, _)| information > *most) {
                best = Some((information, wide));
            }
        }
        let (_, wide) = best.filter(|(_, wide)| wide.len() * 8 < ids.len() * 7)?;
        let mut is_wide = vec![false; self.ids.len()];
        for id in wide {
            is_wide[id as usize] = true;
        }
        Some(is_wide)
    }

    /// A tree of some boxes, and those that are left to the next one, in order.
    fn tree(
        &self,
        ids: &[u32],
        temper: &Temper,
        cap: u32,
        is_last: bool,
        visits: &mut usize,
    ) -> (Grown, Vec<u32>) {
        let is_spilled = match self.wide(ids) {
            Some(is_wide) if !is_last => is_wide,
            _ => vec![false; self.ids.len()],
        };
        let mut growth = Growth {
            grower: self,
            temper,
            copies: vec![0; self.ids.len()],
            spilled: is_spilled.iter().filter(|is| **is).count(),
            is_spilled,
            left: ids.len() * MEMORY + 64,
            cap,
            is_last,
        };
        let root = Bud {
            ids: ids.to_vec(),
            cover: None,
            region: S::space(),
            depth: 1,
        };
        // Node by node, level by level: the children are always put at the end.
        let mut buds = std::collections::VecDeque::from([root]);
        let (mut nodes, mut leaves) = (Vec::new(), Vec::new());
        let mut end = 1_u32;
        while let Some(bud) = buds.pop_front() {
            *visits += bud.ids.len();
            let bud = growth.pruned(bud);
            match growth.cut(&bud) {
                Some((node, children)) => {
                    let base = end;
                    end += u32::try_from(children.len()).unwrap_or(u32::MAX);
                    nodes.push(at_base(node, base));
                    buds.extend(children);
                }
                None => {
                    let number = u32::try_from(leaves.len()).unwrap_or(u32::MAX);
                    nodes.push(Node::Leaf {
                        first: number,
                        count: 0,
                    });
                    leaves.push((bud.ids, bud.cover));
                }
            }
        }
        // What was spilled after it came to a leaf goes.
        let listed = |(ids, cover): (Vec<u32>, Option<u32>)| {
            let stays = |id: &u32| !growth.is_spilled[*id as usize];
            let ids = ids.into_iter().filter(stays).chain(cover);
            ids.map(|id| self.ids[id as usize]).collect()
        };
        let leaves = leaves.into_iter().map(listed).collect();
        let spilled = ids.iter().filter(|id| growth.is_spilled[**id as usize]);
        (Grown { nodes, leaves }, spilled.copied().collect())
    }
}

/// One tree while it grows.
struct Growth<'g, 'a, S> {
    grower: &'g Grower<'a, S>,
    temper: &'g Temper,
    /// Leaves that list each box.
    copies: Vec<u32>,
    is_spilled: Vec<bool>,
    spilled: usize,
    /// Copies that may still be made.
    left: usize,
    cap: u32,
    is_last: bool,
}

impl<S: Shape> Growth<'_, '_, S> {
    /// Without what can be left out: what is left to the next tree, and all behind the
    /// first box that decides everything here.
    fn pruned(&self, mut bud: Bud) -> Bud {
        let is_cover = |id: &u32| self.grower.decides(*id, &bud.region);
        // Behind the last one there is nothing to leave out.
        let last = bud.ids.len().saturating_sub(1);
        if let Some(at) = bud.ids[..last].iter().position(is_cover) {
            bud.cover = Some(bud.ids[at]);
            bud.ids.truncate(at);
        }
        bud.ids.retain(|id| !self.is_spilled[*id as usize]);
        bud
    }

    /// How a node is cut, and its children; none for a leaf.
    fn cut(&mut self, bud: &Bud) -> Option<(Node, Vec<Bud>)> {
        if bud.ids.len() <= 8 || bud.depth >= MAX_DEPTH {
            return None;
        }
        let sides = |id: u32, dimension: u32| self.grower.sides[id as usize][dimension as usize];
        if self.is_last && self.left == 0 {
            // Where memory ends, the boxes that are left make a long leaf.
            return None;
        }
        let question = Question {
            temper: self.temper,
            sides: &sides,
            ids: &bud.ids,
            region: &bud.region,
            dimensions: S::DIMENSIONS,
            cap: if self.is_last { u32::MAX } else { self.cap },
            spilled: self.spilled,
            max_bits: if bud.depth == 1 { 14 } else { 8 },
        };
        let choice = question.best()?;
        if choice.cost >= leaf_cost(bud.ids.len()) {
            return None;
        }
        self.children(choice.node, bud)
    }

    fn children(&mut self, node: Node, bud: &Bud) -> Option<(Node, Vec<Bud>)> {
        let (dimension, count) = match node {
            Node::Cut {
                dimension, bits, ..
            } => (dimension, 1_usize << bits),
            Node::Split { dimension, .. } => (dimension, 2),
            Node::Leaf { .. } => return None,
        };
        let (low, high) = bud.region[dimension as usize];
        let child_of = |value: u32| match node {
            Node::Cut { shift, bits, .. } => (value >> shift) & ((1 << bits) - 1),
            Node::Split { limit, .. } => u32::from(value > limit),
            Node::Leaf { .. } => 0,
        };
        let mut lists = vec![Vec::new(); count];
        let mut spilled_here = false;
        for id in &bud.ids {
            let side = self.grower.sides[*id as usize][dimension as usize];
            let first = child_of(side.0.max(low));
            let last = child_of(side.1.min(high));
            let more = last - first;
            if more > 0 && !self.may_copy(*id, more) {
                spilled_here |= !self.is_spilled[*id as usize];
                self.spill(*id);
                continue;
            }
            for child in first..=last {
                lists[child as usize].push(*id);
            }
        }
        if lists.iter().all(Vec::is_empty) && !spilled_here {
            return None;
        }
        let children = lists.into_iter().enumerate().map(|(child, ids)| {
            let mut region = bud.region;
            let child = u32::try_from(child).unwrap_or(u32::MAX);
            region[dimension as usize] = match node {
                Node::Cut { shift, bits, .. } => {
                    let above = u64::from(low) >> (shift + bits) << (shift + bits);
                    let start = above + (u64::from(child) << shift);
                    let end = start + (1 << shift) - 1;
                    let clip = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
                    (clip(start).max(low), clip(end).min(high))
                }
                Node::Split { limit, .. } if child == 0 => (low, high.min(limit)),
                _ => match node {
                    Node::Split { limit, .. } => (low.max(limit.saturating_add(1)), high),
                    _ => (low, high),
                },
            };
            Bud {
                ids,
                cover: bud.cover,
                region,
                depth: bud.depth + 1,
            }
        });
        Some((node, children.collect()))
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

fn at_base(node: Node, base: u32) -> Node {
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

/// The elements of `all` that are not in `others`; both are sorted.
fn difference(all: &[u32], others: &[u32]) -> Vec<u32> {
    let mut others = others.iter().peekable();
    all.iter()
        .copied()
        .filter(|id| {
            while others.next_if(|other| **other < *id).is_some() {}
            others.peek() != Some(&id)
        })
        .collect()
}
