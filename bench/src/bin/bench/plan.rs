// SPDX-License-Identifier: GPL-2.0

//! What a machine is given to measure cells: rules, packets, and the verdicts that have to
//! come out.

use std::collections::{BTreeMap, HashMap};

use anyhow::{ensure, Context, Result};
use nftrace_bench::packets::{self, PacketTuple};
use nftrace_bench::rules::{Family, RuleSet, TCP};
use nftrace_tests::guest::compiled;
use nftrace_tests::random::Random;

use crate::cell::{Cell, Harness, Source, Traffic};
use crate::peer::{Peer, PORT};

/// What sets up a policy that comes compiled.
const COMPILED: &str = "compiled";

/// Packets of a trace.
const PACKETS: usize = 2000;

/// What a machine is given.
#[derive(Default)]
pub(crate) struct Plan {
    /// A line for each cell, as `tests/lab/bench.sh` reads it.
    pub(crate) lines: String,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Cells that there cannot be, and why.
    pub(crate) unable: BTreeMap<String, String>,
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

fn generate(source: Source, family: Family) -> Option<RuleSet> {
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

/// The rules as the peer is given them.
fn content(peer: Peer, set: &RuleSet, compile: bool) -> Result<Vec<u8>> {
    let text = peer.rules(set)?;
    Ok(if compile {
        compiled(&text)?.bytes().to_vec()
    } else {
        text.into_bytes()
    })
}

impl Plan {
    /// For these cells, each measured in so many rounds; some of the policies come compiled.
    pub(crate) fn of(
        cells: &[Cell],
        rounds: impl Fn(&Cell) -> u32,
        comes_compiled: impl Fn(&Cell) -> bool,
    ) -> Self {
        let mut plan = Self::default();
        let mut expected: HashMap<String, String> = HashMap::new();
        let mut sets: HashMap<(Source, Family), Option<RuleSet>> = HashMap::new();
        for cell in cells {
            let set = cell.rules.map(|(source, _)| {
                let set = sets.entry((source, cell.family));
                &*set.or_insert_with(|| generate(source, cell.family))
            });
            let how = (rounds(cell), comes_compiled(cell));
            if let Err(why) = plan.add(cell, how, set, &mut expected) {
                plan.unable.insert(cell.to_string(), format!("{why:#}"));
            }
        }
        plan
    }

    fn add(
        &mut self,
        cell: &Cell,
        (rounds, comes_compiled): (u32, bool),
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
                    None => Some(content(cell.peer, set, comes_compiled)?),
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
                (cell.peer.plain(table).map(String::into_bytes), verdicts)
            }
        };
        if let Some(rules) = rules {
            self.files.insert(file.clone(), rules);
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
            "{cell} {} {pf} {hook} {mode} {rounds} {file} {packets} {verdicts}\n",
            if comes_compiled {
                COMPILED
            } else {
                cell.peer.script()
            },
        );
        Ok(())
    }
}
