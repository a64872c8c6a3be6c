// SPDX-License-Identifier: GPL-2.0

//! Which cells are measured.

use std::fmt;

use anyhow::{ensure, Result};
use clap::ValueEnum;
use nftrace_bench::rules::Family;
use nftrace_bench::shapes::Shape;

use crate::cell::{Cell, Harness, Source, Traffic};
use crate::peer::Peer;

/// A part of what can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Matrix {
    /// Hooks without rules: floors, idle, tracing
    Plain,
    /// The whole path of a packet that is dropped
    Path,
    /// Policies of nftrace
    Policy,
    /// Rules that do not overlap, with all peers
    Disjoint,
    /// Rules in order, with the peers that have an order
    Ordered,
    /// All of these
    All,
    /// What code for vectors makes faster: to be measured without it, too
    Vector,
    /// What `make bench-check` measures
    Check,
}

/// Pairs of rules and packets that an average is over.
const SEEDS: u64 = 10;

/// Shapes that nobody has, but that a policy may have to withstand.
const HARSH: [Shape; 3] = [Shape::Uniform, Shape::Broad, Shape::Nested];

/// Peers for [`Matrix::Disjoint`], and up to how many rules it is worth while to measure them.
const APART: [(Peer, usize); 7] = [
    (Peer::Policy, usize::MAX),
    (Peer::NftRanges, 3000),
    (Peer::NftHash, 3000),
    (Peer::NftLinear, 1000),
    (Peer::Legacy, 1000),
    (Peer::IptablesNft, 100),
    (Peer::Ipset, 1000),
];

/// The same for [`Matrix::Ordered`].
const IN_ORDER: [(Peer, usize); 4] = [
    (Peer::Policy, usize::MAX),
    (Peer::NftLayers, 1000),
    (Peer::NftLinear, 1000),
    (Peer::Legacy, 1000),
];

/// Whether a name has all of these parts.
pub(crate) fn has_all(name: &str, parts: &[String]) -> bool {
    parts.iter().all(|part| name.contains(part))
}

/// Says that nothing of a part has all of these in its name.
///
/// # Errors
///
/// No cell has, in whatever part.
pub(crate) fn none_in(part: &str, only: &[String]) -> Result<()> {
    let mut cells = Matrix::All.cells().into_iter();
    let names = only.join(" and ");
    ensure!(
        cells.any(|cell| has_all(&cell.to_string(), only)),
        "no cell has {names} in its name: `bench list` says them"
    );
    eprintln!("bench: nothing of {part} has {names} in its name");
    Ok(())
}

const fn source(shape: Shape, count: usize, seed: u64) -> Source {
    Source {
        shape,
        disjoint: false,
        count,
        seed,
    }
}

fn plain() -> Vec<Cell> {
    let of = |family| Peer::ALL.iter().map(move |peer| Cell::plain(*peer, family));
    let has_rules = |cell: &Cell| {
        let peers = APART.iter().chain(&IN_ORDER);
        peers.clone().any(|(peer, _)| *peer == cell.peer)
    };
    let all = Family::ALL.into_iter().flat_map(of);
    all.filter(|cell| !has_rules(cell) && !cell.peer.is_before_ip())
        .collect()
}

/// Peers that drop each packet, in the path of a packet from the device on.
fn path() -> Vec<Cell> {
    let of = |burst| {
        let cells = Peer::ALL.iter().filter(|peer| peer.drops());
        cells.map(move |peer| Cell {
            harness: Harness::Pktgen(burst),
            ..Cell::plain(*peer, Family::V4)
        })
    };
    [1, 32].into_iter().flat_map(of).collect()
}

fn policy() -> Vec<Cell> {
    let mut cells = Vec::new();
    for family in Family::ALL {
        for count in [1, 8, 100, 1000, 10_000, 100_000] {
            for shape in Shape::REALISTIC {
                for seed in 1..=SEEDS {
                    for traffic in Traffic::ALL {
                        cells.push(Cell::of(
                            Peer::Policy,
                            family,
                            source(shape, count, seed),
                            traffic,
                        ));
                    }
                }
            }
        }
        for count in [100, 1000] {
            for shape in HARSH {
                for traffic in Traffic::ALL {
                    cells.push(Cell::of(
                        Peer::Policy,
                        family,
                        source(shape, count, 1),
                        traffic,
                    ));
                }
            }
        }
    }
    cells
}

fn against(
    peers: &[(Peer, usize)],
    counts: &[usize],
    disjoint: bool,
    seeds: impl Fn(usize) -> u64,
) -> Vec<Cell> {
    let mut cells = Vec::new();
    for family in Family::ALL {
        for &count in counts {
            for shape in Shape::REALISTIC {
                for seed in 1..=seeds(count) {
                    let source = Source {
                        disjoint,
                        ..source(shape, count, seed)
                    };
                    let peers = peers.iter().filter(|(_, most)| count <= *most);
                    for (peer, _) in peers {
                        for traffic in Traffic::ALL {
                            cells.push(Cell::of(*peer, family, source, traffic));
                        }
                    }
                }
            }
        }
    }
    cells
}

/// Peers take long: one pair for each shape at the larger sizes, two below.
const fn pairs(count: usize) -> u64 {
    match count {
        0..=100 => 2,
        _ => 1,
    }
}

/// Rules apart in numbers that only time is measured with: to set up pipapo takes an
/// emulated machine very long.
pub(crate) fn large() -> Vec<Cell> {
    let of = |&(peer, most): &(Peer, usize)| match peer {
        Peer::NftRanges => (peer, usize::MAX),
        _ => (peer, most),
    };
    against(&APART.each_ref().map(of), &[10_000, 30_000], true, |_| 1)
}

fn vector() -> Vec<Cell> {
    let mut cells = Matrix::Disjoint.cells();
    cells.retain(|cell| matches!(cell.peer, Peer::Policy | Peer::NftRanges));
    cells
}

fn check() -> Vec<Cell> {
    let mut cells = Vec::new();
    for family in Family::ALL {
        for peer in [
            Peer::Empty,
            Peer::Idle,
            Peer::TraceMiss,
            Peer::TraceHit,
            Peer::TraceAgain,
        ] {
            cells.push(Cell::plain(peer, family));
        }
        for (shape, count) in [
            (Shape::Acl, 8),
            (Shape::Acl, 100),
            (Shape::Fw, 1000),
            (Shape::Containers, 1000),
        ] {
            for traffic in Traffic::ALL {
                cells.push(Cell::of(
                    Peer::Policy,
                    family,
                    source(shape, count, 1),
                    traffic,
                ));
            }
        }
    }
    cells
}

impl Matrix {
    /// Its cells.
    pub(crate) fn cells(self) -> Vec<Cell> {
        match self {
            Self::Plain => plain(),
            Self::Path => path(),
            Self::Policy => policy(),
            Self::Disjoint => against(&APART, &[100, 1000, 3000], true, pairs),
            Self::Ordered => against(&IN_ORDER, &[100, 1000], false, pairs),
            Self::All => [
                Self::Plain,
                Self::Path,
                Self::Policy,
                Self::Disjoint,
                Self::Ordered,
            ]
            .into_iter()
            .flat_map(Self::cells)
            .collect(),
            Self::Vector => vector(),
            Self::Check => check(),
        }
    }
}

impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_checked_is_part_of_what_is_stored() {
        let all = Matrix::All.cells();
        for cell in Matrix::Check.cells() {
            assert!(all.contains(&cell), "{cell}");
        }
    }

    #[test]
    fn a_peer_is_compared_on_the_rules_and_packets_of_a_policy() {
        for matrix in [Matrix::Disjoint, Matrix::Ordered] {
            let cells = matrix.cells();
            for cell in &cells {
                let ours = Cell {
                    peer: Peer::Policy,
                    ..*cell
                };
                assert!(cells.contains(&ours), "{cell}");
            }
        }
    }
}
