// SPDX-License-Identifier: GPL-2.0

//! What one record is for a journey, whatever it was read from.

use std::net::{IpAddr, SocketAddr};

use nftrace_core::hook::{Family, Hook};
use nftrace_core::packet::{Packet, Protocol, Tcp, Transport};
use nftrace_core::record::{Conntrack, Device, Kind, Record, Socket, Verdict};

/// What a record was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The module's ring, live or recorded: everything is known.
    Ring,
    /// A line of the kernel log, version 1: no sequence numbers, no IP id, no conntrack.
    Log,
    /// The classic block: addresses, ports, devices and pointers only.
    Classic,
}

/// A network namespace, as far as a record tells which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NamespaceId {
    /// By its cookie, which is never used again, and its inode number.
    Cookie {
        /// The cookie.
        cookie: u64,
        /// The inode number.
        inode: u32,
    },
    /// By its inode number only: the classic block of our own module.
    Inode(u32),
    /// By the kernel's pointer, as other programs print it.
    Pointer(u64),
    /// The record does not tell.
    Unknown,
}

impl NamespaceId {
    /// The inode number, where it is known.
    pub fn inode(&self) -> Option<u32> {
        match self {
            Self::Cookie { inode, .. } | Self::Inode(inode) => Some(*inode),
            Self::Pointer(_) | Self::Unknown => None,
        }
    }

    /// The cookie, where it is known.
    pub fn cookie(&self) -> Option<u64> {
        match self {
            Self::Cookie { cookie, .. } => Some(*cookie),
            _ => None,
        }
    }

    /// Inode number or pointer, as text; none where nothing is known.
    pub fn label(&self) -> Option<String> {
        match self {
            Self::Cookie { inode, .. } | Self::Inode(inode) => Some(inode.to_string()),
            Self::Pointer(pointer) => Some(format!("{pointer:016x}")),
            Self::Unknown => None,
        }
    }
}

/// Tells how namespaces are called: `host`, a container's name, …
pub trait Names {
    /// The name of a namespace; none where it is not known.
    fn name(&self, namespace: &NamespaceId) -> Option<String>;
}

/// Nobody knows a name.
impl Names for () {
    fn name(&self, _: &NamespaceId) -> Option<String> {
        None
    }
}

/// Which of the headers' fields mean something: where the source does not tell them, they are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The protocol's number.
    pub protocol: bool,
    /// TCP's flags.
    pub flags: bool,
    /// TCP's sequence and acknowledgement numbers.
    pub seq: bool,
    /// The IP identification.
    pub id: bool,
    /// The length.
    pub len: bool,
}

impl Known {
    /// What a source tells.
    pub const fn of(source: Source) -> Self {
        let ring = matches!(source, Source::Ring);
        let ours = !matches!(source, Source::Classic);
        Self {
            protocol: ours,
            flags: ours,
            seq: ring,
            id: ring,
            len: ours,
        }
    }
}

/// Why and where the kernel dropped a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The number of the reason, of the running kernel.
    pub reason: u32,
    /// Its name, as in `NETFILTER_DROP`; empty where it is not known.
    pub name: String,
    /// The function, as in `nft_do_chain+0x1c2 [nf_tables]`; empty where it is not known.
    pub location: String,
}

/// One packet at one hook, or its end there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Nanoseconds: the monotonic clock's in a ring, the log's own in a kernel log.
    pub time: Option<u64>,
    /// What it was read from.
    pub source: Source,
    /// The namespace.
    pub namespace: NamespaceId,
    /// Whether the source itself says that this is the initial namespace, the host's.
    pub init: bool,
    /// Entry of a hook, end of a hook, or a drop. Never a gap: see [`crate::Loss`].
    pub kind: Kind,
    /// The hook; that of a drop is the last one that the packet entered.
    pub hook: Option<Hook>,
    /// The family whose hook it was.
    pub family: Option<Family>,
    /// The device that the packet belongs to at this moment.
    pub dev: Option<String>,
    /// The device through which it came.
    pub input: Option<String>,
    /// The device through which it will leave.
    pub output: Option<String>,
    /// The headers.
    pub packet: Option<Packet>,
    /// Which of them mean something.
    pub known: Known,
    /// The packet's identity.
    pub skb: Option<u64>,
    /// Bytes from the network header on.
    pub len: u32,
    /// The firewall mark.
    pub mark: u32,
    /// Segments that an offloaded packet will be split into; 0 where it is not offloaded.
    pub gso_segs: u16,
    /// The CPU.
    pub cpu: Option<u16>,
    /// The connection that conntrack has put the packet into.
    pub conntrack: Option<Conntrack>,
    /// The local socket of the packet.
    pub socket: Option<Socket>,
    /// What nftrace decided.
    pub verdict: Option<Verdict>,
    /// The number of the rule that decided, from 1; 0 for none.
    pub rule: u32,
    /// The number of a rule that is not enforced and would have decided; 0 for none.
    pub shadow: u32,
    /// The generation of the policy; 0 for none.
    pub generation: u32,
    /// Why and where the kernel dropped it, in an observation of that.
    pub dropped: Option<Dropped>,
}

fn device(device: &Device) -> Option<String> {
    device.name().map(|_| device.to_string())
}

/// A frame of the ring.
impl From<&Record> for Observation {
    fn from(record: &Record) -> Self {
        Self::from_record(record, Source::Ring)
    }
}

impl Observation {
    /// The observation of a record that was read from `source`.
    pub fn from_record(record: &Record, source: Source) -> Self {
        let ring = source == Source::Ring;
        Self {
            time: ring.then_some(record.time),
            source,
            namespace: NamespaceId::Cookie {
                cookie: record.cookie,
                inode: record.inode,
            },
            init: false,
            kind: record.kind(),
            hook: record.hook(),
            family: record.family(),
            dev: device(&record.dev()),
            input: device(&record.input()),
            output: device(&record.output()),
            packet: record.has_packet().then(|| record.packet()),
            known: Known::of(source),
            skb: (record.skb != 0).then_some(record.skb),
            len: record.len,
            mark: record.mark,
            gso_segs: record.gso_segs,
            cpu: ring.then_some(record.cpu),
            conntrack: record.conntrack(),
            socket: record.socket(),
            verdict: record.verdict(),
            rule: if record.is_shadow() { 0 } else { record.rule },
            shadow: if record.is_shadow() { record.rule } else { 0 },
            generation: record.generation,
            dropped: record.dropped().map(|dropped| Dropped {
                reason: dropped.reason,
                name: dropped.name.as_str().to_owned(),
                location: dropped.location.as_str().to_owned(),
            }),
        }
    }

    /// How the namespace is called: what `names` says, else `host` where the source
    /// itself says that it is the initial one.
    pub fn name(&self, names: &dyn Names) -> Option<String> {
        names
            .name(&self.namespace)
            .or_else(|| self.init.then(|| "host".to_owned()))
    }

    /// The transport protocol, where it is known.
    pub fn protocol(&self) -> Option<Protocol> {
        self.packet
            .filter(|_| self.known.protocol)
            .map(|packet| packet.protocol)
    }

    /// The TCP header, where there is one and its flags are known.
    pub fn tcp(&self) -> Option<Tcp> {
        match self.packet?.transport {
            Transport::Tcp(tcp) if self.known.flags => Some(tcp),
            _ => None,
        }
    }

    /// The sender, as the packet names it at this moment.
    pub fn src(&self) -> Option<Endpoint> {
        let packet = self.packet?;
        Some(Endpoint::new(
            packet.src,
            packet.ports().map(|ports| ports.src),
        ))
    }

    /// The receiver, as the packet names it at this moment.
    pub fn dst(&self) -> Option<Endpoint> {
        let packet = self.packet?;
        Some(Endpoint::new(
            packet.dst,
            packet.ports().map(|ports| ports.dst),
        ))
    }
}

/// An address with or without a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: Option<u16>,
}

impl Endpoint {
    /// This address and port.
    pub const fn new(address: IpAddr, port: Option<u16>) -> Self {
        Self { address, port }
    }
}

/// `10.0.0.1:80`, `[2001:db8::1]:80`, or the address alone.
impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.address, port).fmt(f),
            None => self.address.fmt(f),
        }
    }
}
