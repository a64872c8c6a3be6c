// SPDX-License-Identifier: GPL-2.0

//! Packets that meet the rules of a set, and packets that miss them all.

use std::net::IpAddr;

use etherparse::{IpNumber, PacketBuilder};
use nftrace_tests::random::Random;

use crate::rules::{BenchRule, Family, Ports, Prefix, RuleSet, TCP, UDP};

/// A packet is so long, with its IP header.
pub const LENGTH: usize = 60;

/// What rules ask of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PacketTuple {
    /// The family.
    pub family: Family,
    /// Source address.
    pub src: u128,
    /// Destination address.
    pub dst: u128,
    /// The protocol.
    pub proto: u8,
    /// Source port; 0 where the protocol has none.
    pub sport: u16,
    /// Destination port; 0 where the protocol has none.
    pub dport: u16,
}

impl PacketTuple {
    /// Any packet at all.
    #[must_use]
    pub fn any(family: Family, random: &mut Random) -> Self {
        inside(&BenchRule::any(family), random)
    }

    /// The packet from its IP header on: [`LENGTH`] bytes with right lengths and checksums.
    /// ICMP is an echo request; what has no ports here is a header and zeroes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let builder = match (self.family.address(self.src), self.family.address(self.dst)) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                PacketBuilder::ipv4(src.octets(), dst.octets(), 64)
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                PacketBuilder::ipv6(src.octets(), dst.octets(), 64)
            }
            _ => return Vec::new(),
        };
        let rest = LENGTH - if self.family == Family::V4 { 20 } else { 40 };
        let zeroes = |header: usize| vec![0; rest - header];
        let mut bytes = Vec::with_capacity(LENGTH);
        let written = match self.proto {
            TCP => builder
                .tcp(self.sport, self.dport, 1, 64_240)
                .syn()
                .write(&mut bytes, &zeroes(20)),
            UDP => builder
                .udp(self.sport, self.dport)
                .write(&mut bytes, &zeroes(8)),
            1 => builder
                .icmpv4_echo_request(1, 1)
                .write(&mut bytes, &zeroes(8)),
            58 => builder
                .icmpv6_echo_request(1, 1)
                .write(&mut bytes, &zeroes(8)),
            other => builder.write(&mut bytes, IpNumber(other), &zeroes(0)),
        };
        written.expect("memory takes all, and the length is within bounds");
        bytes
    }
}

fn address(prefix: Prefix, random: &mut Random) -> u128 {
    let any = prefix.family().any_address(random);
    prefix.first() | (any & (prefix.last() - prefix.first()))
}

fn port(ports: Ports, random: &mut Random) -> u16 {
    let span = usize::try_from(ports.count()).unwrap_or(1);
    ports.low + u16::try_from(random.below(span)).unwrap_or(0)
}

/// A packet that this rule matches.
fn inside(rule: &BenchRule, random: &mut Random) -> PacketTuple {
    let family = rule.src.family();
    let usual = [TCP, TCP, TCP, TCP, TCP, UDP, UDP, family.icmp(), 47];
    let proto = rule.proto.unwrap_or_else(|| *random.pick(&usual));
    let has_ports = proto == TCP || proto == UDP;
    let mut port = |ports| if has_ports { port(ports, random) } else { 0 };
    let (sport, dport) = (port(rule.sport), port(rule.dport));
    PacketTuple {
        family,
        src: address(rule.src, random),
        dst: address(rule.dst, random),
        proto,
        sport,
        dport,
    }
}

/// Packets of rules chosen with the same chance each. Every one meets that rule or one before
/// it.
#[must_use]
pub fn hits(set: &RuleSet, count: usize, seed: u64) -> Vec<PacketTuple> {
    let mut random = Random::new(seed ^ 0x6869_7473);
    (0..count)
        .filter(|_| !set.rules.is_empty())
        .map(|_| inside(random.pick(&set.rules), &mut random))
        .collect()
}

/// Packets that no rule matches. Half of what is tried is random in all fields; the others are
/// near misses: a packet of some rule with one field changed, so that they are looked for as
/// far as packets that hit. There are fewer than asked for, or none, where hardly any packet
/// misses.
#[must_use]
pub fn misses(set: &RuleSet, count: usize, seed: u64) -> Vec<PacketTuple> {
    let mut random = Random::new(seed ^ 0x6d69_7373);
    let mut found = Vec::with_capacity(count);
    let everything = BenchRule::any(set.family);
    if set.rules.contains(&everything) {
        return found;
    }
    for attempt in 0..count.saturating_mul(20) {
        if found.len() == count {
            break;
        }
        let other = inside(&everything, &mut random);
        let packet = if attempt % 2 == 0 || set.rules.is_empty() {
            other
        } else {
            near(
                inside(random.pick(&set.rules), &mut random),
                other,
                &mut random,
            )
        };
        if set.first_match(&packet).is_none() {
            found.push(packet);
        }
    }
    found
}

fn near(packet: PacketTuple, other: PacketTuple, random: &mut Random) -> PacketTuple {
    let mut changed = packet;
    match random.below(4) {
        0 => changed.src = other.src,
        1 => changed.dst = other.dst,
        2 if packet.proto == TCP || packet.proto == UDP => changed.proto = TCP + UDP - packet.proto,
        _ if packet.proto == TCP || packet.proto == UDP => {
            changed.dport = port(Ports::ANY, random);
        }
        _ => changed.src = other.src,
    }
    changed
}
