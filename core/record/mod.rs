// SPDX-License-Identifier: GPL-2.0

//! A record: one packet at one hook.

use ::core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

// The kernel has the derives in a crate of their own only.
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::hook::{Family, Hook};
use crate::packet::{Fragment, Icmp, Packet, Ports, Protocol, Quoted, Tcp, Transport};

mod classic;
mod context;
mod device;
mod endpoint;
pub mod v1;

pub use classic::Classic;
pub use context::{Conntrack, ConntrackState, DropSite, Dropped, Kind, Socket, Text};
pub use device::Device;
use endpoint::endpoints;
#[cfg(not(MODULE))]
use endpoint::Endpoint;
pub use v1::V1;

/// 64-bit words of a [`Record`].
pub const RECORD_WORDS: usize = 38;

/// What was decided about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// It goes on.
    Accept = 0,
    /// It was dropped.
    Drop = 1,
    /// It was dropped and its sender was told.
    Reject = 2,
    /// It was handed to userspace.
    Queue = 3,
}

impl Verdict {
    const ALL: [Self; 4] = [Self::Accept, Self::Drop, Self::Reject, Self::Queue];

    /// The name, as in `accept`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Drop => "drop",
            Self::Reject => "reject",
            Self::Queue => "queue",
        }
    }

    /// The verdict of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.name() == name)
    }
}

/// Where and when a packet was seen, and what surrounds its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// Before or behind all other functions of the hook.
    pub kind: Kind,
    /// The hook.
    pub hook: Hook,
    /// The family whose hook it was.
    pub family: Family,
    /// Nanoseconds of the monotonic clock.
    pub time: u64,
    /// The namespace's cookie, which is never used again.
    pub cookie: u64,
    /// The namespace's inode number, as in `readlink /proc/PID/ns/net`.
    pub inode: u32,
    /// The device that the packet belongs to at this moment (`skb->dev`).
    pub dev: Device,
    /// The device through which it came.
    pub input: Device,
    /// The device through which it will leave.
    pub output: Device,
    /// The packet's identity: the same from the first record of a packet until its
    /// buffer is freed, and never that of another packet.
    pub skb: u64,
    /// Bytes from the network header on.
    pub len: u32,
    /// The firewall mark.
    pub mark: u32,
    /// Segments that an offloaded packet will be split into; 0 where it is not offloaded.
    pub gso_segs: u16,
    /// The CPU.
    pub cpu: u16,
    /// The connection that conntrack has put the packet into.
    pub conntrack: Option<Conntrack>,
    /// The local socket that sends it, or will get it.
    pub socket: Option<Socket>,
    /// Whether the record is for the kernel's log too.
    pub logged: bool,
}

/// One packet at one hook, or the end of one, as plain data of fixed size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Record {
    /// Nanoseconds of the monotonic clock.
    pub time: u64,
    /// The namespace's cookie.
    pub cookie: u64,
    /// The packet's identity.
    pub skb: u64,
    cgroup: u64,
    /// The namespace's inode number.
    pub inode: u32,
    /// Bytes from the network header on.
    pub len: u32,
    /// The firewall mark.
    pub mark: u32,
    /// The number of the rule that decided, from 1; 0 for none.
    pub rule: u32,
    /// The generation of the policy; 0 for none.
    pub generation: u32,
    id: u32,
    seq: u32,
    ack: u32,
    reason: u32,
    ct_id: u32,
    ct_status: u32,
    classid: u32,
    uid: u32,
    /// `skb->dev`.
    pub dev: Device,
    /// Two devices, or the name of the reason of a drop.
    ends: [u8; 40],
    src: [u8; 16],
    dst: [u8; 16],
    quoted_src: [u8; 16],
    quoted_dst: [u8; 16],
    ct_src: [u8; 16],
    ct_dst: [u8; 16],
    src_port: u16,
    dst_port: u16,
    quoted_src_port: u16,
    quoted_dst_port: u16,
    ct_src_port: u16,
    ct_dst_port: u16,
    fragment_offset: u16,
    /// Segments that an offloaded packet will be split into; 0 where it is not offloaded.
    pub gso_segs: u16,
    /// The CPU on which it was written.
    pub cpu: u16,
    has: u16,
    kind: u8,
    hook: u8,
    family: u8,
    protocol: u8,
    tcp_flags: u8,
    icmp_kind: u8,
    icmp_code: u8,
    quoted_protocol: u8,
    verdict: u8,
    ct_state: u8,
    location: [u8; 32],
    reserved: [u8; 2],
}

/// What of a record is there: bits of its `has`.
mod has {
    pub(super) const IPV6: u16 = 1;
    pub(super) const PORTS: u16 = 1 << 1;
    pub(super) const TCP: u16 = 1 << 2;
    pub(super) const ICMP: u16 = 1 << 3;
    pub(super) const FRAGMENT: u16 = 1 << 4;
    pub(super) const MORE_FRAGMENTS: u16 = 1 << 5;
    pub(super) const QUOTED: u16 = 1 << 6;
    pub(super) const QUOTED_PORTS: u16 = 1 << 7;
    pub(super) const CONNTRACK: u16 = 1 << 8;
    pub(super) const CONNTRACK_PORTS: u16 = 1 << 9;
    pub(super) const SOCKET: u16 = 1 << 10;
    /// The addresses are known: not where a dropped packet's headers could not be read.
    pub(super) const PACKET: u16 = 1 << 11;
    pub(super) const LOGGED: u16 = 1 << 12;
    /// The rule is not enforced: it did not decide.
    pub(super) const SHADOW: u16 = 1 << 13;
}

const _: () = assert!(size_of::<Record>() == RECORD_WORDS * 8);

fn address_bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(address) => address.octets(),
    }
}

impl Record {
    /// A record of nothing: every byte zero.
    pub const EMPTY: Self = Self {
        time: 0,
        cookie: 0,
        skb: 0,
        cgroup: 0,
        inode: 0,
        len: 0,
        mark: 0,
        rule: 0,
        generation: 0,
        id: 0,
        seq: 0,
        ack: 0,
        reason: 0,
        ct_id: 0,
        ct_status: 0,
        classid: 0,
        uid: 0,
        dev: Device::NONE,
        ends: [0; 40],
        src: [0; 16],
        dst: [0; 16],
        quoted_src: [0; 16],
        quoted_dst: [0; 16],
        ct_src: [0; 16],
        ct_dst: [0; 16],
        src_port: 0,
        dst_port: 0,
        quoted_src_port: 0,
        quoted_dst_port: 0,
        ct_src_port: 0,
        ct_dst_port: 0,
        fragment_offset: 0,
        gso_segs: 0,
        cpu: 0,
        has: 0,
        kind: 0,
        hook: 0,
        family: 0,
        protocol: 0,
        tcp_flags: 0,
        icmp_kind: 0,
        icmp_code: 0,
        quoted_protocol: 0,
        verdict: 0,
        ct_state: 0,
        location: [0; 32],
        reserved: [0; 2],
    };

    /// The record of `packet`, seen at `site` and accepted.
    #[inline]
    pub fn new(site: &Site, packet: &Packet) -> Self {
        let mut record = Self {
            time: site.time,
            cookie: site.cookie,
            skb: site.skb,
            inode: site.inode,
            len: site.len,
            mark: site.mark,
            dev: site.dev,
            ends: zerocopy::transmute!([site.input, site.output]),
            gso_segs: site.gso_segs,
            cpu: site.cpu,
            kind: site.kind as u8,
            hook: site.hook.number(),
            family: site.family.number(),
            ..Self::EMPTY
        };
        if site.logged {
            record.has |= has::LOGGED;
        }
        record.set_packet(packet);
        if let Some(conntrack) = &site.conntrack {
            record.set_conntrack(conntrack);
        }
        if let Some(socket) = &site.socket {
            record.set_socket(socket);
        }
        record
    }

    #[inline]
    fn set_packet(&mut self, packet: &Packet) {
        self.has |= has::PACKET;
        self.id = packet.id;
        self.src = address_bytes(packet.src);
        self.dst = address_bytes(packet.dst);
        self.protocol = packet.protocol.0;
        if packet.src.is_ipv6() {
            self.has |= has::IPV6;
        }
        if let Some(fragment) = packet.fragment {
            self.fragment_offset = fragment.offset;
            self.has |= has::FRAGMENT;
            if fragment.more {
                self.has |= has::MORE_FRAGMENTS;
            }
        }
        match packet.transport {
            Transport::None => {}
            Transport::Ports(ports) => self.set_ports(ports),
            Transport::Tcp(tcp) => {
                self.set_ports(tcp.ports);
                self.seq = tcp.seq;
                self.ack = tcp.ack;
                self.tcp_flags = tcp.flags;
                self.has |= has::TCP;
            }
            Transport::Icmp(icmp) => self.set_icmp(&icmp),
        }
    }

    #[inline]
    fn set_ports(&mut self, ports: Ports) {
        self.src_port = ports.src;
        self.dst_port = ports.dst;
        self.has |= has::PORTS;
    }

    fn set_icmp(&mut self, icmp: &Icmp) {
        self.icmp_kind = icmp.kind;
        self.icmp_code = icmp.code;
        self.has |= has::ICMP;
        let Some(quoted) = icmp.quoted else {
            return;
        };
        self.quoted_src = address_bytes(quoted.src);
        self.quoted_dst = address_bytes(quoted.dst);
        self.quoted_protocol = quoted.protocol.0;
        self.has |= has::QUOTED;
        if let Some(ports) = quoted.ports {
            self.quoted_src_port = ports.src;
            self.quoted_dst_port = ports.dst;
            self.has |= has::QUOTED_PORTS;
        }
    }

    #[inline]
    const fn has(&self, what: u16) -> bool {
        self.has & what != 0
    }

    fn address(&self, bytes: [u8; 16]) -> IpAddr {
        if self.has(has::IPV6) {
            Ipv6Addr::from(bytes).into()
        } else {
            let [a, b, c, d, ..] = bytes;
            Ipv4Addr::new(a, b, c, d).into()
        }
    }

    /// The packet's headers.
    pub fn packet(&self) -> Packet {
        let ports = Ports {
            src: self.src_port,
            dst: self.dst_port,
        };
        Packet {
            src: self.address(self.src),
            dst: self.address(self.dst),
            protocol: Protocol(self.protocol),
            fragment: self.has(has::FRAGMENT).then_some(Fragment {
                offset: self.fragment_offset,
                more: self.has(has::MORE_FRAGMENTS),
            }),
            id: self.id,
            transport: if self.has(has::TCP) {
                Transport::Tcp(Tcp {
                    ports,
                    seq: self.seq,
                    ack: self.ack,
                    flags: self.tcp_flags,
                })
            } else if self.has(has::PORTS) {
                Transport::Ports(ports)
            } else if self.has(has::ICMP) {
                Transport::Icmp(Icmp {
                    kind: self.icmp_kind,
                    code: self.icmp_code,
                    quoted: self.quoted(),
                })
            } else {
                Transport::None
            },
        }
    }

    fn quoted(&self) -> Option<Quoted> {
        self.has(has::QUOTED).then(|| Quoted {
            src: self.address(self.quoted_src),
            dst: self.address(self.quoted_dst),
            protocol: Protocol(self.quoted_protocol),
            ports: self.has(has::QUOTED_PORTS).then_some(Ports {
                src: self.quoted_src_port,
                dst: self.quoted_dst_port,
            }),
        })
    }

    /// What the record is about.
    pub fn kind(&self) -> Kind {
        Kind::from_number(self.kind)
    }

    /// Whether it is no record at all: see [`Kind::Gap`].
    pub fn is_gap(&self) -> bool {
        self.kind() == Kind::Gap
    }

    /// Whether the record is for the kernel's log too.
    pub fn is_logged(&self) -> bool {
        self.has(has::LOGGED)
    }

    /// Whether the headers are known, as they are in every record that the module
    /// makes; see [`Self::packet`].
    pub fn has_packet(&self) -> bool {
        self.has(has::PACKET)
    }

    /// The hook; that of a drop is the last one that the packet entered. None in a
    /// record that nobody made.
    pub fn hook(&self) -> Option<Hook> {
        Hook::from_number(self.hook)
    }

    /// The family whose hook it was; none in a record that nobody made.
    pub fn family(&self) -> Option<Family> {
        Family::from_number(self.family)
    }

    /// What was decided.
    pub fn verdict(&self) -> Option<Verdict> {
        Verdict::ALL.get(usize::from(self.verdict)).copied()
    }

    /// Says what was decided.
    pub fn set_verdict(&mut self, verdict: Verdict) {
        self.verdict = verdict as u8;
    }

    /// Says that the rule of the record is not enforced, and did not decide.
    pub fn set_shadow(&mut self) {
        self.has |= has::SHADOW;
    }

    /// Whether the rule of the record did not decide: it only would have.
    pub fn is_shadow(&self) -> bool {
        self.has(has::SHADOW)
    }

    /// The record of a packet's end, at the hook that it entered last.
    pub fn of_drop(site: &DropSite<'_>, packet: &Packet) -> Self {
        let mut record = Self {
            time: site.time,
            cookie: site.death.cookie,
            skb: site.death.skb,
            inode: site.death.inode,
            len: site.len,
            cpu: site.cpu,
            hook: site.death.hook.number(),
            family: site.death.family.number(),
            ..Self::EMPTY
        };
        if site.logged {
            record.has |= has::LOGGED;
        }
        record.set_packet(packet);
        record.set_dropped(site.reason, site.name, site.location);
        record
    }

    /// The record as words, for a ring.
    #[inline]
    pub fn to_words(self) -> [u64; RECORD_WORDS] {
        zerocopy::transmute!(self)
    }

    /// The record of these words.
    #[inline]
    pub fn from_words(words: [u64; RECORD_WORDS]) -> Self {
        zerocopy::transmute!(words)
    }
}

#[cfg(test)]
mod tests;
