// SPDX-License-Identifier: GPL-2.0

//! Growing the trees of a forest.
//!
//! Boxes that a cut would copy too often are left to the next tree: so those that are
//! small in the same dimensions are together, and memory stays in proportion to the boxes.

use super::choose::{Scratch, Temper, TEMPERS};
use super::tree::Growth;
use super::Grown;
use nftrace_core::policy::forest::{Region, Shape, Side, MAX_TREES, SPECIAL};

/// So few boxes are found at once, however they are cut.
const SMALL: usize = 16;

/// Of more boxes, so many, spread over all, are taken to be like the rest,
const SAMPLE: usize = 2048;

/// or, of very many, one of so many: few of them do not show how many trees all take.
const SHARE: usize = 16;

/// How often each box is looked at, on average, where boxes cannot be told apart.
const HARD: usize = 48;

/// Boxes that meet more nodes on average make the kernel's proof long.
const LONG: usize = 256;

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
    /// The sides of the boxes by dimension, in the order of `ids`.
    columns: Vec<Vec<Side>>,
}

impl<'a, S: Shape> Grower<'a, S> {
    pub(super) fn new(boxes: &'a [S], ids: &'a [u32], is_fragment: bool) -> Self {
        let column = |dimension| {
            let side = |id: &u32| boxes[*id as usize].side(dimension, is_fragment);
            ids.iter().map(side).collect()
        };
        Self {
            boxes,
            ids,
            is_fragment,
            columns: (0..S::DIMENSIONS).map(column).collect(),
        }
    }

    pub(super) fn columns(&self) -> &[Vec<Side>] {
        &self.columns
    }

    /// The number of a box in the policy.
    pub(super) fn id(&self, at: u32) -> u32 {
        self.ids[at as usize]
    }

    /// Whether a box decides all of a region.
    pub(super) fn decides(&self, at: u32, region: &Region) -> bool {
        let covers = self.columns.iter().zip(region).all(|(column, inner)| {
            let outer = column[at as usize];
            outer.0 <= inner.0 && inner.1 <= outer.1
        });
        covers && self.boxes[self.id(at) as usize].decides(region, self.is_fragment)
    }

    /// Grows it by the temper by which the boxes are found with the fewest instructions:
    /// of large ones, those of a sample.
    pub(super) fn grow(&self) -> Trees {
        let len = self.ids.len();
        if len <= SMALL {
            return self.grow_by(&TEMPERS[0]);
        }
        if len <= SAMPLE {
            return self.best().1;
        }
        let size = SAMPLE.max(len / SHARE);
        let sample = self.ids.iter().copied().step_by(len.div_ceil(size));
        let sample: Vec<u32> = sample.collect();
        let (temper, _) = Grower::new(self.boxes, &sample, self.is_fragment).best();
        let trees = self.grow_by(temper);
        let met = self.proof(&trees);
        if met < LONG * len {
            return trees;
        }
        // What a sample does not show: boxes that meet many leaves where they are not listed.
        let other = self.grow_by(&TEMPERS[0]);
        if self.proof(&other) < met {
            other
        } else {
            trees
        }
    }

    /// How many nodes all boxes meet, which is what the kernel's proof costs; counted up
    /// to what is too many.
    fn proof(&self, trees: &Trees) -> usize {
        let most = LONG * self.ids.len();
        let (mut met, mut region) = (0, S::space());
        let mut sides = vec![(0, 0); self.columns.len()];
        for (number, home) in trees.homes.iter().enumerate() {
            for (side, column) in sides.iter_mut().zip(&self.columns) {
                *side = column[number];
            }
            met += trees.trees[usize::from(*home)].met(&sides, &mut region, 0, most - met);
            if met >= most {
                break;
            }
        }
        met
    }

    /// The temper by which they are found with the fewest instructions, and the forest.
    fn best(&self) -> (&'static Temper, Trees) {
        let first = (&TEMPERS[0], self.grow_by(&TEMPERS[0]));
        // Where boxes hardly let themselves be told apart, each try takes long and none helps.
        if first.1.visits > self.ids.len() * HARD {
            return first;
        }
        let others = std::thread::scope(|scope| {
            let grow = |temper| move || (temper, self.grow_by(temper));
            let threads: Vec<_> = TEMPERS[1..]
                .iter()
                .map(|temper| scope.spawn(grow(temper)))
                .collect();
            let grown = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
            grown.flatten().collect::<Vec<_>>()
        });
        let mut best = (self.cost(&first.1), first);
        for other in others {
            let cost = self.cost(&other.1);
            if cost < best.0 {
                best = (cost, other);
            }
        }
        best.1
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
        let leasts: Vec<u32> = trees.trees.iter().map(Grown::least).collect();
        let (mut sum, mut samples) = (0.0, 0_u32);
        for number in (0..self.ids.len()).step_by(stride) {
            // Any point does, but it should not be the same corner each time.
            let mut mixed = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut point = [0; 16];
            for (column, word) in self.columns.iter().zip(&mut point) {
                let (low, high) = column[number];
                mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let offset = (mixed >> 32) % (u64::from(high - low) + 1);
                *word = low + u32::try_from(offset).unwrap_or(0);
            }
            let mut best = u32::MAX;
            for (tree, least) in trees.trees.iter().zip(&leasts) {
                if *least >= best {
                    break;
                }
                let (steps, leaf) = tree.leaf(&point);
                sum += TREE + STEP * f64::from(steps);
                for entry in leaf.iter().take_while(|entry| **entry < best) {
                    sum += COMPARE;
                    let at = self.ids.partition_point(|id| id < entry);
                    let holds = self.columns.iter().zip(&point).all(|(column, value)| {
                        let (low, high) = column[at];
                        low <= *value && *value <= high
                    });
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
        let mut scratch = Scratch::new(temper);
        while !left.is_empty() {
            let is_last = grown.len() + 1 == MAX_TREES;
            let more = temper
                .growth
                .saturating_pow(u32::try_from(grown.len()).unwrap_or(u32::MAX));
            let cap = temper.cap.saturating_mul(more);
            let is_wide = match self.wide(&left) {
                Some(is_wide) if !is_last => is_wide,
                _ => vec![false; self.ids.len()],
            };
            let growth = Growth::new(self, &mut scratch, &left, is_wide, cap, is_last);
            let (tree, is_spilled, visited) = growth.grow();
            visits += visited;
            let (spilled, kept) = left
                .into_iter()
                .partition::<Vec<u32>, _>(|id| is_spilled[*id as usize]);
            grown.push((tree, kept));
            left = spilled;
        }
        grown.sort_by_cached_key(|(tree, _)| tree.least());
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
        for column in &self.columns {
            let side = |id: &u32| column[*id as usize];
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
}
