// SPDX-License-Identifier: GPL-2.0

//! Journeys as JSON, through serde.

use nftrace_core::hook::{Family, Hook};
use nftrace_core::packet::Protocol;
use serde::Serialize;

mod record;

use crate::model::{
    Connection, Direction, DropInfo, Encapsulation, Gap, Join, Journey, Nat, Tuple,
};
use crate::observation::Names;
pub use record::RecordJson;
use record::TupleJson;

/// A journey as one JSON object.
#[derive(Debug, Serialize)]
pub struct JourneyJson {
    journey: usize,
    proto: Option<String>,
    connection: Option<usize>,
    direction: Option<&'static str>,
    records: Vec<RecordJson>,
    nat: Vec<NatJson>,
    joins: Vec<JoinJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    encapsulation: Vec<EncapsulationJson>,
    end: &'static str,
    drop: Option<DropJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lost: Vec<GapJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retransmission_of: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fragment_of: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    segment_of: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    merged_into: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    copy_of: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<usize>,
}

#[derive(Debug, Serialize)]
struct NatJson {
    after: usize,
    kind: &'static str,
    from: String,
    to: String,
    certainty: &'static str,
}

#[derive(Debug, Serialize)]
struct JoinJson {
    after: usize,
    by: &'static str,
    certainty: &'static str,
}

#[derive(Debug, Serialize)]
struct EncapsulationJson {
    after: usize,
    kind: &'static str,
    what: &'static str,
}

#[derive(Debug, Serialize)]
struct DropJson {
    record: usize,
    hook: Option<&'static str>,
    family: Option<&'static str>,
    ns: Option<String>,
    name: Option<String>,
    reason: Option<String>,
    location: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_text: Option<String>,
    by: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    suspects: Vec<String>,
}

#[derive(Debug, Serialize)]
struct GapJson {
    after: Option<usize>,
    records: u64,
}

/// A connection as one JSON object.
#[derive(Debug, Serialize)]
pub struct ConnectionJson {
    connection: usize,
    proto: Option<String>,
    src: String,
    dst: String,
    tuples: Vec<TupleJson>,
    journeys: Vec<usize>,
}

/// A protocol by its name, else by its number.
pub fn protocol_name(protocol: Protocol) -> String {
    protocol
        .name()
        .map_or_else(|| protocol.0.to_string(), str::to_owned)
}

fn text(value: impl std::fmt::Display) -> String {
    value.to_string()
}

impl Journey {
    /// The journey for JSON, one object; `serde_json::to_string` makes a line of it.
    pub fn to_json(&self, names: &dyn Names) -> JourneyJson {
        let outer = self.outer.iter().copied().chain(std::iter::repeat(None));
        JourneyJson {
            journey: self.number,
            proto: self.protocol.map(protocol_name),
            connection: self.connection,
            direction: self.direction.map(Direction::name),
            records: self
                .records
                .iter()
                .zip(outer)
                .map(|(record, outer)| RecordJson::new(record, outer, names))
                .collect(),
            nat: self.nat.iter().map(NatJson::from).collect(),
            joins: self.joins.iter().map(JoinJson::from).collect(),
            encapsulation: self
                .encapsulation
                .iter()
                .map(EncapsulationJson::from)
                .collect(),
            end: self.end.name(),
            drop: self
                .drop
                .as_ref()
                .map(|drop| DropJson::new(drop, self, names)),
            lost: self.gaps.iter().map(GapJson::from).collect(),
            retransmission_of: self.retransmission_of,
            fragment_of: self.fragment_of,
            segment_of: self.segment_of,
            merged_into: self.merged_into,
            copy_of: self.copy_of,
            about: self.about,
        }
    }
}

impl From<&Nat> for NatJson {
    fn from(nat: &Nat) -> Self {
        Self {
            after: nat.after,
            kind: nat.kind.name(),
            from: text(nat.from),
            to: text(nat.to),
            certainty: nat.certainty.name(),
        }
    }
}

impl From<&Join> for JoinJson {
    fn from(join: &Join) -> Self {
        Self {
            after: join.after,
            by: join.by.name(),
            certainty: join.certainty.name(),
        }
    }
}

impl From<&Encapsulation> for EncapsulationJson {
    fn from(encapsulation: &Encapsulation) -> Self {
        Self {
            after: encapsulation.after,
            kind: encapsulation.tunnel.name(),
            what: if encapsulation.enter {
                "enter"
            } else {
                "leave"
            },
        }
    }
}

impl From<&Gap> for GapJson {
    fn from(gap: &Gap) -> Self {
        Self {
            after: gap.after,
            records: gap.lost,
        }
    }
}

impl DropJson {
    fn new(drop: &DropInfo, journey: &Journey, names: &dyn Names) -> Self {
        Self {
            record: drop.record,
            hook: drop.hook.map(Hook::name),
            family: drop.family.map(Family::name),
            ns: drop.namespace.label(),
            name: journey
                .records
                .iter()
                .find(|record| record.namespace == drop.namespace)
                .and_then(|record| record.name(names)),
            reason: drop.reason.clone(),
            location: drop.location.clone(),
            rule: (drop.rule != 0).then_some(drop.rule),
            generation: (drop.generation != 0).then_some(drop.generation),
            rule_text: drop.rule_text.clone(),
            by: drop.by.name(),
            suspects: drop.suspects.clone(),
        }
    }
}

impl Connection {
    /// The connection for JSON, one object.
    pub fn to_json(&self) -> ConnectionJson {
        let ends = |tuple: &Tuple| TupleJson {
            proto: None,
            src: text(tuple.src),
            dst: text(tuple.dst),
        };
        ConnectionJson {
            connection: self.number,
            proto: self.protocol.map(protocol_name),
            src: text(self.client.src),
            dst: text(self.client.dst),
            tuples: self.tuples.iter().map(ends).collect(),
            journeys: self.journeys.clone(),
        }
    }
}
