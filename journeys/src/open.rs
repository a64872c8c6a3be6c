// SPDX-License-Identifier: GPL-2.0

//! A journey that is not over yet, and which record may be its next one.

use nftrace_core::hook::Hook;
use nftrace_core::record::Kind;

use crate::close::Stream;
use crate::fit::{change, is_reused, likeness, same_content, step, Change, Likeness, Step};
use crate::flows::Flows;
use crate::model::{By, Certainty, Encapsulation, Tunnel};
use crate::observation::Observation;

/// How long a packet may be on its way between two records, where nothing but that
/// tells packets apart.
const HOP: u64 = 1_000_000_000;
/// The same for packets of which only flow and length are known, from a ring.
const SHORT_HOP: u64 = 5_000_000;
/// The same for a packet that is being put into another one, or taken out.
const TUNNEL_HOP: u64 = 100_000_000;
/// How long the kernel waits for a datagram's fragments.
const FRAGMENTS: u64 = 30_000_000_000;
/// The same in records, where there are no times.
const HOP_RECORDS: u64 = 256;
/// By how many bytes the tunnels' headers make a packet longer.
const OVERHEAD: std::ops::RangeInclusive<u32> = 20..=120;

/// What ties a record to the one before, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tie {
    pub(crate) by: By,
    pub(crate) certainty: Certainty,
    pub(crate) step: Step,
}

/// A journey so far.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) number: usize,
    /// At least one.
    pub(crate) records: Vec<Observation>,
    /// For each record, the place in the stream where it came.
    pub(crate) orders: Vec<u64>,
    /// For each record but the first.
    pub(crate) ties: Vec<Tie>,
    pub(crate) outer: Vec<Option<Tunnel>>,
    pub(crate) encapsulation: Vec<Encapsulation>,
    /// The tunnels that it is inside of, with the index of the last record before.
    stack: Vec<(Tunnel, usize)>,
    pub(crate) copy_of: Option<usize>,
    pub(crate) segment_of: Option<usize>,
    pub(crate) merged_into: Option<usize>,
    pub(crate) fragment_of: Option<usize>,
    pub(crate) retransmission_of: Option<usize>,
}

impl Open {
    pub(crate) fn new(number: usize, record: Observation, order: u64) -> Self {
        Self {
            number,
            records: vec![record],
            orders: vec![order],
            ties: Vec::new(),
            outer: vec![None],
            encapsulation: Vec::new(),
            stack: Vec::new(),
            copy_of: None,
            segment_of: None,
            merged_into: None,
            fragment_of: None,
            retransmission_of: None,
        }
    }

    /// The last record.
    pub(crate) fn last(&self) -> &Observation {
        &self.records[self.records.len() - 1]
    }

    /// The record before the last one.
    pub(crate) fn last_but_one(&self) -> Option<&Observation> {
        self.records.iter().rev().nth(1)
    }

    /// The last record that is of a hook and shows the headers.
    fn last_at_hook(&self) -> Option<(usize, &Observation)> {
        self.records
            .iter()
            .enumerate()
            .rev()
            .find(|(_, record)| record.kind != Kind::Drop && record.packet.is_some())
    }

    /// The place in the stream of the last record.
    pub(crate) fn last_order(&self) -> u64 {
        self.orders.last().copied().unwrap_or(0)
    }

    /// Appends a record.
    pub(crate) fn push(&mut self, record: Observation, order: u64, tie: Tie) {
        let after = self.records.len() - 1;
        match tie.step {
            Step::Enter(tunnel) => {
                self.stack.push((tunnel, after));
                self.encapsulation.push(Encapsulation {
                    after,
                    tunnel,
                    enter: true,
                });
            }
            Step::Leave(tunnel) => {
                let tunnel = match self.stack.pop() {
                    Some((entered, _)) => entered,
                    None => {
                        // What was seen until now was the outer packet all the time.
                        for outer in &mut self.outer {
                            outer.get_or_insert(tunnel);
                        }
                        tunnel
                    }
                };
                self.encapsulation.push(Encapsulation {
                    after,
                    tunnel,
                    enter: false,
                });
            }
            Step::On | Step::Skip | Step::Loop => {}
        }
        self.outer
            .push(self.stack.last().map(|(tunnel, _)| *tunnel));
        self.records.push(record);
        self.orders.push(order);
        self.ties.push(tie);
    }

    /// Takes the last records off, those of a copy of this journey's packet, where `next`
    /// shows that the packet itself has not got there: a journey of their own.
    pub(crate) fn split(&mut self, next: &Observation, number: usize) -> Option<Self> {
        let own = self.records.iter().rposition(|r| r.skb == next.skb)?;
        let at = own + 1;
        let tunnelled = self.encapsulation.iter().any(|step| step.after >= own);
        if at == self.records.len() || tunnelled {
            return None;
        }
        let mut copy = Self {
            number,
            records: self.records.split_off(at),
            orders: self.orders.split_off(at),
            ties: self.ties.split_off(own),
            outer: self.outer.split_off(at),
            encapsulation: Vec::new(),
            stack: self.stack.clone(),
            copy_of: Some(self.number),
            segment_of: None,
            merged_into: None,
            fragment_of: None,
            retransmission_of: None,
        };
        copy.ties.remove(0);
        Some(copy)
    }

    /// The record that shows the packet inside of the tunnel.
    fn inner(&self) -> Option<&Observation> {
        let (_, index) = self.stack.last()?;
        self.records.get(*index)
    }

    /// Whether `next`, which has the identity of a packet of this journey, is its next
    /// record; none: its buffer was freed, and used again for another packet.
    pub(crate) fn fits_identity(&self, next: &Observation) -> Option<Tie> {
        let mut tie = Tie {
            by: By::Skb,
            certainty: Certainty::Proved,
            step: Step::On,
        };
        let reused = is_reused(next.source);
        let ended = self.last().kind == Kind::Drop;
        if next.kind == Kind::Drop || next.packet.is_none() {
            let here = next.namespace == self.last().namespace;
            return (!reused || (here && !ended)).then_some(tie);
        }
        let Some((_, last)) = self.last_at_hook() else {
            return (!reused || !ended).then_some(tie);
        };
        let inside = !self.stack.is_empty();
        let step = step(last, next, inside);
        if let Some(step @ (Step::Enter(_) | Step::Leave(_))) = step {
            let other = last.tuple() != next.tuple() || last.protocol() != next.protocol();
            if other && (!reused || self.tunnels(last, next, step)) {
                tie.step = step;
                return Some(tie);
            }
            return (!reused).then_some(tie);
        }
        if !reused {
            // Two buffers may carry what was one packet, and only one of them can go on from here.
            let copied = last.skb != next.skb && step.is_none();
            tie.step = step.unwrap_or(Step::Skip);
            return (!copied).then_some(tie);
        }
        tie.step = step?;
        let changed = change(last.tuple()?, next.tuple()?);
        let here = last.namespace == next.namespace;
        if ended || !same_content(last, next) || !is_near(last, next, HOP) {
            return None;
        }
        // A sent packet's buffer is soon used for one that is received: one that comes
        // back is that only if it comes from where it went.
        if tie.step == Step::Loop && (last.output.is_none() || last.output != next.input) {
            return None;
        }
        if tie.step == Step::Skip && !here {
            tie.certainty = Certainty::Inferred;
        }
        match changed {
            Change::None => {}
            Change::Both => return None,
            Change::One => {
                let source = last.src() != next.src();
                let crossing = !here || tie.step == Step::Loop;
                // The records that are missing may have shown a translation.
                let missing = tie.step == Step::Skip && next.known.len && last.len == next.len;
                if crossing && !source && !missing {
                    return None;
                }
                if crossing && !next.known.flags {
                    tie.certainty = Certainty::Inferred;
                }
            }
        }
        Some(tie)
    }

    /// Whether this journey's packet became part of `whole`, of which `part` was the
    /// part that goes by its identity.
    pub(crate) fn is_part_of(&self, part: &Observation, whole: &Observation) -> bool {
        let last = self.last();
        let (Some(mine), Some(theirs)) = (last.packet, part.packet) else {
            return false;
        };
        if mine.fragment.is_some() && theirs.fragment.is_some() {
            let same = (mine.src, mine.dst, mine.id) == (theirs.src, theirs.dst, theirs.id);
            return same && last.namespace == part.namespace && is_near(last, whole, FRAGMENTS);
        }
        match (last.tcp(), whole.tcp()) {
            (Some(segment), Some(all)) if last.known.seq && last.hook == part.hook => {
                let at = segment.seq.wrapping_sub(all.seq);
                let same = last.namespace == part.namespace && segment.ports == all.ports;
                same && at > 0 && at < whole.len && is_near(last, whole, HOP)
            }
            _ => false,
        }
    }

    /// Whether `next` can be the outer packet of `last`, or the other way round.
    fn tunnels(&self, last: &Observation, next: &Observation, step: Step) -> bool {
        let fits = |inner: &Observation, outer: &Observation| {
            let longer = outer.len.saturating_sub(inner.len);
            !(inner.known.len && outer.known.len) || OVERHEAD.contains(&longer)
        };
        // Most packets over UDP carry no other: there must be no time for another one.
        let most = match step {
            Step::Enter(tunnel) | Step::Leave(tunnel) if tunnel.is_certain() => TUNNEL_HOP,
            _ => SHORT_HOP,
        };
        match step {
            Step::Enter(_) => fits(last, next) && is_near(last, next, most),
            Step::Leave(_) => match self.inner() {
                Some(inner) => {
                    same_content(inner, next)
                        && inner
                            .tuple()
                            .zip(next.tuple())
                            .is_some_and(|(a, b)| change(a, b) != Change::Both)
                }
                None => fits(next, last) && is_near(last, next, most),
            },
            _ => false,
        }
    }

    /// Whether `next`, which has another identity, may be the next record all the same.
    pub(crate) fn fits_otherwise(
        &self,
        next: &Observation,
        order: u64,
        flows: &Flows,
        stream: &Stream,
    ) -> Option<(Tie, Likeness)> {
        let (_, last) = self.last_at_hook()?;
        if self.last().kind == Kind::Drop || next.kind == Kind::Drop {
            return None;
        }
        let step = step(last, next, !self.stack.is_empty())?;
        if !is_near(last, next, HOP)
            || (next.time.is_none() && order - self.last_order() > HOP_RECORDS)
        {
            return None;
        }
        let tie = |by| Tie {
            by,
            certainty: Certainty::Inferred,
            step,
        };
        let like = match step {
            Step::On => last,
            Step::Leave(_) => match self.inner() {
                Some(inner) => inner,
                None => {
                    let fits = last.may_carry()?.is_certain() && self.tunnels(last, next, step);
                    return (fits && last.known.len)
                        .then_some((tie(By::Encapsulation), Likeness::Flow));
                }
            },
            Step::Enter(tunnel) => {
                let fits = tunnel.is_certain() && last.known.len && self.tunnels(last, next, step);
                let here = last.namespace == next.namespace && last.hook == Some(Hook::PostRouting);
                return (fits && here).then_some((tie(By::Encapsulation), Likeness::Flow));
            }
            Step::Skip | Step::Loop => return None,
        };
        let likeness = likeness(like, next)?;
        let told_apart = last.skb.is_some()
            && next.skb.is_some()
            && stream.keeps_identity(&last.namespace, &next.namespace);
        if likeness == Likeness::Flow && told_apart {
            return None;
        }
        let (from, to) = (like.tuple()?, next.tuple()?);
        let changed = change(from, to);
        let by = match (likeness, changed) {
            (_, Change::Both) => return None,
            (Likeness::Numbers, _) => By::Sequence,
            (Likeness::Part, _) if next.is_fragment() => By::Fragment,
            (Likeness::Part, _) => By::Segment,
            (Likeness::Flow, Change::One) => {
                if !flows.translates(&next.namespace, from, to)
                    && !flows.translates(&like.namespace, from, to)
                {
                    return None;
                }
                By::Nat
            }
            // A ring's identities differ where packets do, unless one was made of the other.
            (Likeness::Flow, Change::None) => {
                if !is_reused(next.source) && !is_near(last, next, SHORT_HOP) {
                    return None;
                }
                By::Flow
            }
        };
        let by = match step {
            Step::Leave(_) => By::Encapsulation,
            _ => by,
        };
        Some((tie(by), likeness))
    }
}

/// Whether the time between two records is at most `most`, as far as it is known.
pub(crate) fn is_near(last: &Observation, next: &Observation, most: u64) -> bool {
    match (last.time, next.time) {
        (Some(last), Some(next)) => next.saturating_sub(last) <= most,
        _ => true,
    }
}
