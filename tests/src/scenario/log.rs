// SPDX-License-Identifier: GPL-2.0

//! The trace as the kernel log has it: records, which the ways put together.

use std::collections::{HashMap, HashSet};

use nftrace_core::hook::{Family, Hook};
use nftrace_core::packet::Transport;
use nftrace_core::record::{v1, Record};

use super::ways::{device, Letters, Way};
use super::{judge, mismatch, not_taken, Mismatch, Packet, Taken};

/// The records of a run.
#[derive(Debug)]
pub struct Trace {
    records: Vec<Traced>,
}

#[derive(Debug, Clone)]
struct Traced {
    message: String,
    record: Record,
    step: String,
}

/// A packet that has not come to its end, and the ways that it may be on.
struct UnderWay {
    packet: Packet,
    ways: Vec<usize>,
}

impl Trace {
    /// Reads the records among the messages of a kernel log; `roles` has a line
    /// `role inode` for each namespace.
    ///
    /// # Errors
    ///
    /// When the log has a line of version 1 that is none.
    pub fn new<'a>(messages: impl Iterator<Item = &'a str>, roles: &str) -> Result<Self, Mismatch> {
        let roles = roles
            .lines()
            .filter_map(|line| {
                let (role, inode) = line.split_once(' ')?;
                Some((inode.parse().ok()?, role.to_owned()))
            })
            .collect::<HashMap<u32, String>>();
        let mut letters = Letters::default();
        let records = messages
            .filter(|message| message.starts_with(v1::PREFIX))
            .map(|message| {
                let Some(record) = v1::parse(message) else {
                    return mismatch(format!("not a line of version 1: {message}"));
                };
                let step = step(&record, &roles, &mut letters);
                Ok(Traced {
                    message: message.to_owned(),
                    record,
                    step,
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { records })
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Sorts the records into packets and holds each against the ways.
    ///
    /// # Errors
    ///
    /// When a packet took another way, a record belongs to no packet, or a way was not
    /// taken by the packets that it is for.
    pub fn packets(&self, ways: &[Way]) -> Result<Vec<Taken>, Mismatch> {
        let lines: Vec<Vec<&str>> = ways.iter().map(|way| way.records().collect()).collect();
        let mut taken = not_taken(ways);
        // The address of a freed packet is used again, so a packet is over when
        // all that is expected of it was seen.
        let mut under_way: HashMap<u64, UnderWay> = HashMap::new();
        let mut arrived: HashSet<u64> = HashSet::new();
        for Traced {
            message,
            record,
            step,
        } in &self.records
        {
            if arrived.contains(&record.skb)
                && !under_way.contains_key(&record.skb)
                && is_discarded_behind(record)
            {
                continue;
            }
            let on = under_way.entry(record.skb).or_insert_with(|| UnderWay {
                packet: start(record),
                ways: (0..ways.len()).collect(),
            });
            let at = on.packet.lines.len();
            let wanted: Vec<&str> = on
                .ways
                .iter()
                .filter_map(|&way| lines[way].get(at).copied())
                .collect();
            on.ways
                .retain(|&way| lines[way].get(at) == Some(&step.as_str()));
            let Some(&first) = on.ways.first() else {
                return mismatch(self.explain(&if at == 0 {
                    format!("no packet starts with\n  {step}")
                } else {
                    format!(
                        "expected\n  {}\nbut there is\n  {step}",
                        wanted.join("\nor\n  ")
                    )
                }));
            };
            on.packet.lines.push(step.clone());
            on.packet.messages.push(message.clone());
            if on.packet.lines.len() == lines[first].len() {
                let packet = std::mem::take(&mut on.packet);
                under_way.remove(&record.skb);
                arrived.insert(record.skb);
                taken[first].packets.push(packet);
            }
        }
        if let Some(on) = under_way.values().next() {
            let missing = on
                .ways
                .first()
                .map(|&way| lines[way][on.packet.lines.len()]);
            let missing = missing.unwrap_or_default();
            return mismatch(self.explain(&format!("a packet ends before\n  {missing}")));
        }
        judge(&taken).map_err(|error| Mismatch(self.explain(&error.to_string())))?;
        Ok(taken)
    }

    /// The message with the whole trace behind it.
    fn explain(&self, what: &str) -> String {
        let mut text = format!("{what}\nin the trace\n");
        let mut last = None;
        for Traced {
            record,
            step,
            message,
        } in &self.records
        {
            if last.replace(record.skb) != Some(record.skb) {
                let flags = message.split("flags=").nth(1).unwrap_or_default();
                let flags = flags.split(' ').next().unwrap_or_default();
                text += &format!("  {:08x} {flags}\n", record.skb);
            }
            text += &format!("    {step}\n");
        }
        text
    }
}

fn start(record: &Record) -> Packet {
    let flags = flags(record);
    Packet {
        handshake: flags & SYN != 0,
        data: flags & PSH != 0,
        ..Packet::default()
    }
}

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// The flags of a TCP packet.
fn flags(record: &Record) -> u8 {
    match record.packet().transport {
        Transport::Tcp(tcp) => tcp.flags,
        _ => 0,
    }
}

/// Whether it says that TCP threw an acknowledgement away behind the last hook, since it was
/// done with it: another overtook it, or the socket of a connection at its end is closed by
/// then. Or data that it has already, which was sent again. When it does, time tells: no way
/// can foresee it.
fn is_discarded_behind(record: &Record) -> bool {
    let Some(dropped) = record.dropped() else {
        return false;
    };
    let reason = dropped.name.as_str();
    // Where a connection waits to be forgotten, TCP gives no reason.
    let is_tcps = reason == "NOT_SPECIFIED" || reason.starts_with("TCP_");
    let is_acknowledgement = flags(record) & !FIN == ACK;
    record.hook() == Some(Hook::LocalIn)
        && (reason == "TCP_OLD_DATA" || (is_acknowledgement && is_tcps))
}

/// A record as a line to compare.
fn step(record: &Record, roles: &HashMap<u32, String>, letters: &mut Letters) -> String {
    let packet = record.packet();
    let (src, dst) = packet.ports().map_or(("-".into(), "-".into()), |ports| {
        letters.name(ports.src, ports.dst)
    });
    format!(
        "{} {}{} dev={} in={} out={} {} {src} > {} {dst}",
        roles.get(&record.inode).map_or("unknown", String::as_str),
        if record.family() == Some(Family::Bridge) {
            "bridge "
        } else {
            ""
        },
        record.hook().map_or("-", Hook::name),
        device(Some(&record.dev().to_string())),
        device(Some(&record.input().to_string())),
        device(Some(&record.output().to_string())),
        packet.src,
        packet.dst,
    )
}
