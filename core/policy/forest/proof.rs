// SPDX-License-Identifier: GPL-2.0

//! The proof that the index says what the rules say.
//!
//! The boxes are those that the rules have: they are made once more and compared. A leaf
//! names only boxes of rules of its place and family, and what it names is compared with
//! the packet in full, so that nothing matches that should not. And nothing is
//! overlooked: each box is followed from the root of its home into every child that it
//! meets, and each leaf where that ends has to list it, or to list an earlier box that
//! decides all of the leaf.

use super::boxes::each_box;
use super::layout::{Class, Forest, Node, Tree, MAX_DEPTH, ROOTS, TRANSPORT};
use super::shape::{Dimension, Region, Shape};
use super::structure::{verify_structure, Expected};
use crate::policy::condition::Place;
use crate::policy::tables::{partition, Tables};
use crate::policy::verify::{refuse, Flaw, Limits, Refusal};

/// Steps between two looks at whether there is something else to do.
const STEPS: u32 = 4096;

/// Verifies the index of a policy, whose rules are verified already.
pub(in crate::policy) struct Verifier<'t, 'a, P> {
    pub(in crate::policy) tables: &'t Tables<'a>,
    pub(in crate::policy) limits: &'t Limits,
    /// Is asked every few thousand steps; the work ends where it says no.
    pub(in crate::policy) pause: P,
    pub(in crate::policy) steps: u32,
}

/// A root: packets of a class at a place.
#[derive(Clone, Copy)]
struct Root {
    place: Place,
    class: Class,
}

impl Root {
    const fn number(self) -> usize {
        self.class.root(self.place)
    }
}

/// A node on the way down to a leaf, whose children are visited one after the other.
#[derive(Clone, Copy, Default)]
struct Frame {
    base: u32,
    /// The child below, and the last one that the box meets.
    child: u32,
    last: u32,
    dimension: Dimension,
    /// The side of the node.
    low: u32,
    high: u32,
    /// For a cut: bits of a child, and where its first child begins. For a split: 32, and
    /// its limit.
    shift: u32,
    start: u32,
}

impl Frame {
    /// What its child is in its dimension.
    fn side(&self) -> (u32, u32) {
        if self.shift == 32 {
            return if self.child == 0 {
                (self.low, self.high.min(self.start))
            } else {
                (self.low.max(self.start.wrapping_add(1)), self.high)
            };
        }
        let low = self.start.wrapping_add(self.child.wrapping_shl(self.shift));
        let high = low.wrapping_add(1_u32.wrapping_shl(self.shift).wrapping_sub(1));
        (self.low.max(low), self.high.min(high))
    }
}

impl<P: FnMut() -> bool> Verifier<'_, '_, P> {
    /// Counts a step.
    #[inline]
    fn step(&mut self) -> Result<(), Refusal> {
        self.steps = self.steps.wrapping_add(1);
        if self.steps % STEPS == 0 && !(self.pause)() {
            return refuse(0, Flaw::Interrupted);
        }
        Ok(())
    }

    /// How many steps the dearest packet costs.
    pub(in crate::policy) fn run(&mut self) -> Result<u32, Refusal> {
        let (tables, mut bound, mut expected) = (self.tables, 0, Expected::default());
        self.verify_boxes(tables.boxes4)?;
        self.verify_boxes(tables.boxes6)?;
        for (number, forest) in tables.forests.iter().enumerate() {
            let steps = if forest.is_ipv6 == 0 {
                verify_structure(tables, tables.boxes4, number, forest, &mut expected)?
            } else {
                verify_structure(tables, tables.boxes6, number, forest, &mut expected)?
            };
            bound = bound.max(steps);
        }
        let is_all_used = expected.tree as usize == tables.trees.len()
            && expected.node as usize == tables.nodes.len()
            && expected.entry as usize == tables.entries.len()
            && expected.home as usize == tables.homes.len();
        if !is_all_used {
            return refuse(tables.forests.len(), Flaw::Forest);
        }
        if bound > self.limits.max_bound {
            return refuse(bound as usize, Flaw::Bound);
        }
        self.verify_roots(tables.boxes4)?;
        self.verify_roots(tables.boxes6)?;
        Ok(bound)
    }

    fn verify_boxes<S: Shape>(&mut self, boxes: &[S]) -> Result<(), Refusal> {
        let mut given = boxes.iter();
        for (number, rule) in (0_u32..=u32::MAX).zip(self.tables.rules) {
            each_box(self.tables, number, rule, |made: S| {
                self.step()?;
                match given.next() {
                    Some(given) if *given == made => Ok(()),
                    _ => refuse(number as usize, Flaw::Boxes),
                }
            })?;
        }
        match given.next() {
            None => Ok(()),
            Some(_) => refuse(self.tables.rules.len(), Flaw::Boxes),
        }
    }

    /// Verifies the roots of a family. One forest may do for several roots that have the
    /// same rules.
    fn verify_roots<S: Shape>(&mut self, boxes: &[S]) -> Result<(), Refusal> {
        let [of_ipv4, of_ipv6] = self.tables.header.roots;
        let numbers = if S::IS_IPV6 { of_ipv6 } else { of_ipv4 };
        let mut proved = 0_usize;
        // The first root of each forest that has several; forests are numbered by it.
        let mut roots: [Option<Root>; ROOTS] = [None; ROOTS];
        for place in Place::all() {
            for class in Class::ALL {
                let root = Root { place, class };
                let number = root.number();
                let Some(forest) = numbers.get(number) else {
                    return refuse(number, Flaw::Root);
                };
                let Some(forest) = forest.checked_sub(1) else {
                    self.verify_empty(boxes, root)?;
                    continue;
                };
                let mine = self
                    .tables
                    .forests
                    .get(forest as usize)
                    .filter(|forest| (forest.is_ipv6 != 0) == S::IS_IPV6);
                let Some(mine) = mine else {
                    return refuse(number, Flaw::Root);
                };
                let known = roots
                    .iter()
                    .flatten()
                    .find(|known| numbers.get(known.number()) == Some(&forest.wrapping_add(1)));
                if let Some(known) = known.copied() {
                    self.verify_same(boxes, root, known)?;
                    continue;
                }
                self.prove(boxes, root, mine)?;
                if let Some(slot) = roots.get_mut(proved) {
                    *slot = Some(root);
                }
                proved = proved.wrapping_add(1);
            }
        }
        let forests = self.tables.forests.iter();
        let of_family = forests.filter(|forest| (forest.is_ipv6 != 0) == S::IS_IPV6);
        if of_family.fold(0_usize, |sum, _| sum.wrapping_add(1)) == proved {
            Ok(())
        } else {
            refuse(proved, Flaw::Forest)
        }
    }

    /// Whether a box is one of a root.
    fn is_of<S: Shape>(&self, candidate: &S, root: Root) -> bool {
        let rule = self.tables.rules.get(candidate.rest().rule as usize);
        rule.is_some_and(|rule| rule.is_at(root.place)) && candidate.is_in(root.class)
    }

    fn verify_empty<S: Shape>(&mut self, boxes: &[S], root: Root) -> Result<(), Refusal> {
        for candidate in boxes {
            self.step()?;
            if self.is_of(candidate, root) {
                return refuse(root.number(), Flaw::Root);
            }
        }
        Ok(())
    }

    /// Whether the boxes of two roots are the same ones, and mean the same at both.
    fn verify_same<S: Shape>(&mut self, boxes: &[S], a: Root, b: Root) -> Result<(), Refusal> {
        let is_other_class = a.class != b.class;
        for candidate in boxes {
            self.step()?;
            let is_of = self.is_of(candidate, a);
            if is_of != self.is_of(candidate, b)
                || (is_of && is_other_class && candidate.rest().flags & TRANSPORT != 0)
            {
                return refuse(a.number(), Flaw::Root);
            }
        }
        Ok(())
    }

    fn prove<S: Shape>(&mut self, boxes: &[S], root: Root, forest: &Forest) -> Result<(), Refusal> {
        let tables = self.tables;
        let number = root.number();
        let first = forest.first_tree as usize;
        let end = first.wrapping_add(forest.trees as usize);
        let trees = tables.trees.get(first..end).unwrap_or_default();
        for tree in trees {
            let first = tree.first_entry as usize;
            let end = first.wrapping_add(tree.entries as usize);
            for entry in tables.entries.get(first..end).unwrap_or_default() {
                self.step()?;
                let candidate = boxes.get(*entry as usize);
                if !candidate.is_some_and(|candidate| self.is_of(candidate, root)) {
                    return refuse(number, Flaw::Entry);
                }
            }
        }
        let first = forest.first_home as usize;
        let end = first.wrapping_add(forest.homes as usize);
        let mut homes = tables.homes.get(first..end).unwrap_or_default().iter();
        for (entry, candidate) in (0_u32..=u32::MAX).zip(boxes) {
            self.step()?;
            if !self.is_of(candidate, root) {
                continue;
            }
            let home = homes.next().and_then(|home| trees.get(usize::from(*home)));
            let Some(home) = home else {
                return refuse(entry as usize, Flaw::Home);
            };
            self.follow(boxes, root, entry, candidate, home)?;
        }
        match homes.next() {
            None => Ok(()),
            Some(_) => refuse(number, Flaw::Home),
        }
    }

    /// Follows a box to all leaves that it meets.
    fn follow<S: Shape>(
        &mut self,
        boxes: &[S],
        root: Root,
        entry: u32,
        candidate: &S,
        home: &Tree,
    ) -> Result<(), Refusal> {
        let overlooked = Refusal {
            offset: entry,
            flaw: Flaw::Overlooked,
        };
        let is_fragment = root.class == Class::Fragment;
        let mut region = S::space();
        let mut frames = [Frame::default(); MAX_DEPTH];
        let mut depth = 0_usize;
        let mut at = home.first_node;
        loop {
            self.step()?;
            let node = self.tables.nodes.get(at as usize).ok_or(overlooked)?;
            let frame = match Node::read(*node) {
                Node::Leaf { first, count } => {
                    if !self.is_answered(boxes, (first, count), entry, &region, is_fragment) {
                        return Err(overlooked);
                    }
                    None
                }
                inner => Some(enter(inner, candidate, &region, is_fragment).ok_or(overlooked)?),
            };
            match frame {
                Some(frame) => {
                    *frames.get_mut(depth).ok_or(overlooked)? = frame;
                    depth = depth.wrapping_add(1);
                }
                // Up to the next node that has one more child which the box meets.
                None => loop {
                    let Some(above) = depth.checked_sub(1) else {
                        return Ok(());
                    };
                    let frame = frames.get_mut(above).ok_or(overlooked)?;
                    if frame.child < frame.last {
                        frame.child = frame.child.wrapping_add(1);
                        break;
                    }
                    *side_of(&mut region, frame.dimension).ok_or(overlooked)? =
                        (frame.low, frame.high);
                    depth = above;
                },
            }
            let frame = frames
                .get(depth.wrapping_sub(1))
                .copied()
                .ok_or(overlooked)?;
            *side_of(&mut region, frame.dimension).ok_or(overlooked)? = frame.side();
            at = frame.base.wrapping_add(frame.child);
        }
    }

    fn is_answered<S: Shape>(
        &self,
        boxes: &[S],
        (first, count): (u32, u32),
        entry: u32,
        region: &Region,
        is_fragment: bool,
    ) -> bool {
        let first = first as usize;
        let end = first.wrapping_add(count as usize);
        let entries = self.tables.entries.get(first..end).unwrap_or_default();
        let at = partition(entries, |listed| *listed < entry);
        if entries.get(at) == Some(&entry) {
            return true;
        }
        // What comes before all that is left out is the last one.
        match entries.last() {
            Some(last) if *last < entry => boxes
                .get(*last as usize)
                .is_some_and(|last| last.decides(region, is_fragment)),
            _ => false,
        }
    }
}

fn side_of(region: &mut Region, dimension: Dimension) -> Option<&mut (u32, u32)> {
    region.get_mut(dimension as usize)
}

/// Which children of an inner node a box meets.
fn enter<S: Shape>(node: Node, candidate: &S, region: &Region, is_fragment: bool) -> Option<Frame> {
    let (Node::Cut { dimension, .. } | Node::Split { dimension, .. }) = node else {
        return None;
    };
    let (low, high) = *region.get(dimension as usize)?;
    let side = candidate.side(dimension, is_fragment);
    let (from, to) = (side.0.max(low), side.1.min(high));
    match node {
        Node::Cut {
            base, shift, bits, ..
        } => {
            // All of the node has to be in one block: else two parts of it share a child.
            let above = |value: u32| u64::from(value).wrapping_shr(shift.wrapping_add(bits));
            if above(low) != above(high) {
                return None;
            }
            let mask = 1_u32.wrapping_shl(bits).wrapping_sub(1);
            let block = mask.wrapping_shl(shift) | 1_u32.wrapping_shl(shift).wrapping_sub(1);
            Some(Frame {
                base,
                child: from.wrapping_shr(shift) & mask,
                last: to.wrapping_shr(shift) & mask,
                dimension,
                low,
                high,
                shift,
                start: low & !block,
            })
        }
        Node::Split { base, limit, .. } => Some(Frame {
            base,
            child: u32::from(from > limit),
            last: u32::from(to > limit),
            dimension,
            low,
            high,
            shift: 32,
            start: limit,
        }),
        Node::Leaf { .. } => None,
    }
}
