// SPDX-License-Identifier: GPL-2.0

//! Nanoseconds a packet, in blocks: all peers that hold the same rules stay set up, and are
//! measured by turns, so that what else the host does meets all of them.

use std::collections::{BTreeMap, HashMap};
use std::fs;

use anyhow::{ensure, Context, Result};
use nftrace_bench::rules::Family;
use nftrace_bench::shapes::Shape;
use nftrace_tests::guest::compiled;
use serde::Deserialize;

use super::{machine_of, vm};
use crate::cell::{Cell, Source, Traffic};
use crate::figures::{Figure, Figures};
use crate::machine::{hook_bench, run, Measured};
use crate::peer::Peer;
use crate::plan::Plan;
use crate::stats::quartiles;

/// Hooks without rules.
const PLAIN: [Peer; 11] = [
    Peer::None,
    Peer::Empty,
    Peer::Empty8,
    Peer::Drop,
    Peer::Parse,
    Peer::Idle,
    Peer::TraceMiss,
    Peer::TraceHit,
    Peer::TraceAgain,
    Peer::NftMiss,
    Peer::NftDrop,
];

/// Who holds rules that do not overlap, and up to how many.
const APART: [(Peer, usize); 4] = [
    (Peer::Policy, usize::MAX),
    (Peer::NftRanges, 30_000),
    (Peer::NftLinear, 1000),
    (Peer::Legacy, 1000),
];

/// And rules in order.
const IN_ORDER: [(Peer, usize); 4] = [
    (Peer::Policy, usize::MAX),
    (Peer::NftLayers, 100),
    (Peer::NftLinear, 1000),
    (Peer::Legacy, 1000),
];

/// Packets that no rule matches are looked for among all rules: not where these are many.
const MISSES: usize = 1000;

/// What is measured by turns.
struct Group {
    name: String,
    blocks: u32,
    cells: Vec<Cell>,
}

fn plain(family: Family) -> Group {
    let peers = PLAIN.iter().map(|peer| Cell::plain(*peer, family));
    Group {
        name: format!("plain.{}", family.name()),
        blocks: 20,
        cells: peers.collect(),
    }
}

fn with_rules(family: Family, source: Source, peers: &[(Peer, usize)]) -> Group {
    let peers = peers.iter().filter(|(peer, most)| {
        let can = family == Family::V4 || *peer != Peer::Legacy;
        can && source.count <= *most
    });
    let mut cells = vec![Cell::loop_of(family)];
    for (peer, _) in peers {
        for traffic in Traffic::ALL {
            if traffic == Traffic::Hit || source.count <= MISSES {
                cells.push(Cell::of(*peer, family, source, traffic));
            }
        }
    }
    Group {
        name: format!("{}.{source}", family.name()),
        blocks: if source.count > 30_000 { 5 } else { 10 },
        cells,
    }
}

fn groups() -> Vec<Group> {
    let mut groups: Vec<Group> = Family::ALL.into_iter().map(plain).collect();
    let mut add = |family, disjoint, counts: &[usize], peers: &[(Peer, usize)]| {
        for &count in counts {
            for shape in Shape::REALISTIC {
                let source = Source {
                    shape,
                    disjoint,
                    count,
                    seed: 1,
                };
                groups.push(with_rules(family, source, peers));
            }
        }
    };
    let apart = [100, 1000, 3000, 10_000, 30_000];
    add(Family::V4, true, &apart, &APART);
    add(Family::V4, false, &[100, 1000, 10_000, 100_000], &IN_ORDER);
    add(Family::V6, true, &[1000], &APART[..2]);
    groups
}

/// A round of a slow peer is long enough by itself.
fn rounds(cell: &Cell) -> u32 {
    match cell.rules {
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

/// Groups that have all of `only` in their names.
fn wanted(groups: Vec<Group>, only: &[String]) -> Result<Vec<Group>> {
    let names: Vec<String> = groups.iter().map(|group| group.name.clone()).collect();
    let is_wanted = |group: &Group| only.iter().all(|part| group.name.contains(part));
    let chosen: Vec<Group> = groups.into_iter().filter(is_wanted).collect();
    ensure!(
        !chosen.is_empty(),
        "no group has {} in its name; there are: {}",
        only.join(" and "),
        names.join(" ")
    );
    Ok(chosen)
}

/// Measures all of it in one machine, or groups that have all of `only` in their names.
pub(super) fn measure(only: &[String]) -> Result<Figures> {
    let mut plan = Plan::default();
    for group in wanted(groups(), only)? {
        let of = Plan::of(&group.cells, rounds);
        plan.lines += &format!("group {} {}\n{}", group.name, group.blocks, of.lines);
        for (name, content) in of.files {
            let content = match name.strip_prefix("rules.policy.") {
                Some(_) => blob(content).with_context(|| name.clone())?,
                None => content,
            };
            plan.files.insert(name, content);
        }
        plan.unable.extend(of.unable);
    }
    let mut vm = vm("rates", "tests/lab/bench-native.sh", &[])
        .file("hook_bench.ko", hook_bench("plain")?)
        .file("bench", std::env::current_exe().and_then(fs::read)?)
        .file("bench-plan", plan.lines.into_bytes());
    for (name, content) in plan.files {
        vm = vm.file(&name, content);
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

/// A policy, compiled: it is loaded in each block, and compiled once.
fn blob(text: Vec<u8>) -> Result<Vec<u8>> {
    Ok(compiled(&String::from_utf8(text)?)?.bytes().to_vec())
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
    fn a_name_that_no_group_has_is_an_error_that_says_which_there_are() {
        let only = ["plain".to_owned(), "ipv4".to_owned()];
        let names = wanted(groups(), &only).map(|groups| groups[0].name.clone());
        assert_eq!(names.unwrap(), "plain.ipv4");
        let error = wanted(groups(), &["idle.ipv4".to_owned()]).err().unwrap();
        assert!(error.to_string().contains("plain.ipv6"), "{error}");
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
