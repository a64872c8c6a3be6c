// SPDX-License-Identifier: GPL-2.0

//! Journeys and connections: the one model that every rendering comes from.

use std::ops::Range;

use nftrace_core::hook::{Family, Hook};
use nftrace_core::packet::Protocol;

use crate::observation::{Endpoint, NamespaceId, Observation};

/// How sure something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// The records prove it.
    Proved,
    /// It is what explains the records best.
    Inferred,
}

impl Certainty {
    /// `proved` or `inferred`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Proved => "proved",
            Self::Inferred => "inferred",
        }
    }
}

/// What was rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NatKind {
    /// The destination, against the direction of no reply.
    Dnat,
    /// The source (also by MASQUERADE).
    Snat,
    /// A reply's source, which says again what the client had asked for.
    UnDnat,
    /// A reply's destination, which is the client's own address again.
    UnSnat,
}

impl NatKind {
    /// `dnat`, `snat`, `un-dnat` or `un-snat`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dnat => "dnat",
            Self::Snat => "snat",
            Self::UnDnat => "un-dnat",
            Self::UnSnat => "un-snat",
        }
    }
}

/// An address that was rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nat {
    /// Index of the record before. It may be the last one: what is done to a packet
    /// behind the last hook that shows it is known from its connection.
    pub after: usize,
    /// What was rewritten.
    pub kind: NatKind,
    /// What it was.
    pub from: Endpoint,
    /// What it became.
    pub to: Endpoint,
    /// Whether it was seen (proved), or follows from the connection (inferred).
    pub certainty: Certainty,
}

/// What ties two records of a journey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The packet's identity.
    Skb,
    /// TCP sequence number or IP id of the same flow.
    Sequence,
    /// The flow and the time only.
    Flow,
    /// A flow known from an earlier translation.
    Nat,
    /// The outer packet's identity is that of the inner one, or their times and devices fit.
    Encapsulation,
    /// The datagram of which both are fragments.
    Fragment,
    /// One is a segment of the other.
    Segment,
}

impl By {
    /// The name, as in `skb`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Skb => "skb",
            Self::Sequence => "seq",
            Self::Flow => "flow",
            Self::Nat => "nat",
            Self::Encapsulation => "encapsulation",
            Self::Fragment => "fragment",
            Self::Segment => "segment",
        }
    }
}

/// Where two legs of a journey were joined, or two records of one leg whose
/// identities differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Join {
    /// Index of the record before.
    pub after: usize,
    /// What ties them.
    pub by: By,
    /// How sure that is.
    pub certainty: Certainty,
}

/// Records of one packet in one namespace, one behind the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leg {
    /// The namespace.
    pub namespace: NamespaceId,
    /// Their indexes.
    pub records: Range<usize>,
}

/// A tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tunnel {
    /// VXLAN, UDP port 4789.
    Vxlan,
    /// Geneve, UDP port 6081.
    Geneve,
    /// WireGuard, or another tunnel over UDP.
    Udp,
    /// IP in IP, either version.
    Ip,
    /// GRE.
    Gre,
    /// IPsec.
    Esp,
}

impl Tunnel {
    /// The name, as in `vxlan`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
            Self::Udp => "udp",
            Self::Ip => "ip",
            Self::Gre => "gre",
            Self::Esp => "esp",
        }
    }
}

/// Where a packet was put into another one, or taken out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encapsulation {
    /// Index of the record before.
    pub after: usize,
    /// The tunnel.
    pub tunnel: Tunnel,
    /// Put in, else taken out.
    pub enter: bool,
}

/// How a journey ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A socket's namespace took it at LOCAL_IN.
    Delivered,
    /// It left through a device behind which nothing is traced.
    Sent,
    /// It was dropped.
    Dropped,
    /// The records do not tell.
    Unknown,
}

impl End {
    /// The name, as in `delivered`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Sent => "sent",
            Self::Dropped => "dropped",
            Self::Unknown => "unknown",
        }
    }
}

/// How a drop is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropBy {
    /// The kernel said so (`kfree_skb`).
    Kernel,
    /// Our own verdict.
    Verdict,
    /// It entered the hook and never left it (`exit=1`).
    NoExit,
}

impl DropBy {
    /// `kernel`, `verdict` or `no-exit`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Verdict => "verdict",
            Self::NoExit => "no-exit",
        }
    }
}

/// Where and why a packet died.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropInfo {
    /// Index of the record that shows it: the kernel's, or the last one.
    pub record: usize,
    /// The namespace.
    pub namespace: NamespaceId,
    /// The last hook that it entered.
    pub hook: Option<Hook>,
    /// The family of that hook.
    pub family: Option<Family>,
    /// The kernel's reason, as in `NETFILTER_DROP`.
    pub reason: Option<String>,
    /// The function that dropped it, as in `nft_do_chain+0x1c2 [nf_tables]`.
    pub location: Option<String>,
    /// Our rule, from 1; 0 for none.
    pub rule: u32,
    /// The generation of our policy; 0 for none.
    pub generation: u32,
    /// The rule as it was written: whoever can ask for it puts it in.
    pub rule_text: Option<String>,
    /// How it is known.
    pub by: DropBy,
    /// Who decides at that hook, and may have done it: whoever knows the machine puts it in.
    pub suspects: Vec<String>,
}

/// Records that were lost while the packet was on its way, or just before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Index of the record before; none: before the first one.
    pub after: Option<usize>,
    /// How many records, of whatever packets.
    pub lost: u64,
}

/// Which way a packet goes in its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// As the first packet.
    Request,
    /// Against it.
    Reply,
}

impl Direction {
    /// `request` or `reply`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Reply => "reply",
        }
    }
}

/// The whole way of one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journey {
    /// From 1, in the order of their first records.
    pub number: usize,
    /// The (inner) packet's protocol; none where no record tells.
    pub protocol: Option<Protocol>,
    /// What was seen, in order.
    pub records: Vec<Observation>,
    /// For each record: the tunnel whose outer packet it shows; none: the packet itself.
    pub outer: Vec<Option<Tunnel>>,
    /// Addresses that were rewritten.
    pub nat: Vec<Nat>,
    /// Tunnels that it went through.
    pub encapsulation: Vec<Encapsulation>,
    /// What ties the legs.
    pub joins: Vec<Join>,
    /// The legs: every record is in exactly one.
    pub legs: Vec<Leg>,
    /// How it ended.
    pub end: End,
    /// Where and why it died.
    pub drop: Option<DropInfo>,
    /// What was lost before or inside.
    pub gaps: Vec<Gap>,
    /// The number of its connection.
    pub connection: Option<usize>,
    /// Which way it goes there, or for an ICMP error, in the connection that it is about.
    pub direction: Option<Direction>,
    /// The number of the journey whose segment is sent here again.
    pub retransmission_of: Option<usize>,
    /// The number of the journey of the datagram's first fragment.
    pub fragment_of: Option<usize>,
    /// The number of the journey of the large packet of which this is a segment.
    pub segment_of: Option<usize>,
    /// The number of the journey in which the packet goes on as part of a larger one:
    /// a datagram put together again, or segments that were received as one.
    pub merged_into: Option<usize>,
    /// The number of the journey of which this is a copy, as a bridge makes for each
    /// port that it floods.
    pub copy_of: Option<usize>,
    /// For an ICMP error: the number of the connection that it is about.
    pub about: Option<usize>,
}

/// Addresses and ports of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tuple {
    /// The sender.
    pub src: Endpoint,
    /// The receiver.
    pub dst: Endpoint,
}

impl Tuple {
    /// The tuple of the packets the other way.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self {
            src: self.dst,
            dst: self.src,
        }
    }
}

/// Both directions of one flow, before and after NAT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// From 1, in the order of their first journeys.
    pub number: usize,
    /// The protocol; none where no record tells.
    pub protocol: Option<Protocol>,
    /// What the client sees: itself, and whom it asks.
    pub client: Tuple,
    /// Every tuple that a request had, that of the client first.
    pub tuples: Vec<Tuple>,
    /// The numbers of its journeys, both directions.
    pub journeys: Vec<usize>,
}
