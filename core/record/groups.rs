// SPDX-License-Identifier: GPL-2.0

//! The groups that only some records have: each a few whole words.

use ::core::net::IpAddr;

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{address_bytes, has, Conntrack, ConntrackState, Record, Socket};
use crate::packet::{Icmp, Ports, Protocol, Quoted};

/// A [`Socket`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct SocketGroup {
    cgroup: u64,
    classid: u32,
    uid: u32,
}

impl SocketGroup {
    pub(super) fn new(socket: &Socket) -> Self {
        Self {
            cgroup: socket.cgroup,
            classid: socket.classid,
            uid: socket.uid,
        }
    }

    pub(super) fn get(&self) -> Socket {
        Socket {
            uid: self.uid,
            classid: self.classid,
            cgroup: self.cgroup,
        }
    }
}

/// A [`Conntrack`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct ConntrackGroup {
    id: u32,
    status: u32,
    src_port: u16,
    dst_port: u16,
    state: u8,
    is_reply: u8,
    reserved: [u8; 2],
    src: [u8; 16],
    dst: [u8; 16],
}

impl ConntrackGroup {
    /// Also says what of it is there.
    pub(super) fn new(conntrack: &Conntrack) -> (Self, u16) {
        let ports = conntrack.ports.unwrap_or(Ports { src: 0, dst: 0 });
        let group = Self {
            id: conntrack.id,
            status: conntrack.status,
            src_port: ports.src,
            dst_port: ports.dst,
            state: conntrack.state as u8,
            is_reply: conntrack.reply.into(),
            reserved: [0; 2],
            src: address_bytes(conntrack.src),
            dst: address_bytes(conntrack.dst),
        };
        let has_ports = if conntrack.ports.is_some() {
            has::CONNTRACK_PORTS
        } else {
            0
        };
        (group, has::CONNTRACK | has_ports)
    }

    pub(super) fn get(&self, record: &Record) -> Conntrack {
        Conntrack {
            id: self.id,
            state: match self.state {
                0 => ConntrackState::Established,
                1 => ConntrackState::Related,
                2 => ConntrackState::New,
                _ => ConntrackState::Untracked,
            },
            reply: self.is_reply != 0,
            status: self.status,
            src: record.address(self.src),
            dst: record.address(self.dst),
            ports: record.has(has::CONNTRACK_PORTS).then_some(Ports {
                src: self.src_port,
                dst: self.dst_port,
            }),
        }
    }
}

/// An [`Icmp`], with what it quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct IcmpGroup {
    kind: u8,
    code: u8,
    protocol: u8,
    reserved: u8,
    src_port: u16,
    dst_port: u16,
    src: [u8; 16],
    dst: [u8; 16],
}

impl IcmpGroup {
    /// Also says what of it is there.
    pub(super) fn new(icmp: &Icmp) -> (Self, u16) {
        let mut what = has::ICMP;
        let mut group = Self {
            kind: icmp.kind,
            code: icmp.code,
            protocol: 0,
            reserved: 0,
            src_port: 0,
            dst_port: 0,
            src: [0; 16],
            dst: [0; 16],
        };
        if let Some(quoted) = icmp.quoted {
            what |= has::QUOTED;
            group.protocol = quoted.protocol.0;
            group.src = address_bytes(quoted.src);
            group.dst = address_bytes(quoted.dst);
            if let Some(ports) = quoted.ports {
                what |= has::QUOTED_PORTS;
                group.src_port = ports.src;
                group.dst_port = ports.dst;
            }
        }
        (group, what)
    }

    pub(super) fn get(&self, record: &Record) -> Icmp {
        let address = |bytes: [u8; 16]| -> IpAddr { record.address(bytes) };
        Icmp {
            kind: self.kind,
            code: self.code,
            quoted: record.has(has::QUOTED).then(|| Quoted {
                src: address(self.src),
                dst: address(self.dst),
                protocol: Protocol(self.protocol),
                ports: record.has(has::QUOTED_PORTS).then_some(Ports {
                    src: self.src_port,
                    dst: self.dst_port,
                }),
            }),
        }
    }
}
