// SPDX-License-Identifier: GPL-2.0

//! Journeys that belong to others: what is sent again, fragments, segments.

use std::collections::{HashMap, VecDeque};

use nftrace_core::hook::Hook;
use nftrace_core::record::Kind;

use crate::model::Tuple;
use crate::observation::{NamespaceId, Observation};
use crate::open::Open;

/// For how long a segment may be sent again: longer than the kernel tries to connect.
const SENT_AGAIN: u64 = 130_000_000_000;
/// How long the parts of a packet may be apart: as long as the kernel waits for fragments.
const PARTS: u64 = 30_000_000_000;
/// The same where no identification tells datagrams apart.
const PARTS_UNKNOWN: u64 = 1_000_000_000;
/// The most entries of each table before old ones are forgotten.
const MOST: usize = 65_536;
/// The most large packets of one flow that are remembered.
const MOST_SPANS: usize = 32;

const FIN_SYN_PSH: u8 = 0x0b;
const SYN_ACK: u8 = 0x12;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;

/// A segment where it was first seen: namespace, hook, flow, sequence number, whether it is a SYN.
type Segment = (NamespaceId, u8, Tuple, Option<u32>, bool);
/// A datagram: namespace, addresses, protocol, identification.
type Datagram = (NamespaceId, Tuple, Option<u8>, Option<u32>);

/// A journey to which others may belong.
#[derive(Clone, Copy, Debug)]
struct Seen {
    number: usize,
    time: u64,
}

/// A packet of several segments.
#[derive(Clone, Copy, Debug)]
struct Span {
    seq: u32,
    len: u32,
    namespace: NamespaceId,
    seen: Seen,
}

/// What was seen, for those that come later.
#[derive(Debug, Default)]
pub(crate) struct Related {
    segments: HashMap<Segment, Seen>,
    datagrams: HashMap<Datagram, Seen>,
    spans: HashMap<Tuple, VecDeque<Span>>,
}

fn segment(record: &Observation) -> Option<Segment> {
    let hook = record.hook?;
    let starts = matches!(hook, Hook::LocalOut | Hook::PreRouting) && !record.is_bridge();
    if !starts || record.kind != Kind::Entry {
        return None;
    }
    let tcp = record.tcp().filter(|tcp| tcp.flags & RST == 0)?;
    let syn = tcp.flags & SYN != 0;
    let (network, most_tcp) = match record.packet?.src {
        std::net::IpAddr::V4(_) => (20, 60),
        std::net::IpAddr::V6(_) => (40, 60),
    };
    // Acknowledgements have the sequence number of what comes next.
    let data = tcp.flags & FIN_SYN_PSH != 0 || record.len > network + most_tcp;
    let seq = record.known.seq.then_some(tcp.seq);
    let tells = seq.is_some() || tcp.flags & SYN_ACK == SYN;
    (data && tells).then_some((record.namespace, hook.number(), record.tuple()?, seq, syn))
}

fn datagram(record: &Observation) -> Option<(Datagram, u16)> {
    let packet = record.packet?;
    let fragment = packet.fragment?;
    let mut tuple = record.tuple()?;
    (tuple.src.port, tuple.dst.port) = (None, None);
    let id = record.known.id.then_some(packet.id);
    let key = (
        record.namespace,
        tuple,
        record.protocol().map(|protocol| protocol.0),
        id,
    );
    Some((key, fragment.offset))
}

impl Related {
    /// Ties a journey that has just begun to those before.
    pub(crate) fn begins(&mut self, open: &mut Open) {
        let record = open.last();
        let time = record.time.unwrap_or(0);
        let seen = Seen {
            number: open.number,
            time,
        };
        let near = |other: &Seen, most| time.saturating_sub(other.time) <= most;
        let mut segment_of = None;
        if let (Some(tcp), true, Some(tuple)) = (record.tcp(), record.known.seq, record.tuple()) {
            let spans = self.spans.get(&tuple).into_iter().flatten();
            segment_of = spans
                .rev()
                .find(|span| {
                    let at = tcp.seq.wrapping_sub(span.seq);
                    let elsewhere =
                        span.namespace != record.namespace || record.hook != Some(Hook::LocalOut);
                    at > 0 && at < span.len && near(&span.seen, PARTS_UNKNOWN) && elsewhere
                })
                .map(|span| span.seen.number);
        }
        let mut fragment_of = None;
        if let Some((key, offset)) = datagram(record) {
            if offset > 0 {
                let most = if key.3.is_some() {
                    PARTS
                } else {
                    PARTS_UNKNOWN
                };
                fragment_of = self.datagrams.get(&key).filter(|first| near(first, most));
            }
        }
        let mut retransmission_of = None;
        if open.copy_of.is_none() && segment_of.is_none() {
            if let Some(key) = segment(record) {
                let first = self.segments.entry(key).or_insert(seen);
                if first.number != open.number && near(first, SENT_AGAIN) {
                    retransmission_of = Some(first.number);
                } else {
                    *first = seen;
                }
            }
        }
        let fragment_of = fragment_of.map(|first| first.number);
        open.fragment_of = fragment_of;
        open.segment_of = segment_of;
        open.retransmission_of = retransmission_of;
        self.goes_on(open);
        self.forget(time);
    }

    /// Remembers what the last record of a journey shows.
    pub(crate) fn goes_on(&mut self, open: &Open) {
        let record = open.last();
        let seen = Seen {
            number: open.number,
            time: record.time.unwrap_or(0),
        };
        if let Some((key, 0)) = datagram(record) {
            self.datagrams.insert(key, seen);
        }
        if let (Some(tcp), true, Some(tuple)) = (record.tcp(), record.gso_segs > 1, record.tuple())
        {
            let spans = self.spans.entry(tuple).or_default();
            if spans
                .back()
                .is_none_or(|span| span.seen.number != open.number)
            {
                spans.push_back(Span {
                    seq: tcp.seq,
                    len: record.len,
                    namespace: record.namespace,
                    seen,
                });
            }
            if spans.len() > MOST_SPANS {
                spans.pop_front();
            }
        }
    }

    fn forget(&mut self, now: u64) {
        let young = |seen: &Seen, most| now.saturating_sub(seen.time) <= most;
        if self.segments.len() > MOST {
            self.segments.retain(|_, seen| young(seen, SENT_AGAIN));
            // They are too many still: the older half must do without.
            if self.segments.len() > MOST {
                let middle = middle(self.segments.values().map(|seen| seen.number));
                self.segments.retain(|_, seen| seen.number > middle);
            }
        }
        if self.datagrams.len() > MOST {
            self.datagrams.retain(|_, seen| young(seen, PARTS_UNKNOWN));
        }
        if self.spans.len() > MOST {
            self.spans
                .retain(|_, spans| spans.back().is_some_and(|s| young(&s.seen, PARTS_UNKNOWN)));
        }
    }
}

fn middle(numbers: impl Iterator<Item = usize>) -> usize {
    let mut numbers: Vec<usize> = numbers.collect();
    let at = numbers.len() / 2;
    *numbers.select_nth_unstable(at).1
}
