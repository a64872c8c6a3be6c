// SPDX-License-Identifier: GPL-2.0

//! Measures cells in virtual machines that count instructions.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{anyhow, ensure, Context, Result};
use nftrace_bench::packets::{self, PacketTuple};
use nftrace_bench::rules::{Family, RuleSet, TCP};
use nftrace_tests::checkout::top;
use nftrace_tests::random::Random;
use nftrace_tests::vm::{Report, Vm};
use serde::Deserialize;

use crate::cell::{Cell, Harness, Source, Traffic};
use crate::figures::{Figure, Figures, Machine};
use crate::peer::{Peer, PORT};

/// Packets of a trace.
const PACKETS: usize = 2000;

/// Cells of one machine: booting is most of what a short one takes.
const AT_ONCE: usize = 100;

/// What hook_bench prints.
#[derive(Debug, Deserialize)]
struct Measured {
    packets: u32,
    dropped: u32,
    ns: Vec<u64>,
}

#[derive(Debug, Deserialize)]
struct Line {
    cell: String,
    setup_kinsn: u64,
    result: Measured,
}

/// What a machine is given.
#[derive(Default)]
struct Plan {
    lines: String,
    files: BTreeMap<String, Vec<u8>>,
    unable: BTreeMap<String, String>,
}

/// The hash of verdicts as hook_bench makes it: FNV-1a over 1 for accept, 0 for drop.
fn hash(verdicts: impl Iterator<Item = bool>) -> String {
    let hash = verdicts.fold(0xcbf2_9ce4_8422_2325_u64, |hash, accepts| {
        (hash ^ u64::from(accepts)).wrapping_mul(0x100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// Packets as hook_bench takes them.
fn trace(packets: &[PacketTuple]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for packet in packets {
        let packet = packet.bytes();
        let len = u16::try_from(packet.len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.extend_from_slice(&packet);
    }
    bytes
}

/// TCP from anywhere to anywhere, to [`PORT`] or to no such port.
fn to_port(family: Family, hit: bool) -> Vec<PacketTuple> {
    let random = &mut Random::new(0x706f_7274);
    let all = (0..PACKETS).map(|_| {
        let mut packet = PacketTuple::any(family, random);
        packet.proto = TCP;
        packet.sport = 30_000;
        packet.dport = if hit {
            PORT
        } else {
            1024 + u16::try_from(random.below(7000)).unwrap_or(0)
        };
        packet
    });
    all.collect()
}

pub(crate) fn generate(source: Source, family: Family) -> Option<RuleSet> {
    if source.disjoint {
        source
            .shape
            .generate_disjoint(family, source.count, source.seed)
    } else {
        Some(source.shape.generate(family, source.count, source.seed))
    }
}

/// Packets for rules, and the verdicts that all peers have to give them.
fn packets_of(set: &RuleSet, source: Source, traffic: Traffic) -> (Vec<u8>, String) {
    let packets = match traffic {
        Traffic::Hit => packets::hits(set, PACKETS, source.seed),
        Traffic::Miss => packets::misses(set, PACKETS, source.seed),
    };
    let verdicts = packets
        .iter()
        .map(|packet| set.first_match(packet).is_none());
    (trace(&packets), hash(verdicts))
}

impl Plan {
    fn of(cells: &[Cell]) -> Self {
        let mut plan = Self::default();
        let mut expected: HashMap<String, String> = HashMap::new();
        let mut sets: HashMap<(Source, Family), Option<RuleSet>> = HashMap::new();
        for cell in cells {
            let set = cell.rules.map(|(source, _)| {
                let set = sets.entry((source, cell.family));
                &*set.or_insert_with(|| generate(source, cell.family))
            });
            if let Err(why) = plan.add(cell, set, &mut expected) {
                plan.unable.insert(cell.to_string(), format!("{why:#}"));
            }
        }
        plan
    }

    fn add(
        &mut self,
        cell: &Cell,
        set: Option<&Option<RuleSet>>,
        expected: &mut HashMap<String, String>,
    ) -> Result<()> {
        let (file, packets) = (cell.file(), cell.packets());
        let table = match cell.family {
            Family::V4 => "ip",
            Family::V6 => "ip6",
        };
        let (rules, verdicts) = match (cell.rules, set) {
            (Some((source, traffic)), Some(set)) => {
                let set = set
                    .as_ref()
                    .context("the shape has not so many rules apart")?;
                let rules = match self.files.get(&file) {
                    Some(_) => None,
                    None => Some(cell.peer.rules(set)?),
                };
                if !self.files.contains_key(&packets) {
                    let (bytes, hash) = packets_of(set, source, traffic);
                    ensure!(!bytes.is_empty(), "there are no such packets");
                    self.files.insert(packets.clone(), bytes);
                    expected.insert(packets.clone(), hash);
                }
                (rules, expected[&packets].clone())
            }
            _ => {
                let bytes = || trace(&to_port(cell.family, cell.peer.is_hit()));
                self.files.entry(packets.clone()).or_insert_with(bytes);
                let accepts = !cell.peer.drops();
                let verdicts = hash((0..PACKETS).map(|_| accepts));
                (cell.peer.plain(table), verdicts)
            }
        };
        if let Some(rules) = rules {
            self.files.insert(file.clone(), rules.into_bytes());
        }
        let file = if self.files.contains_key(&file) {
            &file
        } else {
            "-"
        };
        let pf = match cell.family {
            Family::V4 => 2,
            Family::V6 => 10,
        };
        let (hook, mode) = cell.peer.hook();
        // pktgen makes packets of its own, and all of them are to be dropped.
        let (hook, packets, verdicts) = match cell.harness {
            Harness::Hook => (hook.to_string(), packets.as_str(), verdicts.as_str()),
            Harness::Pktgen(burst) => (format!("pktgen{burst}"), "-", "-"),
        };
        self.lines += &format!(
            "{cell} {} {pf} {hook} {} {} {file} {packets} {verdicts}\n",
            cell.peer.script(),
            mode,
            cell.rounds(),
        );
        Ok(())
    }
}

/// Compiles the module that measures.
fn hook_bench() -> Result<Vec<u8>> {
    let script = top().join("scripts/build-hook-bench");
    let output = Command::new(&script)
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
    let plan = Plan::of(&all);
    let mut vm = Vm::new(name)
        .script("tests/lab/bench.sh", &[])
        .with_command()
        .size(1, "2G")
        .counting_instructions(cpu)
        .timeout(Duration::from_secs(7200))
        .file("hook_bench.ko", module.to_vec())
        .file("bench-plan", plan.lines.into_bytes());
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
            setup_kinsn: line.setup_kinsn,
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
    let module = hook_bench()?;
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
    let groups: Vec<&[Cell]> = sorted.chunks(AT_ONCE).collect();
    let done = Mutex::new(done);
    let measure_one = |(number, group): (usize, &[Cell])| {
        let figures = measure_some(&format!("{name} {cpu} {number}"), group, cpu, &module)?;
        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
        (*done)(figures)
    };
    let results: Vec<Result<()>> = thread::scope(|scope| {
        let one = &measure_one;
        let threads = groups
            .into_iter()
            .enumerate()
            .map(|group| scope.spawn(move || one(group)));
        let threads: Vec<_> = threads.collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined
            .map(|result| result.unwrap_or_else(|_| Err(anyhow!("panicked"))))
            .collect()
    });
    results.into_iter().collect()
}
