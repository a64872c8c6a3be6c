// SPDX-License-Identifier: GPL-2.0

//! Measures cells in virtual machines that count instructions.

use std::collections::HashMap;
use std::fs;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{anyhow, ensure, Context, Result};
use nftrace_bench::rules::Family;
use nftrace_tests::checkout::top;
use nftrace_tests::vm::{at_once, Report, Vm};
use serde::Deserialize;

use crate::cell::{Cell, Harness};
use crate::figures::{Figure, Figures, Machine};
use crate::peer::Peer;
use crate::plan::Plan;

/// Cells of one machine, large ones counted as several: booting is most of what a short run
/// takes, and a plan is in memory.
const AT_ONCE: usize = 100;

/// What hook_bench prints.
#[derive(Debug, Deserialize)]
pub(crate) struct Measured {
    pub(crate) packets: u32,
    pub(crate) dropped: u32,
    /// Of each round.
    pub(crate) ns: Vec<u64>,
}

#[derive(Debug, Deserialize)]
struct Line {
    cell: String,
    setup_kinsn: u64,
    result: Measured,
}

/// Compiles the module that measures, for `stock` or a kernel of scripts/debug-kernel.
pub(crate) fn hook_bench(kernel: &str) -> Result<Vec<u8>> {
    let script = top().join("scripts/build-hook-bench");
    let output = Command::new(&script)
        .arg(kernel)
        .output()
        .context("scripts/build-hook-bench")?;
    ensure!(
        output.status.success(),
        "scripts/build-hook-bench: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let path = String::from_utf8(output.stdout)?;
    fs::read(path.trim()).with_context(|| path.clone())
}

fn first_line(program: &str, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// This program, for what of it runs in a guest.
pub(crate) fn itself() -> Result<Vec<u8>> {
    std::env::current_exe()
        .and_then(fs::read)
        .context("this program")
}

/// Runs a machine. Where the host is busy, some do not come up: these are started again.
pub(crate) fn run(vm: &Vm) -> Result<Report> {
    let mut tries = 3;
    loop {
        tries -= 1;
        match vm.run() {
            Ok(report) => return Ok(report),
            Err(failure) if failure.output.is_empty() && tries > 0 => {
                eprintln!("bench: {}: {}; once more", failure.test, failure.reason);
            }
            Err(failure) => return Err(anyhow!("{failure}")),
        }
    }
}

/// Measures cells in one machine.
fn measure_some(name: &str, cells: &[Cell], cpu: &str, module: &[u8]) -> Result<Figures> {
    let mut all: Vec<Cell> = Family::ALL
        .into_iter()
        .filter(|family| cells.iter().any(|cell| cell.family == *family))
        .map(Cell::loop_of)
        .collect();
    let loops = all.clone();
    all.extend(cells.iter().filter(|cell| cell.peer != Peer::None));
    let plan = Plan::of(&all, Cell::rounds, Cell::comes_compiled);
    let mut vm = Vm::new(name)
        .script("tests/lab/bench.sh", &[])
        .with_command()
        .size(1, "2G")
        .counting_instructions(cpu)
        .timeout(Duration::from_secs(7200))
        .file("hook_bench.ko", module.to_vec())
        .file("bench-plan", plan.lines.into_bytes());
    if all.iter().any(Cell::comes_compiled) {
        vm = vm.file("bench", itself()?);
    }
    for (name, content) in plan.files {
        vm = vm.file(&name, content);
    }
    let report = run(&vm)?;
    let text = report.file("cells.jsonl").context("cells.jsonl")?;
    let lines: Vec<Line> = text
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| line.to_owned()))
        .collect::<Result<_>>()?;
    let of_loop = |family| {
        let name = Cell::loop_of(family).to_string();
        let line = lines.iter().find(|line| line.cell == name);
        line.map_or(0.0, |line| least(&line.result))
    };
    let loops: HashMap<Family, f64> = loops
        .iter()
        .map(|cell| (cell.family, of_loop(cell.family)))
        .collect();
    let kernel = report.file("machine.txt").context("machine.txt")?;
    let mut facts = kernel.lines().map(str::to_owned);
    let mut figures = Figures {
        machine: Machine {
            kernel: facts.next().unwrap_or_default(),
            mitigations: facts.next().unwrap_or_default(),
            cpu: cpu.to_owned(),
            qemu: first_line("qemu-system-x86_64", "--version"),
        },
        unable: plan.unable,
        ..Figures::default()
    };
    for line in &lines {
        let cell: Cell = line.cell.parse()?;
        // The loop itself is kept as it is.
        let of_loop = if cell.peer == Peer::None {
            0.0
        } else {
            loops[&cell.family]
        };
        let (packets, dropped) = (line.result.packets, line.result.dropped);
        let is_path = cell.harness != Harness::Hook;
        ensure!(
            !is_path || !cell.peer.drops() || dropped == packets,
            "{cell}: of {packets} packets, {dropped} were dropped"
        );
        let figure = Figure {
            insn: ((least(&line.result) - of_loop) * 100.0).round() / 100.0,
            packets,
            dropped,
            setup_kinsn: if cell.comes_compiled() {
                0
            } else {
                line.setup_kinsn
            },
            spread: None,
        };
        figures.cells.insert(line.cell.clone(), figure);
    }
    Ok(figures)
}

/// Instructions a packet in the best round: what interrupts only adds.
fn least(measured: &Measured) -> f64 {
    let ns = measured.ns.iter().copied().min().unwrap_or(0);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let ns = ns as f64;
    ns / f64::from(measured.packets.max(1))
}

/// Groups of cells, in their order, each for one machine.
fn groups(cells: &[Cell]) -> Vec<&[Cell]> {
    let weight = |cell: &Cell| {
        cell.rules
            .map_or(1, |(source, _)| 1 + source.count / 10_000)
    };
    let mut groups = Vec::new();
    let (mut from, mut sum) = (0, 0);
    for (at, cell) in cells.iter().enumerate() {
        if sum + weight(cell) > AT_ONCE {
            groups.push(&cells[from..at]);
            (from, sum) = (at, 0);
        }
        sum += weight(cell);
    }
    groups.push(&cells[from..]);
    groups
}

/// Measures cells, in as many machines as it takes, some of them at once; `done` is given
/// what each has measured.
///
/// # Errors
///
/// The first machine that failed; the others are measured none the less.
pub(crate) fn measure(
    name: &str,
    cells: &[Cell],
    cpu: &str,
    done: impl FnMut(Figures) -> Result<()> + Send,
) -> Result<()> {
    let module = hook_bench("stock")?;
    let mut sorted = cells.to_vec();
    // What has the same rules is measured in the same machine, and a peer set up once.
    sorted.sort_by_key(|cell| {
        (
            cell.rules.map(|(source, _)| source),
            cell.family,
            cell.peer,
            *cell,
        )
    });
    sorted.dedup();
    let groups = Mutex::new(groups(&sorted).into_iter().enumerate());
    let done = Mutex::new(done);
    let next = || groups.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        let mut results = Vec::new();
        while let Some((number, group)) = next() {
            let figures = measure_some(&format!("{name} {cpu} {number}"), group, cpu, &module);
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            results.push(figures.and_then(|figures| (*done)(figures)));
        }
        results
    };
    let results: Vec<Result<()>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..at_once()).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined
            .flat_map(|results| results.unwrap_or_else(|_| vec![Err(anyhow!("panicked"))]))
            .collect()
    });
    results.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Matrix;

    #[test]
    fn every_cell_is_in_one_group_and_large_ones_are_in_small_groups() {
        let cells = Matrix::All.cells();
        let groups = groups(&cells);
        let grouped: Vec<Cell> = groups.iter().flat_map(|group| group.to_vec()).collect();
        assert_eq!(grouped, cells);
        for group in groups {
            assert!(!group.is_empty());
            let large = group.iter().filter_map(|cell| cell.rules);
            let large = large.filter(|(source, _)| source.count == 100_000).count();
            assert!(large <= 9, "{large}");
        }
    }
}
