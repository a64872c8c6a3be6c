// SPDX-License-Identifier: GPL-2.0

//! Nanoseconds a packet, in blocks: all peers that hold the same rules stay set up, and are
//! measured by turns, so that what else the host does meets all of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{ensure, Context, Result};
use nftrace_bench::rules::Family;
use serde::Deserialize;

use super::{machine_of, vm};
use crate::cell::{Cell, Harness, Source};
use crate::figures::{Figure, Figures};
use crate::machine::{hook_bench, itself, run, Measured};
use crate::matrix::{self, has_all, Matrix};
use crate::peer::Peer;
use crate::plan::Plan;
use crate::stats::quartiles;

/// What cannot be measured so, and why.
const ELSEWHERE: [(Peer, &str); 4] = [
    (
        Peer::PortsHit,
        "the worker that prints would share the one CPU",
    ),
    (Peer::NftLog, "there the kernel's log is a pipe to the host"),
    (Peer::BpfMiss, NO_FENTRY),
    (Peer::BpfHit, NO_FENTRY),
];
const NO_FENTRY: &str = "User Mode Linux compiles no BPF, which fentry takes";

/// Which of the seeds.
const SEED: u64 = 1;

/// What is measured by turns.
struct Group {
    name: String,
    blocks: u32,
    cells: Vec<Cell>,
}

/// All that is measured in instructions, of one seed, and rules apart up to the largest
/// number that pipapo is measured with.
fn groups() -> Vec<Group> {
    let of = |matrix: Matrix| matrix.cells().into_iter();
    let can = |cell: &Cell| ELSEWHERE.iter().all(|(peer, _)| *peer != cell.peer);
    let mut groups = Vec::new();
    for family in Family::ALL {
        let cells = of(Matrix::Plain).filter(|cell| cell.family == family);
        // A rule that traces slows nftables down in all namespaces.
        let (traced, plain): (Vec<Cell>, Vec<Cell>) = cells
            .filter(can)
            .partition(|cell| cell.peer == Peer::NftTrace);
        let traced = [Cell::loop_of(family)].into_iter().chain(traced).collect();
        for (name, cells) in [("plain", plain), ("nft-trace", traced)] {
            groups.push(Group {
                name: format!("{name}.{}", family.name()),
                blocks: 20,
                cells,
            });
        }
    }
    groups.push(Group {
        name: "path.ipv4".to_owned(),
        blocks: 10,
        cells: [Cell::loop_of(Family::V4)]
            .into_iter()
            .chain(of(Matrix::Path))
            .collect(),
    });
    let with_rules = [Matrix::Policy, Matrix::Disjoint, Matrix::Ordered];
    let cells = with_rules.into_iter().flat_map(of).chain(matrix::large());
    let mut all: BTreeMap<(Source, Family), BTreeSet<Cell>> = BTreeMap::new();
    for cell in cells {
        if let Some((source, _)) = cell.rules.filter(|(source, _)| source.seed == SEED) {
            all.entry((source, cell.family)).or_default().insert(cell);
        }
    }
    for ((source, family), cells) in all {
        groups.push(Group {
            name: format!("{}.{source}", family.name()),
            blocks: if source.count > 30_000 { 5 } else { 10 },
            cells: [Cell::loop_of(family)].into_iter().chain(cells).collect(),
        });
    }
    groups
}

/// A round of a slow peer is long enough by itself.
fn rounds(cell: &Cell) -> u32 {
    match cell.rules {
        // A run of pktgen is ten times as many packets, and waits for itself.
        _ if cell.harness != Harness::Hook => 2,
        Some((source, _)) if cell.peer.is_linear() && source.count >= 1000 => 2,
        Some(_) if cell.peer.is_linear() => 4,
        _ => 8,
    }
}

#[derive(Debug, Deserialize)]
struct Line {
    cell: String,
    group: String,
    setup_kinsn: u64,
    result: Measured,
}

impl Line {
    /// Nanoseconds a packet in the median of the rounds.
    fn value(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let rounds: Vec<f64> = self.result.ns.iter().map(|ns| *ns as f64).collect();
        Some(quartiles(&rounds)?[1] / f64::from(self.result.packets.max(1)))
    }
}

/// Groups that have all of `only` in their names or in that of a cell.
fn wanted(only: &[String]) -> Vec<Group> {
    let is_wanted = |group: &Group| {
        let mut cells = group.cells.iter();
        has_all(&group.name, only) || cells.any(|cell| has_all(&cell.to_string(), only))
    };
    groups().into_iter().filter(is_wanted).collect()
}

/// Measures all that is [`wanted`] in one machine.
pub(super) fn measure(only: &[String]) -> Result<Figures> {
    let mut plan = Plan::default();
    let groups = wanted(only);
    if groups.is_empty() {
        matrix::none_in("what is measured in time", only)?;
        return Ok(Figures::default());
    }
    for group in groups {
        // Loaded in each block, and compiled once: compiling is no part of this.
        let comes_compiled = |cell: &Cell| cell.peer == Peer::Policy;
        let of = Plan::of(&group.cells, rounds, comes_compiled);
        plan.lines += &format!("group {} {}\n{}", group.name, group.blocks, of.lines);
        plan.files.extend(of.files);
        plan.unable.extend(of.unable);
    }
    let mut vm = vm("rates", "tests/lab/bench-native.sh", &[])
        .file("hook_bench.ko", hook_bench("plain")?)
        .file("bench", itself()?)
        .file("bench-plan", plan.lines.into_bytes());
    for (name, content) in plan.files {
        vm = vm.file(&name, content);
    }
    for (peer, why) in ELSEWHERE {
        let cell = Cell::plain(peer, Family::V4);
        plan.unable.insert(cell.to_string(), why.to_owned());
    }
    let report = run(&vm)?;
    let text = report.file("cells.jsonl").context("cells.jsonl")?;
    Ok(Figures {
        machine: machine_of(&report)?,
        cells: figures(&text)?,
        unable: plan.unable,
        ..Figures::default()
    })
}

/// Of each cell: the median over its blocks, without the loop as it was in the same group.
fn figures(text: &str) -> Result<BTreeMap<String, Figure>> {
    let mut blocks: BTreeMap<(String, String), Vec<Line>> = BTreeMap::new();
    for line in text.lines() {
        let line: Line = serde_json::from_str(line).with_context(|| line.to_owned())?;
        let key = (line.group.clone(), line.cell.clone());
        blocks.entry(key).or_default().push(line);
    }
    let mut of_group: HashMap<&str, f64> = HashMap::new();
    let mut all = Vec::new();
    for ((group, name), lines) in &blocks {
        let values: Vec<f64> = lines.iter().filter_map(Line::value).collect();
        let quartiles = quartiles(&values).with_context(|| format!("{name}: no rounds"))?;
        let cell: Cell = name.parse()?;
        if cell.peer == Peer::None {
            of_group.insert(group, quartiles[1]);
        }
        let dropped = lines.iter().map(|line| line.result.dropped).min();
        ensure!(
            cell.harness == Harness::Hook || dropped == Some(lines[0].result.packets),
            "{cell}: of {} packets, {dropped:?} were dropped",
            lines[0].result.packets
        );
        all.push((group, cell, lines, quartiles));
    }
    let mut figures = BTreeMap::new();
    for (group, cell, lines, quartiles) in all {
        let of_loop = match cell.peer {
            Peer::None => 0.0,
            _ => *of_group
                .get(group.as_str())
                .with_context(|| format!("{group}: no loop"))?,
        };
        let net = |value: f64| ((value - of_loop) * 10.0).round() / 10.0;
        let first = &lines[0].result;
        let all_alike = lines
            .iter()
            .all(|line| line.result.dropped == first.dropped);
        ensure!(all_alike, "{cell}: other verdicts in other blocks");
        let mut setups: Vec<u64> = lines.iter().map(|line| line.setup_kinsn).collect();
        setups.sort_unstable();
        let figure = Figure {
            insn: net(quartiles[1]),
            packets: first.packets,
            dropped: first.dropped,
            setup_kinsn: setups[setups.len() / 2],
            spread: Some([net(quartiles[0]), net(quartiles[2])]),
        };
        // The loop is in every group; any of them says how long it takes.
        figures.insert(cell.to_string(), figure);
    }
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_the_median_of_blocks_without_the_loop_of_its_group() {
        let line = |cell: &str, group: &str, ns: &[u64]| {
            format!(
                "{{\"cell\":\"{cell}\",\"group\":\"{group}\",\"block\":0,\"setup_kinsn\":7,\
                 \"result\":{{\"packets\":100,\"accepted\":0,\"dropped\":100,\"ns\":{ns:?}}}}}\n"
            )
        };
        let text = line("none.ipv4", "a", &[1000, 1000, 9000])
            + &line("none.ipv4", "b", &[2000])
            + &line("drop.ipv4", "a", &[3000, 3100, 99_000])
            + &line("drop.ipv4", "a", &[4000])
            + &line("drop.ipv4", "a", &[50_000])
            + &line("parse.ipv4", "b", &[5000]);
        let figures = figures(&text).unwrap();
        assert_eq!(figures["drop.ipv4"].insn, 30.0);
        assert_eq!(figures["drop.ipv4"].spread, Some([25.5, 260.0]));
        assert_eq!(figures["parse.ipv4"].insn, 30.0);
        assert_eq!(figures["drop.ipv4"].setup_kinsn, 7);
    }

    #[test]
    fn a_part_of_a_name_chooses_groups_and_one_that_nothing_has_is_an_error() {
        let parts =
            |all: &[&str]| -> Vec<String> { all.iter().map(|&one| one.to_owned()).collect() };
        let names = |all: &[&str]| -> Vec<String> {
            let groups = wanted(&parts(all)).into_iter();
            groups.map(|group| group.name).collect()
        };
        assert_eq!(names(&["plain", "ipv4"]), ["plain.ipv4"]);
        assert_eq!(names(&["idle.ipv4"]), ["plain.ipv4"]);
        assert_eq!(names(&["policy.ipv6.geo.8."]), ["ipv6.geo.8.1"]);
        // Of one seed only.
        let elsewhere = ["ipv6.geo.8.2."];
        assert!(names(&elsewhere).is_empty());
        assert!(matrix::none_in("it", &parts(&elsewhere)).is_ok());
        let nowhere = ["ipv6.goe."];
        assert!(names(&nowhere).is_empty());
        assert!(matrix::none_in("it", &parts(&nowhere)).is_err());
    }

    #[test]
    fn what_is_measured_in_instructions_is_measured_in_time_or_has_a_reason() {
        let groups = groups();
        for cell in Matrix::All.cells() {
            let is_seed = cell.rules.is_none_or(|(source, _)| source.seed == SEED);
            let has_reason = ELSEWHERE.iter().any(|(peer, _)| *peer == cell.peer);
            let is_measured = groups.iter().any(|group| group.cells.contains(&cell));
            assert_eq!(is_measured, is_seed && !has_reason, "{cell}");
        }
    }

    #[test]
    fn a_peer_is_measured_by_turns_with_a_policy_and_the_loop() {
        for group in groups() {
            assert!(group.cells.iter().any(|cell| cell.peer == Peer::None));
            for cell in group.cells.iter().filter(|cell| cell.rules.is_some()) {
                let ours = Cell {
                    peer: Peer::Policy,
                    ..*cell
                };
                assert!(group.cells.contains(&ours), "{cell}");
            }
        }
    }
}
