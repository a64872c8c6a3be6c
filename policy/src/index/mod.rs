// SPDX-License-Identifier: GPL-2.0

//! The index of a policy: [`nftrace_core::policy::forest`] built.
//!
//! Nothing here has to be trusted: the kernel proves what it gets.

mod choose;
mod grow;
mod split;
mod tree;

pub(crate) use split::splits;

use grow::{Grower, Trees};
use nftrace_core::policy::forest::{
    each_box, Box4, Box6, Class, Forest, Node, Region, Shape, Side, Tree, ROOTS, TRANSPORT,
};
use nftrace_core::policy::layout::Rule;
use nftrace_core::policy::{Place, Tables};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The sections of an index.
#[derive(Default)]
pub(crate) struct Index {
    pub(crate) boxes4: Vec<Box4>,
    pub(crate) boxes6: Vec<Box6>,
    pub(crate) roots: [[u32; ROOTS]; 2],
    pub(crate) forests: Vec<Forest>,
    pub(crate) trees: Vec<Tree>,
    pub(crate) nodes: Vec<u64>,
    pub(crate) entries: Vec<u32>,
    pub(crate) homes: Vec<u8>,
}

/// A tree as it was grown.
struct Grown {
    /// Its nodes, numbered from 0.
    nodes: Vec<Node>,
    /// The boxes of the leaves, in the order of the nodes.
    entries: Vec<u32>,
}

/// A forest that is to grow: the numbers of its boxes, and whether it is for later fragments
/// that rules ask more of.
type Seed = (Vec<u32>, bool);

/// The forests of a family, and of each root that has one, its number.
#[derive(Default)]
struct Plan {
    seeds: Vec<Seed>,
    roots: Vec<(usize, usize)>,
}

impl Plan {
    fn new<S: Shape>(rules: &[Rule], boxes: &[S]) -> Self {
        let mut plan = Self::default();
        // Several roots often have the same boxes, and then one forest.
        let mut known: HashMap<(Vec<u32>, u8), usize> = HashMap::new();
        for place in Place::all() {
            for class in Class::ALL {
                let ids = ids(rules, boxes, place, class);
                if ids.is_empty() {
                    continue;
                }
                let asks_transport = ids
                    .iter()
                    .any(|id| boxes[*id as usize].rest().flags & TRANSPORT != 0);
                // The kernel takes one forest for several classes only where no rule asks
                // for the transport header.
                let key = (ids, if asks_transport { class as u8 } else { 0 });
                let number = match known.get(&key) {
                    Some(number) => *number,
                    None => {
                        let is_fragment = class == Class::Fragment && asks_transport;
                        plan.seeds.push((key.0.clone(), is_fragment));
                        known.insert(key, plan.seeds.len() - 1);
                        plan.seeds.len() - 1
                    }
                };
                plan.roots.push((class.root(place), number));
            }
        }
        plan
    }
}

/// Grows forests, as many at once as there are processors.
fn grow<S: Shape>(boxes: &[S], seeds: &[Seed]) -> Vec<Trees> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut grown = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some((ids, is_fragment)) = seeds.get(number) else {
                break;
            };
            grown.push((number, Grower::new(boxes, ids, *is_fragment).grow()));
        }
        grown
    };
    let others = std::thread::available_parallelism().map_or(0, |all| all.get() - 1);
    let mut grown = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..others.min(seeds.len().saturating_sub(1)))
            .map(|_| scope.spawn(work))
            .collect();
        let mut grown = work();
        for thread in threads {
            grown.extend(thread.join().expect("a grower does not panic"));
        }
        grown
    });
    grown.sort_by_key(|(number, _)| *number);
    grown.into_iter().map(|(_, trees)| trees).collect()
}

impl Index {
    /// The index of rules, whose conditions and sets `tables` has.
    pub(crate) fn new(tables: &Tables<'_>) -> Result<Self, String> {
        let (boxes4, boxes6) = (boxes(tables)?, boxes(tables)?);
        let mut index = Self::default();
        index.add_family(tables, &boxes4)?;
        index.add_family(tables, &boxes6)?;
        (index.boxes4, index.boxes6) = (boxes4, boxes6);
        Ok(index)
    }

    fn add_family<S: Shape>(&mut self, tables: &Tables<'_>, boxes: &[S]) -> Result<(), String> {
        let plan = Plan::new(tables.rules, boxes);
        let first = count(self.forests.len())?;
        for ((ids, _), trees) in plan.seeds.iter().zip(grow(boxes, &plan.seeds)) {
            self.add_forest::<S>(ids.len(), trees)?;
        }
        for (root, number) in plan.roots {
            self.roots[usize::from(S::IS_IPV6)][root] = first + count(number)? + 1;
        }
        Ok(())
    }

    fn add_forest<S: Shape>(&mut self, boxes: usize, forest: Trees) -> Result<(), String> {
        self.forests.push(Forest {
            first_tree: count(self.trees.len())?,
            trees: count(forest.trees.len())?,
            first_home: count(self.homes.len())?,
            homes: count(boxes)?,
            is_ipv6: S::IS_IPV6.into(),
            is_special: forest.is_special.into(),
            reserved: 0,
        });
        self.homes.extend(forest.homes);
        forest.trees.iter().try_for_each(|tree| self.add_tree(tree))
    }

    fn add_tree(&mut self, tree: &Grown) -> Result<(), String> {
        let (first_node, first_entry) = (count(self.nodes.len())?, count(self.entries.len())?);
        for node in &tree.nodes {
            let node = match *node {
                Node::Leaf { first, count } => Node::Leaf {
                    first: first_entry + first,
                    count,
                },
                Node::Cut { base, .. } | Node::Split { base, .. } => {
                    tree::at_base(*node, first_node + base)
                }
            };
            self.nodes.push(node.write());
        }
        self.entries.extend_from_slice(&tree.entries);
        if self.nodes.len() > Node::MOST as usize {
            return Err(crate::compile::too_large());
        }
        self.trees.push(Tree {
            first_node,
            nodes: count(self.nodes.len())? - first_node,
            first_entry,
            entries: count(self.entries.len())? - first_entry,
            least: tree.least(),
        });
        Ok(())
    }
}

impl Grown {
    /// How many nodes there are on the way to the leaf of a point, and its boxes.
    fn leaf(&self, point: &[u32]) -> (u32, &[u32]) {
        let (mut at, mut steps) = (0_usize, 1);
        loop {
            let node = self.nodes[at];
            let child = match node {
                Node::Leaf { first, count } => {
                    return (steps, &self.entries[first as usize..][..count as usize])
                }
                Node::Cut {
                    base, dimension, ..
                }
                | Node::Split {
                    base, dimension, ..
                } => base + tree::child_of(node, point[dimension as usize]),
            };
            at = child as usize;
            steps += 1;
        }
    }

    /// How many nodes at and below one a box meets, counted up to a number.
    fn met(&self, sides: &[Side], region: &mut Region, at: usize, most: usize) -> usize {
        let node = self.nodes[at];
        let (base, dimension) = match node {
            Node::Leaf { .. } => return 1,
            Node::Cut {
                base, dimension, ..
            }
            | Node::Split {
                base, dimension, ..
            } => (base as usize, dimension as usize),
        };
        let (low, high) = region[dimension];
        let (from, to) = (sides[dimension].0.max(low), sides[dimension].1.min(high));
        let mut met = 1;
        for child in tree::child_of(node, from)..=tree::child_of(node, to) {
            if met >= most {
                break;
            }
            region[dimension] = tree::side_of(node, child, (low, high));
            met += self.met(sides, region, base + child as usize, most - met);
        }
        region[dimension] = (low, high);
        met
    }

    /// Bytes of its nodes and entries.
    fn bytes(&self) -> usize {
        self.nodes.len() * 8 + self.entries.len() * 4
    }

    /// The least of its entries.
    fn least(&self) -> u32 {
        self.entries.iter().min().copied().unwrap_or(u32::MAX)
    }
}

fn boxes<S: Shape>(tables: &Tables<'_>) -> Result<Vec<S>, String> {
    let mut boxes = Vec::new();
    for (number, rule) in (0..).zip(tables.rules) {
        let made = each_box(tables, number, rule, |made| {
            boxes.push(made);
            Ok(())
        });
        made.map_err(|refusal| refusal.to_string())?;
    }
    Ok(boxes)
}

/// The boxes of a root.
fn ids<S: Shape>(rules: &[Rule], boxes: &[S], place: Place, class: Class) -> Vec<u32> {
    let is_of = |candidate: &S| {
        rules[candidate.rest().rule as usize].is_at(place) && candidate.is_in(class)
    };
    let numbered = (0_u32..).zip(boxes);
    numbered
        .filter(|(_, candidate)| is_of(candidate))
        .map(|(id, _)| id)
        .collect()
}

fn count(number: usize) -> Result<u32, String> {
    u32::try_from(number).map_err(|_| crate::compile::too_large())
}
