// SPDX-License-Identifier: GPL-2.0

//! Where a node is cut.

use nftrace_core::policy::forest::{Dimension, Node, Region, Side};

/// Boxes of which the rest is taken to be like, in a large node.
const SAMPLE: usize = 2048;

/// Instructions that a comparison with a box costs, about.
const COMPARE: f64 = 9.0;

/// What choices are made by. No one set of numbers is best for all policies: a forest is
/// grown by each of [`TEMPERS`], and the best one is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Temper {
    /// What a step down is taken to cost, in instructions.
    step: f64,
    /// What one more tree is taken to cost.
    tree: f64,
    /// What a copy of each box is taken to cost.
    copies: f64,
    /// What a child for each box is taken to cost.
    children: f64,
    /// By how much a step down divides the boxes: their logarithm is taken so often.
    depth: f64,
    /// Leaves of the first tree that may list the same box.
    pub(super) cap: u32,
    /// How many times as many that are in each tree behind it, where there are fewer boxes.
    pub(super) growth: u32,
}

const TEMPER: Temper = Temper {
    step: 20.0,
    tree: 40.0,
    copies: 10.0,
    children: 2.0,
    depth: 1.0,
    cap: 8,
    growth: 2,
};

/// The first ones are for large policies too.
pub(super) const TEMPERS: [Temper; 6] = [
    TEMPER,
    Temper {
        copies: 20.0,
        ..TEMPER
    },
    Temper {
        step: 30.0,
        copies: 20.0,
        ..TEMPER
    },
    Temper {
        copies: 20.0,
        growth: 4,
        ..TEMPER
    },
    Temper {
        tree: 60.0,
        copies: 20.0,
        cap: 16,
        ..TEMPER
    },
    Temper {
        copies: 20.0,
        depth: 1.5,
        cap: 32,
        ..TEMPER
    },
];

/// A way to cut a node, and what it costs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    /// Its base is not known yet.
    pub(super) node: Node,
    /// Instructions that a packet costs below, about.
    pub(super) cost: f64,
}

impl Temper {
    /// About how many instructions a node of so many boxes costs, however it is cut.
    fn cost(&self, boxes: f64) -> f64 {
        let scanned = 6.0 + boxes * COMPARE * 0.7;
        if boxes <= 4.0 {
            return scanned;
        }
        let cut = self.step * (boxes / 3.0).log2().max(0.0) * self.depth;
        scanned.min(6.0 + 4.0 * COMPARE * 0.7 + cut)
    }

    /// About what the trees cost that have all the other boxes.
    fn other_trees(&self, boxes: f64) -> f64 {
        if boxes == 0.0 {
            0.0
        } else {
            self.tree + self.cost(boxes)
        }
    }
}

/// About what a leaf of so many boxes costs.
pub(super) fn leaf_cost(boxes: usize) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    let boxes = boxes as f64;
    6.0 + boxes * COMPARE * 0.7
}

/// What is known of a node that is to be cut.
pub(super) struct Question<'a> {
    pub(super) temper: &'a Temper,
    /// The sides of each box, by box and dimension.
    pub(super) sides: &'a dyn Fn(u32, Dimension) -> Side,
    pub(super) ids: &'a [u32],
    pub(super) region: &'a Region,
    pub(super) dimensions: Dimension,
    /// How many children a box may be in, of each.
    pub(super) cap: u32,
    /// Boxes that other trees have already.
    pub(super) spilled: usize,
    /// Bits of a cut.
    pub(super) max_bits: u32,
}

#[allow(clippy::cast_precision_loss)]
fn float(number: usize) -> f64 {
    number as f64
}

impl Question<'_> {
    /// The best way to cut; none where there is none at all.
    pub(super) fn best(&self) -> Option<Choice> {
        let stride = self.ids.len().div_ceil(SAMPLE).max(1);
        let sample: Vec<u32> = self.ids.iter().copied().step_by(stride).collect();
        let scale = float(self.ids.len()) / float(sample.len());
        let mut best: Option<Choice> = None;
        for dimension in 0..self.dimensions {
            let side = self.region[dimension as usize];
            let clipped: Vec<Side> = sample
                .iter()
                .map(|id| {
                    let (low, high) = (self.sides)(*id, dimension);
                    (low.max(side.0), high.min(side.1))
                })
                .collect();
            if side.0 == side.1 || clipped.iter().all(|clipped| *clipped == side) {
                continue;
            }
            let mut offer = |choice: Option<Choice>| {
                if let Some(choice) = choice {
                    if best.is_none_or(|best| choice.cost < best.cost) {
                        best = Some(choice);
                    }
                }
            };
            let block = 32 - (side.0 ^ side.1).leading_zeros();
            for bits in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14] {
                if bits <= block.min(self.max_bits)
                    && (1_usize << bits) <= (self.ids.len() * 4).max(4)
                {
                    offer(self.cut(dimension, block - bits, bits, &clipped, scale));
                }
            }
            for limit in limits(&clipped, side) {
                offer(self.split(dimension, limit, &clipped, scale));
            }
        }
        best
    }

    fn cut(
        &self,
        dimension: Dimension,
        shift: u32,
        bits: u32,
        clipped: &[Side],
        scale: f64,
    ) -> Option<Choice> {
        let mask = (1_u32 << bits) - 1;
        let mut steps = vec![0_i32; (1 << bits) + 1];
        let mut spilled = 0;
        for (low, high) in clipped {
            let (first, last) = ((low >> shift) & mask, (high >> shift) & mask);
            if last - first >= self.cap {
                spilled += 1;
                continue;
            }
            steps[first as usize] += 1;
            steps[last as usize + 1] -= 1;
        }
        let mut boxes = 0_i32;
        let counts = steps.iter().take(1 << bits).map(|step| {
            boxes += step;
            f64::from(boxes)
        });
        let node = Node::Cut {
            base: 0,
            dimension,
            shift,
            bits,
        };
        let choice = self.rated(node, counts, spilled, clipped.len(), scale)?;
        // Memory, and caches: many children for few boxes.
        Some(Choice {
            cost: choice.cost + self.temper.children * float(1 << bits) / float(self.ids.len()),
            ..choice
        })
    }

    fn split(
        &self,
        dimension: Dimension,
        limit: u32,
        clipped: &[Side],
        scale: f64,
    ) -> Option<Choice> {
        let below = clipped.iter().filter(|(low, _)| *low <= limit).count();
        let above = clipped.iter().filter(|(_, high)| *high > limit).count();
        let node = Node::Split {
            base: 0,
            dimension,
            limit,
        };
        let counts = [float(below), float(above)].into_iter();
        self.rated(node, counts, 0, clipped.len(), scale)
    }

    /// What a way costs: a packet is taken to be where the boxes are.
    fn rated(
        &self,
        node: Node,
        counts: impl Iterator<Item = f64>,
        spilled: usize,
        of: usize,
        scale: f64,
    ) -> Option<Choice> {
        let (mut weight, mut sum) = (0.0, 0.0);
        for boxes in counts {
            weight += boxes;
            sum += boxes * self.temper.cost(boxes * scale);
        }
        if weight == 0.0 {
            return None;
        }
        let elsewhere = float(spilled) * scale;
        let before = float(self.spilled);
        let other_trees = |boxes| self.temper.other_trees(boxes);
        let more = other_trees(before + elsewhere) - other_trees(before);
        // What is copied takes memory.
        let copies = weight / float((of - spilled).max(1)) - 1.0;
        // Those that are left to other trees cost what they cost there.
        let sum = sum + float(spilled) * other_trees(before + elsewhere);
        let weight = weight + float(spilled);
        Some(Choice {
            node,
            cost: self.temper.step + sum / weight + more + copies * self.temper.copies,
        })
    }
}

/// Numbers between which boxes could be told apart: of all their ends, those in the
/// middle, and a quarter from either end.
fn limits(clipped: &[Side], (low, high): Side) -> Vec<u32> {
    let mut ends: Vec<u32> = clipped
        .iter()
        .flat_map(|side| {
            let below = (side.0 > low).then(|| side.0 - 1);
            let above = (side.1 < high).then_some(side.1);
            below.into_iter().chain(above)
        })
        .collect();
    ends.sort_unstable();
    let mut limits: Vec<u32> = [1, 2, 3]
        .iter()
        .filter_map(|quarter| ends.get(ends.len() * quarter / 4).copied())
        .collect();
    limits.dedup();
    limits
}
