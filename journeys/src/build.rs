// SPDX-License-Identifier: GPL-2.0

//! Builds journeys from a stream of observations.

use std::collections::{BTreeMap, BTreeSet};

use nftrace_core::record::Kind;

use crate::close::Stream;
use crate::fit::{change, Change, Likeness, Step};
use crate::flows::Flows;
use crate::index::Index;
use crate::model::{By, Certainty, Connection, End, Journey};
use crate::nat;
use crate::observation::{Observation, Source};
use crate::open::{Open, Tie};
use crate::order::Reorder;
use crate::related::Related;
use crate::{Input, Loss};

/// Of candidates that fit alike, the oldest one is taken, unless it is older than this.
const QUEUE: u64 = 50_000_000;
/// For how many journeys more it is kept how one ended in which others went on.
const MERGES: usize = 65_536;
/// A journey without times is over after so many records of others.
const IDLE_RECORDS: u64 = 65_536;

/// How patient a [`Builder`] is. Times are in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// By how much records of a ring may come too late, as CPUs do not write in step.
    pub window: u64,
    /// A journey of which nothing was seen for so long is over.
    pub idle: u64,
}

impl Options {
    /// For a recording or a log: patient.
    pub const FILE: Self = Self {
        window: 20_000_000,
        idle: 5_000_000_000,
    };
    /// For what is shown while it happens.
    pub const LIVE: Self = Self {
        window: 20_000_000,
        idle: 500_000_000,
    };
}

/// All that a stream tells.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// The journeys, by number.
    pub journeys: Vec<Journey>,
    /// Their connections, by number.
    pub connections: Vec<Connection>,
    /// Records that were lost or suppressed in the whole stream.
    pub lost: u64,
}

/// Builds journeys from observations.
///
/// They are to come in the order of their times, but for [`Options::window`].
#[derive(Debug)]
pub struct Builder {
    options: Options,
    reorder: Reorder,
    /// The journeys that are not over, by number.
    open: BTreeMap<usize, Open>,
    index: Index,
    /// The journeys in which others go on, with how they ended.
    merges: BTreeMap<usize, Option<End>>,
    stream: Stream,
    related: Related,
    flows: Flows,
    finished: Vec<Journey>,
    created: usize,
    order: u64,
    now: u64,
    swept: u64,
    lost: u64,
}

impl Builder {
    /// A builder that has seen nothing.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            reorder: Reorder::new(options.window),
            open: BTreeMap::new(),
            index: Index::default(),
            merges: BTreeMap::new(),
            stream: Stream::default(),
            related: Related::default(),
            flows: Flows::default(),
            finished: Vec::new(),
            created: 0,
            order: 0,
            now: 0,
            swept: 0,
            lost: 0,
        }
    }

    /// Says that the ends of hooks are recorded (`exit=1`), so that a packet without one
    /// was dropped. Without this it is known from the first such record on.
    pub fn expect_exits(&mut self) {
        self.stream.exits = true;
    }

    /// Takes what comes next.
    pub fn feed(&mut self, input: Input) {
        self.reorder.push(input);
        self.work(false);
    }

    /// Says how late it is, by the clock of the observations, so that journeys end also
    /// while nothing comes.
    pub fn advance(&mut self, now: u64) {
        self.reorder.advance(now);
        self.work(false);
        self.now = self.now.max(now);
        self.sweep();
    }

    /// The journeys that are over, in the order of their numbers, each once.
    pub fn take_finished(&mut self) -> Vec<Journey> {
        std::mem::take(&mut self.finished)
    }

    /// The connections of the journeys that are over.
    pub fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.flows.connections()
    }

    /// Nothing comes any more: the journeys that were not taken yet, and all connections.
    pub fn finish(mut self) -> Trace {
        self.work(true);
        for number in self.open.keys().copied().collect::<Vec<_>>() {
            self.close(number);
        }
        // What later packets taught about earlier ones.
        for journey in &mut self.finished {
            if journey
                .nat
                .iter()
                .all(|nat| nat.certainty == Certainty::Proved)
            {
                journey.nat.extend(nat::expected(journey, &self.flows));
            }
        }
        Trace {
            journeys: self.finished,
            connections: self.flows.connections().cloned().collect(),
            lost: self.lost,
        }
    }

    fn work(&mut self, all: bool) {
        while let Some(input) = self.reorder.pop(all) {
            self.order += 1;
            match input {
                Input::Loss(loss) => self.lose(&loss),
                Input::Record(record) if record.kind == Kind::Gap => {}
                Input::Record(record) => self.observe(record),
            }
        }
    }

    fn lose(&mut self, loss: &Loss) {
        self.lost = self.lost.saturating_add(loss.records);
        self.stream.lose(loss, self.order);
    }

    fn observe(&mut self, record: Observation) {
        self.now = self.now.max(record.time.unwrap_or(0));
        self.sweep();
        self.stream.note(&record, self.order);
        let mut copy_of = None;
        let known = record
            .skb
            .and_then(|skb| self.index.identity(skb))
            .and_then(|number| self.open.get(&number));
        if let Some(open) = known {
            let number = open.number;
            if let Some(tie) = open.fits_identity(&record) {
                return self.join(number, record, tie);
            }
            if record.source == Source::Ring {
                if let Some(tie) = self.split(number, &record) {
                    return self.join(number, record, tie);
                }
                copy_of = Some(number);
            }
        }
        if copy_of.is_none() {
            if let Some((number, tie)) = self.find(&record) {
                return self.join(number, record, tie);
            }
        }
        self.begin(record, copy_of);
    }

    fn begin(&mut self, record: Observation, copy_of: Option<usize>) {
        self.created += 1;
        let number = self.created;
        self.index.insert(number, None, &record);
        let mut open = Open::new(number, record, self.order);
        open.copy_of = copy_of;
        self.related.begins(&mut open);
        self.open.insert(number, open);
    }

    /// The records of a copy are taken off a journey, if then `record` is its next one.
    fn split(&mut self, number: usize, record: &Observation) -> Option<Tie> {
        let open = self.open.get_mut(&number)?;
        let copy = open.split(record, self.created + 1)?;
        let tie = open.fits_identity(record);
        self.created += 1;
        for shown in &copy.records {
            self.index.insert(copy.number, None, shown);
        }
        self.open.insert(copy.number, copy);
        tie
    }

    fn join(&mut self, number: usize, record: Observation, tie: Tie) {
        let Some(open) = self.open.get_mut(&number) else {
            return;
        };
        open.push(record, self.order, tie);
        let (Some(last), record) = (open.last_but_one(), open.last()) else {
            return;
        };
        self.stream.crossed(last, record);
        self.index.insert(number, Some(last), record);
        let whole_again = last.is_fragment() && !record.is_fragment() && record.packet.is_some();
        if whole_again || (tie.by == By::Segment && record.gso_segs > last.gso_segs) {
            let (last, record) = (last.clone(), record.clone());
            self.merge(number, &last, &record);
        } else {
            self.related.goes_on(open);
        }
    }

    /// Says of the journeys whose packets became part of `record` that they go on there.
    fn merge(&mut self, into: usize, last: &Observation, record: &Observation) {
        // A later fragment has no ports, and the first one has.
        let ends = [last.src(), record.src()].into_iter().flatten();
        let numbers: BTreeSet<usize> = ends.flat_map(|end| self.index.senders(end)).collect();
        self.merges.insert(into, None);
        for number in numbers {
            let Some(open) = self.open.get_mut(&number) else {
                continue;
            };
            if number != into && open.is_part_of(last, record) {
                open.merged_into = Some(into);
            }
        }
    }

    /// The journey whose next record this is, although its identity is new.
    fn find(&self, record: &Observation) -> Option<(usize, Tie)> {
        if record.kind == Kind::Drop {
            return None;
        }
        let mut best: Option<(Rank, usize, Tie)> = None;
        for number in self.index.candidates(record) {
            let Some(open) = self.open.get(&number) else {
                continue;
            };
            let Some((tie, likeness)) =
                open.fits_otherwise(record, self.order, &self.flows, &self.stream)
            else {
                continue;
            };
            let age = match (open.last().time, record.time) {
                (Some(last), Some(now)) => now.saturating_sub(last),
                _ => 0,
            };
            let changed = open
                .last()
                .tuple()
                .zip(record.tuple())
                .is_none_or(|(a, b)| change(a, b) != Change::None);
            let rank = Rank {
                likeness,
                changed: changed && !matches!(tie.step, Step::Leave(_)),
                // Packets do not overtake each other: first come, first served.
                late: if age > QUEUE { age } else { 0 },
                number,
            };
            if best.as_ref().is_none_or(|(other, ..)| rank < *other) {
                best = Some((rank, number, tie));
            }
        }
        best.map(|(_, number, tie)| (number, tie))
    }

    /// Ends the journeys that are idle, in the order of their numbers.
    fn sweep(&mut self) {
        let untimed = self.now == 0;
        let (at, every) = if untimed {
            (self.order, IDLE_RECORDS / 4)
        } else {
            (self.now, self.options.idle / 8)
        };
        if at.saturating_sub(self.swept) < every {
            return;
        }
        self.swept = at;
        while let Some((number, open)) = self.open.first_key_value() {
            let idle = match open.last().time {
                Some(time) => self.now.saturating_sub(time) > self.options.idle,
                None => self.order.saturating_sub(open.last_order()) > IDLE_RECORDS,
            };
            if !idle {
                break;
            }
            self.close(*number);
        }
        self.flows.forget(self.now);
        // Those that went on in a journey began about when it did.
        let oldest = self.open.keys().next().copied().unwrap_or(self.created);
        self.merges = self.merges.split_off(&oldest.saturating_sub(MERGES));
        self.index.forget(|number| self.open.contains_key(&number));
    }

    fn close(&mut self, number: usize) {
        let Some(open) = self.open.remove(&number) else {
            return;
        };
        self.index.remove(&open);
        let merged = open
            .merged_into
            .and_then(|into| match self.open.get(&into) {
                Some(into) => Some(self.stream.end(into, false).0),
                None => self.merges.get(&into).copied().flatten(),
            });
        let mut journey = self.stream.close(open);
        if let Some(end) = merged.filter(|_| journey.drop.is_none()) {
            journey.end = end;
        }
        if let Some(known) = self.merges.get_mut(&number) {
            *known = Some(journey.end);
        }
        self.flows.assign(&mut journey);
        journey.nat = nat::seen(&journey);
        journey.nat.extend(nat::expected(&journey, &self.flows));
        self.finished.push(journey);
    }
}

/// How well a candidate fits: the least is the best.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    likeness: Likeness,
    changed: bool,
    late: u64,
    number: usize,
}
