// SPDX-License-Identifier: GPL-2.0

//! What a policy says about a packet as most are, where the index alone says it.
//!
//! It is nothing but a shorter way to what [`classify()`](super::classify()) finds: what
//! this leaves open, that decides, and a test compares the two.

use ::core::net::IpAddr;

use super::classify::Question;
use super::condition::Place;
use super::decision::{Action, By, Decision, Outcome, Subject};
use super::forest::{Class, Forest, Found, Key4, Key6, Lookup};
use super::layout::{New, LOG};
use super::tables::Tables;
use crate::packet::{Packet, Plain};

/// What [`classify()`](super::classify()) would say, where it says to accept or to drop
/// and nothing else is to be done; none where more has to be looked at.
///
/// `outcome` is asked of a rule, by its number, that the index cannot say everything
/// about: [`outcome()`] knows.
#[inline(always)]
pub fn glance(
    tables: &Tables<'_>,
    place: Place,
    plain: &Plain<'_>,
    cookie: impl FnOnce() -> u64,
    outcome: impl Fn(u32) -> Outcome,
) -> Option<Decision> {
    let header = tables.header;
    if header.new != New::AsElsewhere as u8 {
        return None;
    }
    let packet = plain.packet();
    let found = match tables.forest(packet.src.is_ipv6(), Class::Ports.root(place)) {
        Some(forest) if forest.is_special != 0 => return None,
        Some(forest) => first(tables, forest, plain, &packet, cookie, outcome),
        None => None,
    };
    match found {
        None => {
            let default = header.defaults.get(place.number()).copied().unwrap_or(0);
            Some(Decision {
                action: Action::of_default(default),
                by: By::Default,
            })
        }
        Some((number, Outcome::Matched)) => {
            let rule = tables.rules.get(number as usize)?;
            let action = match Action::of(rule) {
                action @ (Action::Accept | Action::Drop) if rule.flags & LOG == 0 => action,
                _ => return None,
            };
            Some(Decision {
                action,
                by: By::Rule(number),
            })
        }
        Some(_) => None,
    }
}

/// The first rule of a forest that matches.
#[inline(always)]
fn first(
    tables: &Tables<'_>,
    forest: &Forest,
    plain: &Plain<'_>,
    packet: &Packet,
    cookie: impl FnOnce() -> u64,
    outcome: impl Fn(u32) -> Outcome,
) -> Found {
    let namespace = if tables.namespaces.is_empty() {
        0
    } else {
        tables.namespace(cookie())
    };
    let ports = (plain.ports.src, plain.ports.dst);
    let protocol = packet.protocol.0;
    match (packet.src, packet.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => Lookup {
            tables,
            boxes: tables.boxes4,
            key: &Key4::new(src.to_bits(), dst.to_bits(), ports, protocol, namespace),
            is_fragment: false,
        }
        .first(forest, outcome),
        (IpAddr::V6(src), IpAddr::V6(dst)) => Lookup {
            tables,
            boxes: tables.boxes6,
            key: &Key6::new(src.to_bits(), dst.to_bits(), ports, protocol, namespace),
            is_fragment: false,
        }
        .first(forest, outcome),
        // Both are of one header.
        _ => None,
    }
}

/// What comes of one rule, asked about a packet with ports.
pub fn outcome<S: Subject>(
    tables: &Tables<'_>,
    number: u32,
    packet: &Packet,
    subject: &S,
) -> Outcome {
    let question = Question {
        tables,
        packet,
        subject,
        is_later_fragment: false,
    };
    match tables.rules.get(number as usize) {
        Some(rule) => question.outcome(rule),
        None => Outcome::OtherFamily,
    }
}
