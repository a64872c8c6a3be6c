// SPDX-License-Identifier: GPL-2.0

//! A journey as a list of what is shown, one behind the other: the one thing that
//! text, mermaid and drawings are made from.

use nftrace_core::hook::Family;
use nftrace_core::record::{Kind, Verdict};
use nftrace_journeys::{By, Certainty, Direction, Journey, Names, Observation, Source};

use super::details::details;
use super::end::Ending;
use super::words::{self, Place};

/// A journey, in words.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// Its number.
    pub(crate) number: usize,
    /// The protocol.
    pub(crate) protocol: String,
    /// What the packet is: `SYN`, `echo request`.
    pub(crate) what: Option<String>,
    /// The sender, as the first record has it.
    pub(crate) src: String,
    /// The receiver, as the first record has it.
    pub(crate) dst: String,
    /// The number of the connection.
    pub(crate) connection: Option<usize>,
    /// Which way it goes there.
    pub(crate) direction: Option<Direction>,
    /// The number of the connection that an error is about.
    pub(crate) about: Option<usize>,
    /// What it is to others: `sends journey 3 again`.
    pub(crate) relations: Vec<String>,
    /// The way.
    pub(crate) parts: Vec<Part>,
    /// How it ended.
    pub(crate) ending: Ending,
    /// When it began, by its source's clock.
    pub(crate) start: Option<u64>,
    /// How long it took.
    pub(crate) duration: Option<u64>,
}

/// What is shown of a way.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// From here on it is in this namespace.
    Leg(Place),
    /// A hook.
    Step(Step),
    /// An address is rewritten.
    Nat {
        kind: &'static str,
        from: String,
        to: String,
        certainty: Certainty,
    },
    /// What ties the record before to the next one.
    Join {
        by: &'static str,
        certainty: Certainty,
    },
    /// Into a tunnel, or out of it.
    Tunnel { name: &'static str, enter: bool },
    /// Records were lost.
    Lost(u64),
}

/// A packet at a hook.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// The hook, as in `FORWARD` and `bridge FORWARD`.
    pub(crate) hook: String,
    /// Whether it is one of the bridge family.
    pub(crate) bridge: bool,
    /// The devices, as in `eth0 → br0`.
    pub(crate) devices: String,
    /// The sender at this moment; `?` where the headers are not known.
    pub(crate) src: String,
    /// The receiver at this moment.
    pub(crate) dst: String,
    /// Nanoseconds since the step before.
    pub(crate) since: Option<u64>,
    /// What else tells packets apart: the class of a sender without a namespace of its own.
    pub(crate) tag: Option<String>,
    /// What nftrace decided, where it was not to accept.
    pub(crate) verdict: Option<&'static str>,
    /// All that the record says.
    pub(crate) details: Vec<(&'static str, String)>,
}

/// The time of a record, where it is that of the packet: our own lines of the kernel
/// log have that of their printing.
fn time(observation: &Observation) -> Option<u64> {
    observation
        .time
        .filter(|_| observation.source != Source::Log)
}

impl View {
    /// What is shown of `journey`.
    pub(crate) fn new(journey: &Journey, names: &dyn Names) -> Self {
        let first = journey.records.first();
        let start = first.and_then(|record| record.time);
        let times: Vec<u64> = journey.records.iter().filter_map(time).collect();
        let duration = match times[..] {
            [first, .., last] => last.checked_sub(first),
            _ => None,
        };
        Self {
            number: journey.number,
            protocol: words::protocol(journey.protocol),
            what: first.and_then(words::what),
            src: words::end(first.and_then(Observation::src)),
            dst: words::end(first.and_then(Observation::dst)),
            connection: journey.connection,
            direction: journey.direction,
            about: journey.about,
            relations: relations(journey),
            parts: parts(journey, names),
            ending: Ending::of(journey, names),
            start,
            duration,
        }
    }

    /// The hooks.
    pub(crate) fn steps(&self) -> impl Iterator<Item = &Step> {
        self.parts.iter().filter_map(|part| match part {
            Part::Step(step) => Some(step),
            _ => None,
        })
    }

    /// The namespaces, in order, some perhaps more than once.
    pub(crate) fn places(&self) -> impl Iterator<Item = &Place> {
        self.parts.iter().filter_map(|part| match part {
            Part::Leg(place) => Some(place),
            _ => None,
        })
    }

    /// `tcp SYN`
    pub(crate) fn title(&self) -> String {
        match &self.what {
            Some(what) => format!("{} {what}", self.protocol),
            None => self.protocol.clone(),
        }
    }

    /// `request of connection 1`
    pub(crate) fn role(&self) -> Option<String> {
        let connection = self.connection?;
        Some(match self.direction {
            Some(direction) => format!("{} of connection {connection}", direction.name()),
            None => format!("connection {connection}"),
        })
    }

    /// Whether `other` went the same way, whatever its times: one drawing shows both.
    pub(crate) fn same_way(&self, other: &Self) -> bool {
        let same_part = |pair: (&Part, &Part)| match pair {
            (Part::Leg(a), Part::Leg(b)) => a == b,
            (Part::Step(a), Part::Step(b)) => {
                (&a.hook, &a.devices, &a.src, &a.dst, &a.tag, a.verdict)
                    == (&b.hook, &b.devices, &b.src, &b.dst, &b.tag, b.verdict)
            }
            (
                Part::Nat {
                    kind,
                    from,
                    to,
                    certainty,
                },
                Part::Nat {
                    kind: kind_b,
                    from: from_b,
                    to: to_b,
                    certainty: certainty_b,
                },
            ) => (kind, from, to, certainty) == (kind_b, from_b, to_b, certainty_b),
            (
                Part::Join { certainty, by },
                Part::Join {
                    certainty: certainty_b,
                    by: by_b,
                },
            ) => {
                // What proves a join is of no interest in a drawing; how sure it is, is.
                certainty == certainty_b && (*certainty == Certainty::Proved || by == by_b)
            }
            (
                Part::Tunnel { name, enter },
                Part::Tunnel {
                    name: name_b,
                    enter: enter_b,
                },
            ) => (name, enter) == (name_b, enter_b),
            (Part::Lost(a), Part::Lost(b)) => a == b,
            _ => false,
        };
        (self.connection, self.about, self.direction, &self.ending)
            == (
                other.connection,
                other.about,
                other.direction,
                &other.ending,
            )
            && self.parts.len() == other.parts.len()
            && self.parts.iter().zip(&other.parts).all(same_part)
    }
}

fn relations(journey: &Journey) -> Vec<String> {
    let mut relations = Vec::new();
    let mut add = |number: Option<usize>, text: fn(usize) -> String| {
        relations.extend(number.map(text));
    };
    add(journey.retransmission_of, |n| {
        format!("sends journey {n} again")
    });
    add(journey.fragment_of, |n| {
        format!("a fragment; the first one is journey {n}")
    });
    add(journey.segment_of, |n| format!("a segment of journey {n}"));
    add(journey.copy_of, |n| format!("a copy of journey {n}"));
    add(journey.about, |n| format!("about connection {n}"));
    relations
}

fn parts(journey: &Journey, names: &dyn Names) -> Vec<Part> {
    let mut parts = Vec::new();
    let lost = |after: Option<usize>| {
        let here = journey.gaps.iter().filter(move |gap| gap.after == after);
        here.map(|gap| Part::Lost(gap.lost))
    };
    parts.extend(lost(None));
    let mut before: Option<u64> = None;
    for (index, record) in journey.records.iter().enumerate() {
        if journey.legs.iter().any(|leg| leg.records.start == index) {
            parts.push(Part::Leg(Place::of(record, names)));
        }
        let ends_journey = journey
            .drop
            .as_ref()
            .is_some_and(|drop| drop.record == index);
        if record.kind == Kind::Drop && ends_journey {
            // The ending says it.
        } else if let Some(step) = ends_hook(journey, index, &mut parts) {
            // The end of a hook is shown with its beginning, and counts as passed there.
            step.details
                .push(("leaves the hook", words::addresses(record)));
            if let Some(inside) = time(record)
                .zip(before)
                .and_then(|(now, then)| now.checked_sub(then))
            {
                step.details.push(("time in the hook", words::span(inside)));
            }
        } else {
            let now = time(record);
            let since = now
                .zip(before)
                .and_then(|(now, then)| now.checked_sub(then));
            before = now.or(before);
            let mut step = step(record, since);
            let joins = journey.joins.iter();
            for join in joins.filter(|join| join.after + 1 == index) {
                let how = format!("{}, {}", by(join.by), join.certainty.name());
                step.details.push(("joined by", how));
            }
            parts.push(Part::Step(step));
        }
        parts.extend(lost(Some(index)));
        for nat in journey.nat.iter().filter(|nat| nat.after == index) {
            parts.push(Part::Nat {
                kind: nat.kind.name(),
                from: nat.from.to_string(),
                to: nat.to.to_string(),
                certainty: nat.certainty,
            });
        }
        for change in journey
            .encapsulation
            .iter()
            .filter(|change| change.after == index)
        {
            parts.push(Part::Tunnel {
                name: change.tunnel.name(),
                enter: change.enter,
            });
        }
        for join in journey.joins.iter().filter(|join| join.after == index) {
            parts.push(Part::Join {
                by: by(join.by),
                certainty: join.certainty,
            });
        }
    }
    parts
}

/// The step of the hook that ends with this record, where it is the one before.
fn ends_hook<'a>(journey: &Journey, index: usize, parts: &'a mut [Part]) -> Option<&'a mut Step> {
    let record = journey.records.get(index)?;
    let entry = journey.records.get(index.checked_sub(1)?)?;
    let same = |a: &Observation, b: &Observation| {
        (a.hook, a.family, a.namespace) == (b.hook, b.family, b.namespace)
    };
    if record.kind != Kind::Exit || entry.kind != Kind::Entry || !same(record, entry) {
        return None;
    }
    parts.iter_mut().rev().find_map(|part| match part {
        Part::Step(step) => Some(step),
        _ => None,
    })
}

/// What ties two records, in words.
fn by(by: By) -> &'static str {
    match by {
        By::Skb => "packet identity",
        By::Sequence => "sequence number",
        By::Flow => "flow and time",
        By::Nat => "translated flow",
        By::Encapsulation => "tunnel",
        By::Fragment => "fragments of one datagram",
        By::Segment => "segments of one packet",
    }
}

fn step(record: &Observation, since: Option<u64>) -> Step {
    Step {
        hook: words::station(record),
        bridge: record.family == Some(Family::Bridge),
        devices: words::devices(record),
        src: words::end(record.src()),
        dst: words::end(record.dst()),
        since,
        tag: record
            .socket
            .filter(|socket| socket.classid != 0)
            .map(|socket| format!("classid {:#x}", socket.classid)),
        verdict: record
            .verdict
            .filter(|verdict| *verdict != Verdict::Accept)
            .map(Verdict::name),
        details: details(record),
    }
}
