// SPDX-License-Identifier: GPL-2.0

//! Figures, asked for by what they are of.

use anyhow::Result;
use nftrace_bench::rules::Family;
use nftrace_bench::shapes::Shape;

use crate::cell::{Cell, Harness, Source, Traffic};
use crate::figures::{Figure, Figures};
use crate::peer::Peer;
use crate::stats::{ratio, Ratio};

/// The figures of one model of processor.
pub(crate) struct View<'a> {
    pub(crate) figures: &'a Figures,
    cells: Vec<(Cell, &'a Figure)>,
}

/// Which of the cells with rules.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Which {
    pub(crate) peer: Peer,
    pub(crate) family: Family,
    pub(crate) disjoint: bool,
    pub(crate) count: usize,
    pub(crate) traffic: Traffic,
}

/// Values of several cells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Summary {
    /// The mean over shapes of the means over seeds.
    pub(crate) mean: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
    pub(crate) most_shape: Shape,
    /// Of how many seeds, for each shape at least.
    pub(crate) seeds: usize,
}

impl<'a> View<'a> {
    pub(crate) fn new(figures: &'a Figures) -> Result<Self> {
        let cell = |(name, figure): (&String, &'a Figure)| Ok((name.parse()?, figure));
        let cells = figures.cells.iter().map(cell).collect::<Result<_>>()?;
        Ok(Self { figures, cells })
    }

    /// Of a cell without rules.
    pub(crate) fn plain(&self, peer: Peer, family: Family) -> Option<f64> {
        self.figures.insn(&Cell::plain(peer, family))
    }

    /// Of a peer in the path of a packet from the device on.
    pub(crate) fn path(&self, peer: Peer, burst: u8) -> Option<f64> {
        let cell = Cell {
            harness: Harness::Pktgen(burst),
            ..Cell::plain(peer, Family::V4)
        };
        self.figures.insn(&cell)
    }

    /// How much more one takes than the other.
    pub(crate) fn over(&self, peer: Peer, than: Peer, family: Family) -> Option<f64> {
        Some(self.plain(peer, family)? - self.plain(than, family)?)
    }

    /// Cells with rules, of the shapes that people have.
    pub(crate) fn of(&self, which: Which) -> impl Iterator<Item = (Source, &'a Figure)> + '_ {
        self.cells.iter().filter_map(move |(cell, figure)| {
            let (source, traffic) = cell.rules?;
            let is_it = cell.peer == which.peer
                && cell.family == which.family
                && source.disjoint == which.disjoint
                && source.count == which.count
                && traffic == which.traffic
                && Shape::REALISTIC.contains(&source.shape);
            is_it.then_some((source, *figure))
        })
    }

    /// The values of all these cells; none where there is no cell.
    pub(crate) fn summary(&self, which: Which) -> Option<Summary> {
        let all: Vec<(Source, f64)> = self
            .of(which)
            .map(|(source, it)| (source, it.insn))
            .collect();
        let of_shape = |shape| {
            mean(
                all.iter()
                    .filter(|(it, _)| it.shape == shape)
                    .map(|(_, insn)| *insn),
            )
        };
        let seeds = |shape| all.iter().filter(|(it, _)| it.shape == shape).count();
        let (most_source, most) = all.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1))?;
        Some(Summary {
            mean: mean(Shape::REALISTIC.into_iter().filter_map(of_shape))?,
            least: all
                .iter()
                .map(|(_, insn)| *insn)
                .fold(f64::INFINITY, f64::min),
            most,
            most_shape: most_source.shape,
            seeds: Shape::REALISTIC.into_iter().map(seeds).min().unwrap_or(0),
        })
    }

    /// How many times as many instructions a peer takes as a policy of the same rules and for
    /// the same packets.
    pub(crate) fn ratio(&self, which: Which) -> Option<Ratio> {
        let ours = Which {
            peer: Peer::Policy,
            ..which
        };
        let ours: Vec<(Source, &Figure)> = self.of(ours).collect();
        let pairs: Vec<(f64, f64)> = self
            .of(which)
            .filter_map(|(source, theirs)| {
                let (_, ours) = ours.iter().find(|(it, _)| *it == source)?;
                Some((theirs.insn, ours.insn))
            })
            .collect();
        ratio(&pairs)
    }

    /// The mean of one shape; none where there is no cell of it.
    pub(crate) fn shape(&self, which: Which, shape: Shape) -> Option<f64> {
        let cells = self.cells.iter().filter(|(cell, _)| {
            let Some((source, traffic)) = cell.rules else {
                return false;
            };
            cell.peer == which.peer
                && cell.family == which.family
                && source.disjoint == which.disjoint
                && source.count == which.count
                && source.shape == shape
                && traffic == which.traffic
        });
        mean(cells.map(|(_, figure)| figure.insn))
    }

    /// Numbers of rules for which there are cells.
    pub(crate) fn counts(&self, peer: Peer, disjoint: bool) -> Vec<usize> {
        let sources = self.cells.iter().filter(|(cell, _)| cell.peer == peer);
        let sources = sources.filter_map(|(cell, _)| cell.rules.map(|(source, _)| source));
        let mut counts: Vec<usize> = sources
            .filter(|source| source.disjoint == disjoint)
            .map(|source| source.count)
            .collect();
        counts.sort_unstable();
        counts.dedup();
        counts
    }

    /// Cells that there cannot be, and why, once for each peer and reason.
    pub(crate) fn unable(&self) -> Vec<(Peer, String)> {
        let all = self.figures.unable.iter();
        let mut all: Vec<(Peer, String)> = all
            .filter_map(|(name, why)| Some((name.parse::<Cell>().ok()?.peer, why.clone())))
            .collect();
        all.sort();
        all.dedup();
        all
    }
}

/// The arithmetic mean; none of none.
pub(crate) fn mean(of: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0.0);
    for value in of {
        sum += value;
        count += 1.0;
    }
    (count > 0.0).then_some(sum / count)
}
