// SPDX-License-Identifier: GPL-2.0

//! What the trace of a scenario must show, and whether it does.
//!
//! A scenario's trace is the list of all records that the module printed while
//! the lab script ran. Each record becomes one line of text in which nothing is
//! left that differs from run to run: the namespace by its role, the client's
//! port as `P`. Such lines are what [`Expected`] is written in.

use std::collections::HashMap;
use std::fmt;

use nftrace_core::hook::{Family, Hook};
use nftrace_core::packet::{Packet, Transport};
use nftrace_core::record::{v1, Record};

use crate::vm::Report;

pub mod expected;

/// The records of a run.
#[derive(Debug)]
pub struct Trace {
    records: Vec<Traced>,
}

/// One record of a run.
#[derive(Debug, Clone)]
pub struct Traced {
    /// The line of the kernel log, without its time.
    pub message: String,
    /// The record that it holds.
    pub record: Record,
    /// The line to compare.
    pub step: String,
}

/// The ways that packets must take: every packet one of the two, and nothing else.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// From the client to the server, a step a line.
    pub request: &'static str,
    /// From the server to the client.
    pub reply: &'static str,
}

/// One packet's records, in order.
#[derive(Debug, Clone)]
pub struct Journey {
    /// Whether it went from the client to the server.
    pub is_request: bool,
    /// Its records.
    pub records: Vec<Traced>,
}

impl Journey {
    fn tcp_flags(&self) -> u8 {
        match self
            .records
            .first()
            .map(|first| first.record.packet().transport)
        {
            Some(Transport::Tcp(tcp)) => tcp.flags,
            _ => 0,
        }
    }

    /// Whether it is the SYN of a handshake, or its SYN-ACK.
    #[must_use]
    pub fn is_handshake(&self) -> bool {
        self.tcp_flags() & 0x02 != 0
    }

    /// Whether it pushes data.
    #[must_use]
    pub fn has_data(&self) -> bool {
        self.tcp_flags() & 0x08 != 0
    }
}

/// What is wrong with a trace.
#[derive(Debug)]
pub struct Mismatch(String);

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Mismatch {}

fn mismatch<T>(text: impl Into<String>) -> Result<T, Mismatch> {
    Err(Mismatch(text.into()))
}

/// Runs of white space count as one blank.
fn squeeze(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn steps(text: &str) -> Vec<String> {
    text.lines()
        .map(squeeze)
        .filter(|line| !line.is_empty())
        .collect()
}

impl Trace {
    /// Reads the records of a run, whose script left `roles.txt` (a line `role
    /// inode` for each namespace) and `flow.txt` (`role client port …`).
    ///
    /// # Errors
    ///
    /// When a file is missing or the log has a line of version 1 that is none.
    pub fn of(report: &Report) -> Result<Self, Mismatch> {
        let read = |name| {
            report
                .file(name)
                .map_err(|error| Mismatch(format!("the script left no {name}: {error}")))
        };
        let flow = read("flow.txt")?;
        let Some(client_port) = flow.split_whitespace().nth(2) else {
            return mismatch("flow.txt names no client port");
        };
        Self::new(report.messages(), &read("roles.txt")?, client_port)
    }

    /// Reads the records among the messages of a kernel log.
    fn new<'a>(
        messages: impl Iterator<Item = &'a str>,
        roles: &str,
        client_port: &str,
    ) -> Result<Self, Mismatch> {
        let roles = roles
            .lines()
            .filter_map(|line| {
                let (role, inode) = line.split_once(' ')?;
                Some((inode.parse().ok()?, role.to_owned()))
            })
            .collect::<HashMap<u32, String>>();
        let records = messages
            .filter(|message| message.starts_with(v1::PREFIX))
            .map(|message| {
                let Some(record) = v1::parse(message) else {
                    return mismatch(format!("not a line of version 1: {message}"));
                };
                let step = step(&record, &roles, client_port);
                Ok(Traced {
                    message: message.to_owned(),
                    record,
                    step,
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { records })
    }

    /// Sorts the records into packets and holds each against what is expected.
    ///
    /// # Errors
    ///
    /// When a packet took another way, a record belongs to no packet, the
    /// handshake was not seen once, or no data went either way.
    pub fn journeys(&self, expected: &Expected) -> Result<Vec<Journey>, Mismatch> {
        let (request, reply) = (steps(expected.request), steps(expected.reply));
        let mut journeys: Vec<Journey> = Vec::new();
        // The address of a freed packet is used again, so a packet is over when
        // all that is expected of it was seen.
        let mut under_way = HashMap::new();
        for traced in &self.records {
            let skb = traced.record.skb;
            let index = match under_way.get(&skb) {
                Some(index) => *index,
                None => {
                    let is_request = match &traced.step {
                        step if Some(step) == request.first() => true,
                        step if Some(step) == reply.first() => false,
                        step => {
                            return mismatch(
                                self.explain(&format!("no packet starts with\n  {step}")),
                            )
                        }
                    };
                    journeys.push(Journey {
                        is_request,
                        records: Vec::new(),
                    });
                    under_way.insert(skb, journeys.len() - 1);
                    journeys.len() - 1
                }
            };
            let journey = &mut journeys[index];
            let way = if journey.is_request { &request } else { &reply };
            let wanted = &way[journey.records.len()];
            if traced.step != *wanted {
                let seen = &traced.step;
                return mismatch(
                    self.explain(&format!("expected\n  {wanted}\nbut there is\n  {seen}")),
                );
            }
            journey.records.push(traced.clone());
            if journey.records.len() == way.len() {
                under_way.remove(&skb);
            }
        }
        if let Some(index) = under_way.values().next() {
            let journey = &journeys[*index];
            let way = if journey.is_request { &request } else { &reply };
            let missing = &way[journey.records.len()];
            return mismatch(self.explain(&format!("a packet ends before\n  {missing}")));
        }
        for is_request in [true, false] {
            let side = || {
                journeys
                    .iter()
                    .filter(move |journey| journey.is_request == is_request)
            };
            let who = if is_request { "client" } else { "server" };
            let handshakes = side().filter(|journey| journey.is_handshake()).count();
            if handshakes != 1 {
                return mismatch(self.explain(&format!("{handshakes} SYN packets of the {who}")));
            }
            if !side().any(Journey::has_data) {
                return mismatch(self.explain(&format!("no data of the {who}")));
            }
        }
        Ok(journeys)
    }

    /// The message with the whole trace behind it.
    fn explain(&self, what: &str) -> String {
        let mut text = format!("{what}\nin the trace\n");
        for traced in &self.records {
            text += &format!("  {:08x} {}\n", traced.record.skb, traced.step);
        }
        text
    }
}

/// A record as a line to compare: `role [bridge] HOOK dev in out source > destination`.
fn step(record: &Record, roles: &HashMap<u32, String>, client_port: &str) -> String {
    let role = roles.get(&record.inode).map_or("unknown", String::as_str);
    let hook = record.hook().map_or("-", Hook::name);
    let bridge = if record.family() == Some(Family::Bridge) {
        "bridge "
    } else {
        ""
    };
    let (src, dst) = ends(&record.packet(), client_port);
    format!(
        "{role} {bridge}{hook} dev={} in={} out={} {src} > {dst}",
        record.dev,
        record.input(),
        record.output()
    )
}

fn ends(packet: &Packet, client_port: &str) -> (String, String) {
    let end = |address, port: Option<u16>| {
        let port = match port {
            Some(port) if port.to_string() == client_port => "P".to_owned(),
            Some(port) => port.to_string(),
            None => "-".to_owned(),
        };
        format!("{address} {port}")
    };
    let ports = packet.ports();
    (
        end(packet.src, ports.map(|ports| ports.src)),
        end(packet.dst, ports.map(|ports| ports.dst)),
    )
}

#[cfg(test)]
mod tests;
