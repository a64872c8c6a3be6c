// SPDX-License-Identifier: GPL-2.0

//! How a record is written: word by word, straight into a ring's slot.
//!
//! What a record does not have is not written: the slot still has what an older record
//! left there, and [`Record::without_leftovers`] takes that away when it is read.

use ::core::net::IpAddr;

use super::{
    has, Conntrack, ConntrackGroup, Device, IcmpGroup, Kind, Record, Site, Socket, SocketGroup,
    Verdict, RECORD_WORDS,
};
use crate::packet::{Icmp, Packet, Ports, Transport};

/// Where the words of a record go.
pub trait Words {
    /// Sets a word.
    fn set(&mut self, word: usize, value: u64);
}

impl Words for [u64; RECORD_WORDS] {
    fn set(&mut self, word: usize, value: u64) {
        if let Some(to) = self.get_mut(word) {
            *to = value;
        }
    }
}

/// What a policy decided.
#[derive(Clone, Copy, Debug)]
pub struct Decision {
    /// What becomes of the packet.
    pub verdict: Verdict,
    /// The number of the rule, from 1; 0 for none.
    pub rule: u32,
    /// The generation of the policy; 0 for none.
    pub generation: u32,
    /// Whether the rule is not enforced, and did not decide.
    pub is_shadow: bool,
}

impl Default for Decision {
    fn default() -> Self {
        Self {
            verdict: Verdict::Accept,
            rule: 0,
            generation: 0,
            is_shadow: false,
        }
    }
}

/// The word in which a field starts.
macro_rules! word {
    ($field:ident) => {
        const { ::core::mem::offset_of!(Record, $field) / 8 }
    };
}

// What is written as one word is one.
const _: () = {
    use ::core::mem::offset_of;
    assert!(offset_of!(Record, inode) % 8 == 0);
    assert!(offset_of!(Record, mark) % 8 == 0);
    assert!(offset_of!(Record, rule) % 8 == 0);
    assert!(offset_of!(Record, indexes) % 8 == 0);
    assert!(offset_of!(Record, cpu) == offset_of!(Record, indexes) + 12);
    assert!(offset_of!(Record, kind) % 8 == 0);
    assert!(offset_of!(Record, src_port) % 8 == 0);
    assert!(offset_of!(Record, seq) % 8 == 0);
    assert!(offset_of!(Record, src) % 8 == 0);
    assert!(offset_of!(Record, names) % 8 == 0);
    assert!(offset_of!(Record, socket) % 8 == 0);
};

#[inline(always)]
fn pair(first: u32, second: u32) -> u64 {
    zerocopy::transmute!([first, second])
}

#[inline(always)]
fn quarters(a: u16, b: u16, c: u16, d: u16) -> u64 {
    zerocopy::transmute!([a, b, c, d])
}

/// Writes the record of `packet`, seen at `site`. Whether there are a connection and a
/// socket, `site` does not say: they are given where they are, since they are large.
#[inline(always)]
pub fn write<W: Words>(
    words: &mut W,
    site: &Site,
    packet: &Packet,
    conntrack: Option<&Conntrack>,
    socket: Option<&Socket>,
    decision: &Decision,
) {
    let mut has = has::PACKET;
    if site.logged {
        has |= has::LOGGED;
    }
    if decision.is_shadow {
        has |= has::SHADOW;
    }
    words.set(word!(time), site.time);
    words.set(word!(cookie), site.cookie);
    words.set(word!(skb), site.skb);
    words.set(word!(inode), pair(site.inode, site.len));
    words.set(word!(mark), pair(site.mark, packet.id));
    words.set(word!(rule), pair(decision.rule, decision.generation));
    words.set(word!(indexes), pair(site.dev.index, site.input.index));
    bytes(words, word!(names), site.dev.name);
    bytes(words, word!(names).wrapping_add(2), site.input.name);
    bytes(words, word!(names).wrapping_add(4), site.output.name);

    let mut ports = Ports { src: 0, dst: 0 };
    let mut tcp_flags = 0;
    match packet.transport {
        Transport::None => {}
        Transport::Ports(own) => {
            has |= has::PORTS;
            ports = own;
        }
        Transport::Tcp(tcp) => {
            has |= has::PORTS | has::TCP;
            ports = tcp.ports;
            tcp_flags = tcp.flags;
            words.set(word!(seq), pair(tcp.seq, tcp.ack));
        }
        Transport::Icmp(icmp) => {
            has |= write_icmp(words, &icmp);
        }
    }
    let mut fragment_offset = 0;
    if let Some(fragment) = packet.fragment {
        has |= has::FRAGMENT;
        if fragment.more {
            has |= has::MORE_FRAGMENTS;
        }
        fragment_offset = fragment.offset;
    }
    words.set(
        word!(src_port),
        quarters(ports.src, ports.dst, site.gso_segs, fragment_offset),
    );
    match (packet.src, packet.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            words.set(word!(src), pair(u32::from_ne_bytes(src.octets()), 0));
            words.set(word!(dst), pair(u32::from_ne_bytes(dst.octets()), 0));
        }
        (src, dst) => {
            has |= has::IPV6;
            bytes(words, word!(src), super::address_bytes(src));
            bytes(words, word!(dst), super::address_bytes(dst));
        }
    }
    if let Some(conntrack) = conntrack {
        has |= write_conntrack(words, conntrack);
    }
    if let Some(socket) = socket {
        has |= has::SOCKET;
        write_socket(words, socket);
    }
    words.set(
        const { ::core::mem::offset_of!(Record, cpu) / 8 },
        pair(site.output.index, zerocopy::transmute!([site.cpu, has])),
    );
    words.set(
        word!(kind),
        u64::from_ne_bytes([
            site.kind as u8,
            site.hook.number(),
            site.family.number(),
            packet.protocol.0,
            decision.verdict as u8,
            tcp_flags,
            0,
            0,
        ]),
    );
}

// The groups, out of line: most records have none of them.

#[inline(never)]
fn write_icmp<W: Words>(words: &mut W, icmp: &Icmp) -> u16 {
    let (group, what) = IcmpGroup::new(icmp);
    let group: [u64; 5] = zerocopy::transmute!(group);
    all(words, word!(icmp), group);
    what
}

#[inline(never)]
fn write_conntrack<W: Words>(words: &mut W, conntrack: &Conntrack) -> u16 {
    let (group, what) = ConntrackGroup::new(conntrack);
    let group: [u64; 6] = zerocopy::transmute!(group);
    all(words, word!(conntrack), group);
    what
}

#[inline(never)]
fn write_socket<W: Words>(words: &mut W, socket: &Socket) {
    let group: [u64; 2] = zerocopy::transmute!(SocketGroup::new(socket));
    all(words, word!(socket), group);
}

#[inline(always)]
fn bytes<W: Words>(words: &mut W, word: usize, bytes: [u8; 16]) {
    let values: [u64; 2] = zerocopy::transmute!(bytes);
    all(words, word, values);
}

#[inline(always)]
fn all<W: Words, const N: usize>(words: &mut W, word: usize, values: [u64; N]) {
    let mut word = word;
    for value in values {
        words.set(word, value);
        word = word.wrapping_add(1);
    }
}

impl Record {
    /// The record without what an older one left in the groups that this one has not.
    pub(crate) fn without_leftovers(mut self) -> Self {
        if self.kind() != Kind::Drop {
            for name in &mut self.names {
                *name = Device::new(0, *name).name;
            }
            self.location = Self::EMPTY.location;
        }
        if !self.has(has::TCP) {
            (self.seq, self.ack) = (0, 0);
        }
        if !self.has(has::IPV6) {
            for address in [&mut self.src, &mut self.dst] {
                let [a, b, c, d, ..] = *address;
                *address = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            }
        }
        if !self.has(has::SOCKET) {
            self.socket = Self::EMPTY.socket;
        }
        if !self.has(has::CONNTRACK) {
            self.conntrack = Self::EMPTY.conntrack;
        }
        if !self.has(has::ICMP) {
            self.icmp = Self::EMPTY.icmp;
        }
        self
    }
}
