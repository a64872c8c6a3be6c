// SPDX-License-Identifier: GPL-2.0

//! Whether a record can be the next one of a packet.

use nftrace_core::hook::{Family, Hook};
use nftrace_core::packet::{Packet, Protocol, Transport};
use nftrace_core::record::Kind;

use crate::model::{Tunnel, Tuple};
use crate::observation::{Endpoint, Observation, Source};

/// How a packet gets from one record to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// On through the stack, or to another namespace.
    On,
    /// The same, but records between the two are missing.
    Skip,
    /// Back into the same namespace, as over `lo`.
    Loop,
    /// Into a tunnel: the next record shows the outer packet.
    Enter(Tunnel),
    /// Out of a tunnel: the next record shows the inner packet.
    Leave(Tunnel),
}

/// What became of addresses and ports between two records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing, as far as both tell.
    None,
    /// One end was rewritten, the other was not.
    One,
    /// Both differ.
    Both,
}

/// Whether two ends are the same; a later fragment does not tell its ports.
pub(crate) fn same_end(a: Endpoint, b: Endpoint) -> bool {
    a.address == b.address && (a.port == b.port || a.port.is_none() || b.port.is_none())
}

/// What differs between two tuples.
pub(crate) fn change(a: Tuple, b: Tuple) -> Change {
    match (same_end(a.src, b.src), same_end(a.dst, b.dst)) {
        (true, true) => Change::None,
        (false, false) => Change::Both,
        _ => Change::One,
    }
}

impl Observation {
    pub(crate) fn is_bridge(&self) -> bool {
        self.family == Some(Family::Bridge)
    }

    /// Addresses and ports, where the record has them.
    pub(crate) fn tuple(&self) -> Option<Tuple> {
        Some(Tuple {
            src: self.src()?,
            dst: self.dst()?,
        })
    }

    /// Whether it shows one fragment of a datagram.
    pub(crate) fn is_fragment(&self) -> bool {
        self.packet.is_some_and(|packet| packet.fragment.is_some())
    }

    /// The tunnel of which it may show an outer packet.
    pub(crate) fn may_carry(&self) -> Option<Tunnel> {
        let packet = self.packet.as_ref()?;
        if self.known.protocol {
            Tunnel::of(packet)
        } else {
            // Nobody else than a tunnel uses its port, so the protocol need not be known.
            let protocol = Protocol::UDP;
            Tunnel::of(&Packet {
                protocol,
                ..*packet
            })
            .filter(|tunnel| tunnel.is_certain())
        }
    }
}

/// How a packet whose last record is `last` can come to `next`; none where it cannot.
/// Both are of hooks; `inside` tells whether the packet is inside of a tunnel now.
pub(crate) fn step(last: &Observation, next: &Observation, inside: bool) -> Option<Step> {
    use Hook::{Forward, LocalIn, LocalOut, PostRouting, PreRouting};

    let (from, to) = (last.hook?, next.hook?);
    let here = last.namespace == next.namespace;
    if next.kind == Kind::Exit {
        let same = here && from == to && last.family == next.family;
        return (same && last.kind == Kind::Entry).then_some(Step::On);
    }
    if last.is_bridge() || next.is_bridge() {
        return bridged(last, next);
    }
    Some(match (from, to, here) {
        (PreRouting, LocalIn | Forward, true)
        | (Forward | LocalOut, PostRouting, true)
        | (PostRouting, PreRouting, false) => Step::On,
        (PreRouting, PostRouting, true) | (LocalOut, LocalIn, true) => Step::Skip,
        // Into another namespace by whatever way: what a socket sends there is a new packet.
        (PreRouting | Forward | LocalOut | PostRouting, _, false) if to != LocalOut => Step::Skip,
        (PostRouting, PreRouting | LocalIn, true) | (LocalOut, PreRouting, true) => Step::Loop,
        (PostRouting | Forward, LocalOut, _) => Step::Enter(next.may_carry()?),
        (LocalIn, PreRouting, _) => {
            let tunnel = last.may_carry()?;
            if !inside && !tunnel.is_certain() {
                return None;
            }
            Step::Leave(tunnel)
        }
        _ => return None,
    })
}

/// The bridge family's hooks stand between, and with br_netfilter around, those of IP.
fn bridged(last: &Observation, next: &Observation) -> Option<Step> {
    use Hook::{Forward, LocalIn, LocalOut, PostRouting, PreRouting};

    let (from, to) = (last.hook?, next.hook?);
    let back = (from, to) == (PostRouting, PreRouting);
    if last.namespace != next.namespace {
        return (back || (from, to) == (LocalOut, PreRouting)).then_some(Step::On);
    }
    if back {
        // Out of one bridge and into the next.
        return Some(Step::Loop);
    }
    let fits = match (last.is_bridge(), next.is_bridge()) {
        (true, true) => rank(to) > rank(from),
        (true, false) => match from {
            LocalIn => matches!(to, PreRouting | LocalIn | Forward),
            PostRouting => to == PostRouting,
            _ => to != LocalOut && rank(to) >= rank(from),
        },
        (false, _) => match from {
            LocalIn => false,
            PostRouting => matches!(to, LocalOut | PostRouting),
            _ => rank(to) > rank(from),
        },
    };
    fits.then_some(Step::On)
}

const fn rank(hook: Hook) -> u8 {
    match hook {
        Hook::PreRouting | Hook::LocalOut => 0,
        Hook::LocalIn | Hook::Forward => 1,
        Hook::PostRouting => 2,
    }
}

/// Whether what does not change on a packet's way is the same in both: protocol, TCP's flags
/// and numbers.
pub(crate) fn same_content(a: &Observation, b: &Observation) -> bool {
    if let (Some(a), Some(b)) = (a.protocol(), b.protocol()) {
        if a != b {
            return false;
        }
    }
    match (a.tcp(), b.tcp()) {
        (Some(x), Some(y)) => {
            let numbers = a.known.seq && b.known.seq;
            x.flags == y.flags && (!numbers || (x.seq, x.ack) == (y.seq, y.ack))
        }
        _ => true,
    }
}

/// Whether a source's identities are kernel addresses, which are used again.
pub(crate) const fn is_reused(source: Source) -> bool {
    !matches!(source, Source::Ring)
}

/// What makes two records with different identities the same packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Likeness {
    /// Sequence numbers or the IP id, besides the flow.
    Numbers,
    /// The flow, the length and the time.
    Flow,
    /// One shows a first part of what the other shows.
    Part,
}

/// How alike the packets of two records are; none where they cannot be the same.
/// `part` tells whether one may be a segment or fragment of the other.
pub(crate) fn likeness(a: &Observation, b: &Observation) -> Option<Likeness> {
    let (x, y) = (a.packet?, b.packet?);
    if !same_content(a, b) && !same_start(a, b) {
        return None;
    }
    let ids = a.known.id && b.known.id;
    if ids && x.id != y.id {
        return None;
    }
    if let (Transport::Icmp(x), Transport::Icmp(y)) = (x.transport, y.transport) {
        if (x.kind, x.code) != (y.kind, y.code) {
            return None;
        }
    }
    let offset =
        |fragment: Option<nftrace_core::packet::Fragment>| fragment.map_or(0, |f| f.offset);
    if offset(x.fragment) != offset(y.fragment) {
        return None;
    }
    let numbers = (ids && x.id != 0) || (a.tcp().is_some() && a.known.seq && b.known.seq);
    if a.known.len && b.known.len && a.len != b.len {
        let split = x.fragment.is_some() != y.fragment.is_some()
            || (a.gso_segs > 1) != (b.gso_segs > 1)
            || (a.gso_segs > 1 && a.gso_segs != b.gso_segs);
        return (split && numbers).then_some(Likeness::Part);
    }
    Some(if numbers {
        Likeness::Numbers
    } else {
        Likeness::Flow
    })
}

/// Whether one is the first segment of the other: only the last one keeps FIN and PSH.
fn same_start(a: &Observation, b: &Observation) -> bool {
    const PSH_FIN: u8 = 0x09;
    match (a.tcp(), b.tcp()) {
        (Some(x), Some(y)) => {
            (a.gso_segs > 1 || b.gso_segs > 1)
                && x.flags | PSH_FIN == y.flags | PSH_FIN
                && a.known.seq
                && b.known.seq
                && (x.seq, x.ack) == (y.seq, y.ack)
        }
        _ => false,
    }
}
