// SPDX-License-Identifier: GPL-2.0

//! What the trace of a scenario must show, and whether it does.
//!
//! A scenario's trace is all that the module told while its traffic ran. Each packet
//! becomes lines of text in which nothing is left that differs from run to run; such
//! lines are what `tests/ways/` is written in.

use std::fmt;

pub mod boots;
pub mod journeys;
mod log;
mod run;
pub mod ways;

pub use log::Trace;
pub use run::{Boot, Run};

use ways::{Kind, Way};

/// One packet, as lines to compare.
#[derive(Debug, Clone, Default)]
pub struct Packet {
    /// Its records, and what is known to have happened between them.
    pub lines: Vec<String>,
    /// Whether it opens a TCP connection, or answers such a packet.
    pub handshake: bool,
    /// Whether it pushes data.
    pub data: bool,
    /// Its records as the module printed them.
    pub messages: Vec<String>,
}

/// The packets that took a way.
#[derive(Debug, Clone)]
pub struct Taken {
    /// The way.
    pub way: Way,
    /// The packets.
    pub packets: Vec<Packet>,
}

/// No packets yet, for each way.
fn not_taken(ways: &[Way]) -> Vec<Taken> {
    let taken = |way: &Way| Taken {
        way: way.clone(),
        packets: Vec::new(),
    };
    ways.iter().map(taken).collect()
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

/// Whether each way was taken by the packets that it is for.
fn judge(taken: &[Taken]) -> Result<(), Mismatch> {
    for Taken { way, packets } in taken {
        let handshakes = packets.iter().filter(|packet| packet.handshake).count();
        let name = &way.name;
        match way.kind {
            Kind::Tcp if handshakes != 1 => {
                return mismatch(format!("{name}: {handshakes} SYN packets"));
            }
            Kind::Tcp if !packets.iter().any(|packet| packet.data) => {
                return mismatch(format!("{name}: no data"));
            }
            Kind::Syn if packets.is_empty() || handshakes != packets.len() => {
                let count = packets.len();
                return mismatch(format!("{name}: {handshakes} SYN packets among {count}"));
            }
            Kind::Once if packets.len() != 1 => {
                return mismatch(format!("{name}: {} packets", packets.len()));
            }
            Kind::Some if packets.is_empty() => return mismatch(format!("{name}: no packet")),
            Kind::Tcp | Kind::Syn | Kind::Once | Kind::Some => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
