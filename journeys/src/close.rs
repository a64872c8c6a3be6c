// SPDX-License-Identifier: GPL-2.0

//! What a journey is in the end: its legs, its joins, how it ended.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;

use nftrace_core::hook::Hook;
use nftrace_core::packet::Protocol;
use nftrace_core::record::{Kind, Verdict};

use crate::model::{DropBy, DropInfo, End, Gap, Join, Journey, Leg};
use crate::observation::{NamespaceId, Observation, Source};
use crate::open::Open;
use crate::Loss;

/// How long after a record its packet's next one is to be expected, in nanoseconds.
const SOON: u64 = 10_000_000;
/// The same in records, where there are no times.
const SOON_RECORDS: u64 = 64;
/// The most losses that are remembered.
const MOST_LOSSES: usize = 65_536;

/// Records that were lost between two places of the stream.
#[derive(Debug)]
struct Lost {
    from: Place,
    to: Place,
    records: u64,
    namespace: Option<NamespaceId>,
}

/// A place in the stream, with its time where that is known.
#[derive(Clone, Copy, Debug)]
struct Place {
    order: u64,
    time: Option<u64>,
}

impl Place {
    /// Whether `other` is before this place, or not long after.
    fn reaches(self, other: Self) -> bool {
        other.order <= self.order
            || match (self.time, other.time) {
                (Some(here), Some(there)) => there.saturating_sub(here) <= SOON,
                _ => other.order - self.order <= SOON_RECORDS,
            }
    }
}

/// What the whole stream tells about single journeys.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    losses: VecDeque<Lost>,
    /// The place of the last record of each CPU.
    cpus: HashMap<Option<u16>, Place>,
    latest: Option<u64>,
    /// The ends of hooks are recorded (`exit=1`).
    pub(crate) exits: bool,
    /// Ways out of a namespace behind which packets to an address were seen again.
    ways: HashSet<(NamespaceId, Option<String>, IpAddr)>,
    /// From which namespace to which one packets keep their identity.
    kept: HashSet<(NamespaceId, NamespaceId)>,
}

impl Stream {
    /// A record came.
    pub(crate) fn note(&mut self, record: &Observation, order: u64) {
        let time = record.time;
        self.latest = time.max(self.latest);
        self.cpus.insert(record.cpu, Place { order, time });
        self.exits |= record.kind == Kind::Exit;
    }

    /// Records were lost.
    pub(crate) fn lose(&mut self, loss: &Loss, order: u64) {
        let time = loss.time.or(self.latest);
        let to = Place { order, time };
        // A CPU's records are lost behind its last one. A log says it where the gap is.
        let from = match loss.time {
            Some(_) => self.cpus.get(&loss.cpu).copied().unwrap_or(Place {
                order: 0,
                time: Some(0),
            }),
            None => to,
        };
        if self.losses.len() == MOST_LOSSES {
            self.losses.pop_front();
        }
        self.losses.push_back(Lost {
            from,
            to,
            records: loss.records,
            namespace: loss.namespace,
        });
        self.cpus.insert(loss.cpu, to);
    }

    /// A packet left a namespace and was seen in another one.
    pub(crate) fn crossed(&mut self, last: &Observation, next: &Observation) {
        if last.namespace != next.namespace && last.skb.is_some() && last.skb == next.skb {
            self.kept.insert((last.namespace, next.namespace));
        }
        let out = last.hook == Some(Hook::PostRouting) && last.namespace != next.namespace;
        if let (true, Some(packet)) = (out && !last.is_bridge(), last.packet) {
            let way = (last.namespace, last.output.clone(), packet.dst);
            self.ways.insert(way);
        }
    }

    /// Whether a packet that goes from one namespace to another is known to keep its identity
    /// there, as it does within one.
    pub(crate) fn keeps_identity(&self, from: &NamespaceId, to: &NamespaceId) -> bool {
        from == to || self.kept.contains(&(*from, *to))
    }

    /// The losses before, inside and behind a journey, and whether there are some behind.
    fn gaps(&self, open: &Open) -> (Vec<Gap>, bool) {
        let place = |index: usize| Place {
            order: open.orders[index],
            time: open.records[index].time,
        };
        let end = open.records.len() - 1;
        let (first, last) = (place(0), place(end));
        let mut gaps: Vec<Gap> = Vec::new();
        let mut behind = false;
        let begins = open.records[0].hook == Some(Hook::LocalOut);
        let recent = self.losses.partition_point(|lost| !lost.to.reaches(first));
        for lost in self.losses.range(recent..) {
            if lost.from.order > last.order && !last.reaches(lost.from) {
                break;
            }
            let touches = |record: &Observation| Some(record.namespace) == lost.namespace;
            // What was suppressed in a namespace that a packet was never in may be where it went.
            let after = if lost.to.order > last.order {
                behind = true;
                Some(end)
            } else if lost.to.order < first.order {
                None
            } else {
                open.orders.iter().rposition(|order| *order < lost.to.order)
            };
            let concerns = match after {
                None => !begins,
                Some(after) if after < end && lost.namespace.is_some() => {
                    open.records.iter().any(touches)
                }
                Some(_) => true,
            };
            if !concerns {
                continue;
            }
            match gaps.iter_mut().find(|gap| gap.after == after) {
                Some(gap) => gap.lost = gap.lost.saturating_add(lost.records),
                None => gaps.push(Gap {
                    after,
                    lost: lost.records,
                }),
            }
        }
        (gaps, behind)
    }

    /// How a journey ended, as far as its last records tell.
    pub(crate) fn end(&self, open: &Open, lost_behind: bool) -> (End, Option<DropInfo>) {
        let index = open.records.len() - 1;
        let last = open.last();
        let drop = |record: usize, by| {
            let shown = &open.records[record];
            let dropped = shown.dropped.as_ref();
            let named = |text: &String| (!text.is_empty()).then(|| text.clone());
            DropInfo {
                record,
                namespace: shown.namespace,
                hook: shown.hook,
                family: shown.family,
                reason: dropped.and_then(|dropped| named(&dropped.name)),
                location: dropped.and_then(|dropped| named(&dropped.location)),
                rule: shown.rule,
                generation: shown.generation,
                rule_text: None,
                by,
                suspects: Vec::new(),
            }
        };
        if let Some(record) = open.records.iter().rposition(|r| r.kind == Kind::Drop) {
            // A record behind it is of a copy that lives on.
            if record == index && taken(&open.records[record]) {
                return (End::Delivered, None);
            }
            // What we decided the kernel only did.
            let decided = record.checked_sub(1).filter(|before| {
                let before = &open.records[*before];
                let here = (before.namespace, before.hook, before.family);
                let there = &open.records[record];
                matches!(before.verdict, Some(Verdict::Drop | Verdict::Reject))
                    && here == (there.namespace, there.hook, there.family)
            });
            if let (true, Some(decided)) = (record == index, decided) {
                let by_kernel = drop(record, DropBy::Kernel);
                let dropped = DropInfo {
                    reason: by_kernel.reason,
                    location: by_kernel.location,
                    ..drop(decided, DropBy::Verdict)
                };
                return (End::Dropped, Some(dropped));
            }
            if record == index {
                return (End::Dropped, Some(drop(record, DropBy::Kernel)));
            }
        }
        if matches!(last.verdict, Some(Verdict::Drop | Verdict::Reject))
            && last.source != Source::Classic
        {
            return (End::Dropped, Some(drop(index, DropBy::Verdict)));
        }
        let held = last.verdict == Some(Verdict::Queue) || last.is_fragment();
        if last.kind == Kind::Entry && self.exits && !held {
            return if lost_behind {
                (End::Unknown, None)
            } else {
                (End::Dropped, Some(drop(index, DropBy::NoExit)))
            };
        }
        let end = match last.hook {
            Some(Hook::LocalIn) if !last.is_bridge() && !last.is_fragment() => End::Delivered,
            Some(Hook::PostRouting) if !lost_behind && !self.leads_on(last) => End::Sent,
            _ => End::Unknown,
        };
        (end, None)
    }

    /// Whether others that left so were seen again, and this one should have been.
    fn leads_on(&self, last: &Observation) -> bool {
        let comes_back = last.output.as_deref() == Some("lo");
        let packet = last.packet;
        comes_back
            || packet.is_some_and(|packet| {
                self.ways
                    .contains(&(last.namespace, last.output.clone(), packet.dst))
            })
    }

    /// The journey, but for its connection and its translations.
    pub(crate) fn close(&self, open: Open) -> Journey {
        let (mut gaps, lost_behind) = self.gaps(&open);
        let (end, drop) = self.end(&open, lost_behind);
        if matches!(end, End::Delivered | End::Dropped) {
            // Nothing was to come that could be missing.
            let last = Some(open.records.len() - 1);
            gaps.retain(|gap| gap.after != last);
        }
        let joins = open
            .records
            .windows(2)
            .zip(&open.ties)
            .enumerate()
            .filter_map(|(after, (pair, tie))| {
                let [last, next] = pair else { return None };
                let other = last.namespace != next.namespace
                    || last.skb != next.skb
                    || open.encapsulation.iter().any(|step| step.after == after);
                other.then_some(Join {
                    after,
                    by: tie.by,
                    certainty: tie.certainty,
                })
            })
            .collect();
        let mut legs: Vec<Leg> = Vec::new();
        for (index, record) in open.records.iter().enumerate() {
            match legs.last_mut() {
                Some(leg) if leg.namespace == record.namespace => leg.records.end = index + 1,
                _ => legs.push(Leg {
                    namespace: record.namespace,
                    records: index..index + 1,
                }),
            }
        }
        let inner = open
            .records
            .iter()
            .zip(&open.outer)
            .filter(|(_, outer)| outer.is_none())
            .find_map(|(record, _)| record.protocol());
        Journey {
            number: open.number,
            protocol: inner.or_else(|| open.records.iter().find_map(Observation::protocol)),
            records: open.records,
            outer: open.outer,
            nat: Vec::new(),
            encapsulation: open.encapsulation,
            joins,
            legs,
            end,
            drop,
            gaps,
            connection: None,
            direction: None,
            retransmission_of: open.retransmission_of,
            fragment_of: open.fragment_of,
            segment_of: open.segment_of,
            merged_into: open.merged_into,
            copy_of: open.copy_of,
            about: None,
        }
    }
}

/// Whether the kernel freed a packet as dropped that a socket had taken: a RST that did its
/// work, what nobody read until the socket was closed, an answer to a ping of which raw
/// sockets had a copy, or the acknowledgement of an end that TCP has behind it by then.
fn taken(record: &Observation) -> bool {
    let Some(dropped) = &record.dropped else {
        return false;
    };
    /// SYN or PSH.
    const OPENS_OR_CARRIES: u8 = 0x02 | 0x08;
    let icmp = matches!(record.protocol(), Some(Protocol::ICMP | Protocol::ICMPV6));
    record.hook == Some(Hook::LocalIn)
        && match &*dropped.name {
            "NOT_SPECIFIED" | "QUEUE_PURGE" => true,
            "NO_SOCKET" => icmp,
            "TCP_CLOSE" => record
                .tcp()
                .is_some_and(|tcp| tcp.flags & OPENS_OR_CARRIES == 0),
            _ => false,
        }
}
