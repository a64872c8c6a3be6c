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
    /// The sides of all boxes, by dimension.
    pub(super) columns: &'a [Vec<Side>],
    pub(super) ids: &'a [u32],
    pub(super) region: &'a Region,
    /// How many children a box may be in, of each.
    pub(super) cap: u32,
    /// Boxes that other trees have already.
    pub(super) spilled: usize,
    /// Bits of a cut.
    pub(super) max_bits: u32,
}

/// What choosing needs from node to node, and its memory.
pub(super) struct Scratch<'t> {
    pub(super) temper: &'t Temper,
    /// What a node of so many boxes costs.
    costs: Vec<f64>,
    /// The same, each of which stands for several.
    scaled: Vec<f64>,
    clipped: Vec<Side>,
    steps: Vec<i32>,
    ends: Vec<u32>,
}

impl<'t> Scratch<'t> {
    pub(super) fn new(temper: &'t Temper) -> Self {
        Self {
            temper,
            costs: (0..=SAMPLE)
                .map(|boxes| temper.cost(float(boxes)))
                .collect(),
            scaled: Vec::new(),
            clipped: Vec::new(),
            steps: Vec::new(),
            ends: Vec::new(),
        }
    }
}

#[allow(clippy::cast_precision_loss)]
fn float(number: usize) -> f64 {
    number as f64
}

/// A question about one dimension.
struct Asked<'a> {
    question: &'a Question<'a>,
    temper: &'a Temper,
    costs: &'a [f64],
    /// The sides of a sample of the boxes.
    clipped: &'a [Side],
    /// Boxes for each of the sample.
    scale: f64,
}

impl Question<'_> {
    /// The best way to cut; none where there is none at all.
    pub(super) fn best(&self, scratch: &mut Scratch<'_>) -> Option<Choice> {
        let Scratch {
            temper,
            costs,
            scaled,
            clipped,
            steps,
            ends,
        } = scratch;
        let stride = self.ids.len().div_ceil(SAMPLE).max(1);
        let samples = self.ids.len().div_ceil(stride);
        let scale = float(self.ids.len()) / float(samples);
        let costs = if stride == 1 {
            &*costs
        } else {
            scaled.clear();
            scaled.extend((0..=samples).map(|boxes| temper.cost(float(boxes) * scale)));
            &*scaled
        };
        let mut best: Option<Choice> = None;
        for (dimension, column) in (0..).zip(self.columns) {
            let side = self.region[dimension as usize];
            clipped.clear();
            clipped.extend(self.ids.iter().step_by(stride).map(|id| {
                let (low, high) = column[*id as usize];
                (low.max(side.0), high.min(side.1))
            }));
            if side.0 == side.1 || clipped.iter().all(|clipped| *clipped == side) {
                continue;
            }
            let asked = Asked {
                question: self,
                temper,
                costs,
                clipped,
                scale,
            };
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
                    offer(asked.cut(dimension, block - bits, bits, steps));
                }
            }
            for limit in limits(clipped, side, ends).into_iter().flatten() {
                offer(asked.split(dimension, limit));
            }
        }
        best
    }
}

impl Asked<'_> {
    fn cut(
        &self,
        dimension: Dimension,
        shift: u32,
        bits: u32,
        steps: &mut Vec<i32>,
    ) -> Option<Choice> {
        let mask = (1_u32 << bits) - 1;
        steps.clear();
        steps.resize((1 << bits) + 1, 0);
        let mut spilled = 0;
        for (low, high) in self.clipped {
            let (first, last) = ((low >> shift) & mask, (high >> shift) & mask);
            if last - first >= self.question.cap {
                spilled += 1;
                continue;
            }
            steps[first as usize] += 1;
            steps[last as usize + 1] -= 1;
        }
        let mut boxes = 0_i32;
        let counts = steps.iter().take(1 << bits).map(|step| {
            boxes += step;
            usize::try_from(boxes).unwrap_or(0)
        });
        let node = Node::Cut {
            base: 0,
            dimension,
            shift,
            bits,
        };
        let choice = self.rated(node, counts, spilled)?;
        // Memory, and caches: many children for few boxes.
        Some(Choice {
            cost: choice.cost
                + self.temper.children * float(1 << bits) / float(self.question.ids.len()),
            ..choice
        })
    }

    fn split(&self, dimension: Dimension, limit: u32) -> Option<Choice> {
        let below = self.clipped.iter().filter(|(low, _)| *low <= limit);
        let above = self.clipped.iter().filter(|(_, high)| *high > limit);
        let counts = [below.count(), above.count()].into_iter();
        let node = Node::Split {
            base: 0,
            dimension,
            limit,
        };
        self.rated(node, counts, 0)
    }

    /// What a way costs: a packet is taken to be where the boxes are.
    fn rated(
        &self,
        node: Node,
        counts: impl Iterator<Item = usize>,
        spilled: usize,
    ) -> Option<Choice> {
        let (mut weight, mut sum) = (0, 0.0);
        for boxes in counts {
            weight += boxes;
            sum += float(boxes) * self.costs[boxes];
        }
        if weight == 0 {
            return None;
        }
        let weight = float(weight);
        let elsewhere = float(spilled) * self.scale;
        let before = float(self.question.spilled);
        let other_trees = |boxes| self.temper.other_trees(boxes);
        let more = other_trees(before + elsewhere) - other_trees(before);
        // What is copied takes memory.
        let copies = weight / float((self.clipped.len() - spilled).max(1)) - 1.0;
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
fn limits(clipped: &[Side], (low, high): Side, ends: &mut Vec<u32>) -> [Option<u32>; 3] {
    ends.clear();
    ends.extend(clipped.iter().flat_map(|side| {
        let below = (side.0 > low).then(|| side.0 - 1);
        let above = (side.1 < high).then_some(side.1);
        below.into_iter().chain(above)
    }));
    let len = ends.len();
    let mut limits = [1, 2, 3].map(|quarter| {
        let at = len * quarter / 4;
        (at < len).then(|| *ends.select_nth_unstable(at).1)
    });
    for at in [2, 1] {
        if limits[at] == limits[at - 1] {
            limits[at] = None;
        }
    }
    limits
}
