// SPDX-License-Identifier: GPL-2.0

//! A record: one packet at one hook.

use ::core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

// The kernel has the derives in a crate of their own only.
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::hook::{Family, Hook};
use crate::packet::{Fragment, Packet, Ports, Protocol, Tcp, Transport};

mod classic;
mod context;
mod device;
mod endpoint;
mod groups;
pub mod v1;
mod write;

pub use classic::Classic;
pub use context::{Conntrack, ConntrackState, DropSite, Dropped, Kind, Socket, Text};
pub use device::Device;
use endpoint::endpoints;
#[cfg(not(MODULE))]
use endpoint::Endpoint;
use groups::{ConntrackGroup, IcmpGroup, SocketGroup};
pub use v1::V1;
pub use write::{write, Decision, Words};

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
///
/// What every record has comes first. Behind it come groups that only some have; which
/// ones, `has` says. A ring's slots are written without the others: see [`write()`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Record {
    /// Nanoseconds of the monotonic clock.
    pub time: u64,
    /// The namespace's cookie.
    pub cookie: u64,
    /// The packet's identity.
    pub skb: u64,
    /// The namespace's inode number.
    pub inode: u32,
    /// Bytes from the network header on.
    pub len: u32,
    /// The firewall mark.
    pub mark: u32,
    id: u32,
    /// The number of the rule that decided, from 1; 0 for none.
    pub rule: u32,
    /// The generation of the policy; 0 for none.
    pub generation: u32,
    /// Of `skb->dev`, the device that it came through, the one that it will leave through.
    indexes: [u32; 3],
    /// The CPU on which it was written.
    pub cpu: u16,
    has: u16,
    kind: u8,
    hook: u8,
    family: u8,
    protocol: u8,
    verdict: u8,
    tcp_flags: u8,
    reserved: [u8; 2],
    src_port: u16,
    dst_port: u16,
    /// Segments that an offloaded packet will be split into; 0 where it is not offloaded.
    pub gso_segs: u16,
    fragment_offset: u16,
    seq: u32,
    ack: u32,
    src: [u8; 16],
    dst: [u8; 16],
    /// Of the devices, or in a drop the name of its reason, and at the end its number.
    names: [[u8; 16]; 3],
    socket: SocketGroup,
    conntrack: ConntrackGroup,
    icmp: IcmpGroup,
    /// Where a packet was dropped.
    location: [u8; 32],
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
    pub const EMPTY: Self = zerocopy::transmute!([0_u64; RECORD_WORDS]);

    /// The record of `packet`, seen at `site` and accepted.
    pub fn new(site: &Site, packet: &Packet) -> Self {
        let mut words = [0; RECORD_WORDS];
        let (conntrack, socket) = (site.conntrack.as_ref(), site.socket.as_ref());
        let decision = Decision::default();
        write::write(&mut words, site, packet, conntrack, socket, &decision);
        Self::from_words(words)
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
                Transport::Icmp(self.icmp.get(self))
            } else {
                Transport::None
            },
        }
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
    pub fn of_drop(drop: &DropSite<'_>, packet: &Packet) -> Self {
        let site = Site {
            kind: Kind::Drop,
            hook: drop.death.hook,
            family: drop.death.family,
            time: drop.time,
            cookie: drop.death.cookie,
            inode: drop.death.inode,
            dev: Device::NONE,
            input: Device::NONE,
            output: Device::NONE,
            skb: drop.death.skb,
            len: drop.len,
            mark: 0,
            gso_segs: 0,
            cpu: drop.cpu,
            conntrack: None,
            socket: None,
            logged: drop.logged,
        };
        let mut record = Self::new(&site, packet);
        record.set_dropped(drop.reason, drop.name, drop.location);
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
