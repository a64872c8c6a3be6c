// SPDX-License-Identifier: GPL-2.0

//! One record of a journey as JSON.

use nftrace_core::hook::{Family, Hook};
use nftrace_core::packet::{Protocol, Transport};
use nftrace_core::record::v1::TcpFlags;
use nftrace_core::record::{Kind, Verdict};
use serde::Serialize;

use super::{protocol_name, text};
use crate::model::Tunnel;
use crate::observation::{Endpoint, Names, Observation, Source};

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
    shadow: Option<u32>,
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
pub(super) struct TupleJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) proto: Option<String>,
    pub(super) src: String,
    pub(super) dst: String,
}

#[derive(Debug, Serialize)]
struct ConntrackJson {
    id: u32,
    state: &'static str,
    direction: &'static str,
    status: u32,
    original: TupleJson,
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
    pub(super) fn new(record: &Observation, outer: Option<Tunnel>, names: &dyn Names) -> Self {
        let (known, packet) = (record.known, record.packet);
        let tcp = record.tcp();
        let ours = record.source != Source::Classic && record.kind != Kind::Drop;
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
            shadow: (record.shadow != 0).then_some(record.shadow),
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
