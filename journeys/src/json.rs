// SPDX-License-Identifier: GPL-2.0

//! Journeys as JSON, through serde.

use nftrace_core::hook::{Family, Hook};
use nftrace_core::packet::{Protocol, Transport};
use nftrace_core::record::v1::TcpFlags;
use nftrace_core::record::{Kind, Verdict};
use serde::Serialize;

use crate::model::{
    Connection, Direction, DropInfo, Encapsulation, Gap, Join, Journey, Nat, Tunnel, Tuple,
};
use crate::observation::{Endpoint, Names, Observation, Source};

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

/// A record as one JSON object, as in a journey's `records`.
#[derive(Debug, Serialize)]
pub struct RecordJson {
    hook: Option<&'static str>,
    at: &'static str,
    family: Option<&'static str>,
    ns: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cookie: Option<u64>,
    name: Option<String>,
    dev: Option<String>,
    #[serde(rename = "in")]
    input: Option<String>,
    out: Option<String>,
    proto: Option<String>,
    src: Option<String>,
    dst: Option<String>,
    time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    skb: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flags: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ack: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    len: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gso_segs: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mark: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fragment: Option<FragmentJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icmp: Option<IcmpJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conntrack: Option<ConntrackJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    classid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encapsulated_in: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
}

#[derive(Debug, Serialize)]
struct FragmentJson {
    offset: u16,
    more: bool,
}

#[derive(Debug, Serialize)]
struct IcmpJson {
    #[serde(rename = "type")]
    kind: u8,
    code: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    quoted: Option<TupleJson>,
}

#[derive(Debug, Serialize)]
struct TupleJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    proto: Option<String>,
    src: String,
    dst: String,
}

#[derive(Debug, Serialize)]
struct ConntrackJson {
    id: u32,
    state: &'static str,
    direction: &'static str,
    status: u32,
    original: TupleJson,
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
    by: &'static str,
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

fn tuple(
    protocol: Option<Protocol>,
    src: std::net::IpAddr,
    dst: std::net::IpAddr,
    ports: Option<nftrace_core::packet::Ports>,
) -> TupleJson {
    TupleJson {
        proto: protocol.map(protocol_name),
        src: text(Endpoint::new(src, ports.map(|ports| ports.src))),
        dst: text(Endpoint::new(dst, ports.map(|ports| ports.dst))),
    }
}

impl RecordJson {
    fn new(record: &Observation, outer: Option<Tunnel>, names: &dyn Names) -> Self {
        let (known, packet) = (record.known, record.packet);
        let tcp = record.tcp();
        let ours = record.source != Source::Classic;
        Self {
            hook: record.hook.map(Hook::name),
            at: at(record.kind),
            family: record.family.map(Family::name),
            ns: record.namespace.label(),
            cookie: record.namespace.cookie(),
            name: record.name(names),
            dev: record.dev.clone(),
            input: record.input.clone(),
            out: record.output.clone(),
            proto: record.protocol().map(protocol_name),
            src: record.src().map(text),
            dst: record.dst().map(text),
            time: record.time,
            cpu: record.cpu,
            skb: record.skb.map(|skb| format!("{skb:08x}")),
            flags: tcp.map(|tcp| text(TcpFlags(tcp.flags))),
            seq: tcp.filter(|_| known.seq).map(|tcp| tcp.seq),
            ack: tcp.filter(|_| known.seq).map(|tcp| tcp.ack),
            id: packet.filter(|_| known.id).map(|packet| packet.id),
            len: known.len.then_some(record.len),
            gso_segs: (record.gso_segs != 0).then_some(record.gso_segs),
            mark: ours.then_some(record.mark),
            fragment: packet
                .and_then(|packet| packet.fragment)
                .map(|fragment| FragmentJson {
                    offset: fragment.offset,
                    more: fragment.more,
                }),
            icmp: packet.and_then(|packet| match packet.transport {
                Transport::Icmp(icmp) => Some(IcmpJson {
                    kind: icmp.kind,
                    code: icmp.code,
                    quoted: icmp.quoted.map(|quoted| {
                        tuple(Some(quoted.protocol), quoted.src, quoted.dst, quoted.ports)
                    }),
                }),
                _ => None,
            }),
            conntrack: record.conntrack.map(|conntrack| ConntrackJson {
                id: conntrack.id,
                state: conntrack.state.name(),
                direction: if conntrack.reply { "reply" } else { "original" },
                status: conntrack.status,
                original: tuple(None, conntrack.src, conntrack.dst, conntrack.ports),
            }),
            // The kernel log does not tell the user, only the class.
            uid: record
                .socket
                .map(|socket| socket.uid)
                .filter(|uid| *uid != u32::MAX),
            classid: record
                .socket
                .map(|socket| socket.classid)
                .filter(|id| *id != 0),
            cgroup: record
                .socket
                .map(|socket| socket.cgroup)
                .filter(|id| *id != 0),
            verdict: record.verdict.filter(|_| ours).map(Verdict::name),
            rule: (record.rule != 0).then_some(record.rule),
            generation: (record.generation != 0).then_some(record.generation),
            encapsulated_in: outer.map(Tunnel::name),
            reason: record.dropped.as_ref().map(|d| d.name.clone()),
            location: record.dropped.as_ref().map(|d| d.location.clone()),
        }
    }
}

/// What a record of this kind shows of its hook.
const fn at(kind: Kind) -> &'static str {
    match kind {
        Kind::Entry => "entry",
        Kind::Exit => "exit",
        Kind::Drop => "drop",
        Kind::Gap => "gap",
    }
}

impl Observation {
    /// The record for JSON, one object.
    pub fn to_json(&self, names: &dyn Names) -> RecordJson {
        RecordJson::new(self, None, names)
    }
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
            by: drop.by.name(),
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
