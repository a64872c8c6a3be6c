// SPDX-License-Identifier: GPL-2.0

//! What a record says besides the packet's headers: what it is about, the
//! connection, the local socket, the end of a packet.

use ::core::fmt;
use ::core::net::IpAddr;

use super::{address_bytes, has, Device, Record};
use crate::lives::Death;
use crate::packet::Ports;

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Nothing: only the losses before it count.
    Gap = 0,
    /// A packet before all other functions of a hook.
    Entry = 1,
    /// A packet behind all other functions of a hook, as they left it (`exit=1`).
    Exit = 2,
    /// A packet that the kernel dropped.
    Drop = 3,
}

impl Kind {
    pub(super) const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Entry,
            2 => Self::Exit,
            3 => Self::Drop,
            _ => Self::Gap,
        }
    }
}

/// How conntrack sees a packet (`enum ip_conntrack_info`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ConntrackState {
    /// Part of a connection that has seen packets both ways.
    Established = 0,
    /// Starts a connection that belongs to another, or is an ICMP error about one.
    Related = 1,
    /// Starts a connection, or belongs to one that was not answered yet.
    New = 2,
    /// Told not to be tracked.
    Untracked = 7,
}

impl ConntrackState {
    /// The name, as in `ct state` of nft.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Established => "established",
            Self::Related => "related",
            Self::New => "new",
            Self::Untracked => "untracked",
        }
    }
}

/// What conntrack knows of a packet's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conntrack {
    /// The id, as `conntrack -L -o id` shows it; 0 where it is not known.
    pub id: u32,
    /// The state.
    pub state: ConntrackState,
    /// Whether the packet goes against the direction of the connection's first one.
    pub reply: bool,
    /// `IPS_…` bits, as in `linux/netfilter/nf_conntrack_common.h`.
    pub status: u32,
    /// Source of the connection's first packet, before any NAT.
    pub src: IpAddr,
    /// Its destination.
    pub dst: IpAddr,
    /// Its ports, where the protocol has some.
    pub ports: Option<Ports>,
}

/// The local socket of a packet. Whose it is, not who happens to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    /// The user that owns it, as the initial user namespace counts.
    pub uid: u32,
    /// `net_cls.classid` of its cgroup; 0 where it has none.
    pub classid: u32,
    /// The id of its cgroup (version 2), which is the inode number of the cgroup's
    /// folder; 0 where it has none.
    pub cgroup: u64,
}

/// A short text of a record, cut off where it has no room. Made by the kernel, of its own names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    /// The text up to the first zero byte.
    fn new(bytes: &'a [u8]) -> Self {
        Self(bytes.split(|byte| *byte == 0).next().unwrap_or_default())
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text; empty where it is none of ASCII.
    pub fn as_str(&self) -> &'a str {
        if self.0.is_ascii() {
            ::core::str::from_utf8(self.0).unwrap_or_default()
        } else {
            ""
        }
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.as_str().is_empty() {
            f.write_str("-")
        } else {
            f.write_str(self.as_str())
        }
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why and where the kernel dropped a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped<'a> {
    /// The number of the reason, `enum skb_drop_reason` of the running kernel.
    pub reason: u32,
    /// Its name, as in `NETFILTER_DROP`.
    pub name: Text<'a>,
    /// The function that dropped it, as in `nft_do_chain[nf_tables]`.
    pub location: Text<'a>,
}

/// Where and why a packet was dropped, as the kernel sees it.
#[derive(Clone, Copy, Debug)]
pub struct DropSite<'a> {
    /// Nanoseconds of the monotonic clock.
    pub time: u64,
    /// What was known of the packet.
    pub death: Death,
    /// Bytes from the network header on.
    pub len: u32,
    /// The CPU.
    pub cpu: u16,
    /// The reason's number.
    pub reason: u32,
    /// Its name.
    pub name: &'a [u8],
    /// The function that dropped it.
    pub location: &'a [u8],
    /// Whether the record is for the kernel's log too.
    pub logged: bool,
}

/// Copies as much of `text` as there is room for, a zero byte behind it.
fn copy_text(room: &mut [u8], text: &[u8]) {
    let most = room.len().wrapping_sub(1);
    for (to, from) in room.iter_mut().take(most).zip(text) {
        *to = *from;
    }
}

impl Record {
    /// Makes of a record one of a drop.
    pub(super) fn set_dropped(&mut self, reason: u32, name: &[u8], location: &[u8]) {
        self.kind = Kind::Drop as u8;
        self.reason = reason;
        self.ends = [0; 40];
        copy_text(&mut self.ends, name);
        self.location = [0; 32];
        copy_text(&mut self.location, location);
    }

    /// Why and where the packet was dropped, in a record of that.
    pub fn dropped(&self) -> Option<Dropped<'_>> {
        (self.kind() == Kind::Drop).then(|| Dropped {
            reason: self.reason,
            name: Text::new(&self.ends),
            location: Text::new(&self.location),
        })
    }

    fn ends(&self) -> [Device; 2] {
        if self.kind() == Kind::Drop {
            [Device::NONE; 2]
        } else {
            zerocopy::transmute!(self.ends)
        }
    }

    /// The device through which the packet came.
    pub fn input(&self) -> Device {
        let [input, _] = self.ends();
        input
    }

    /// The device through which it will leave.
    pub fn output(&self) -> Device {
        let [_, output] = self.ends();
        output
    }

    pub(super) fn set_conntrack(&mut self, conntrack: &Conntrack) {
        self.has |= has::CONNTRACK;
        self.ct_id = conntrack.id;
        self.ct_status = conntrack.status;
        self.ct_state = conntrack.state as u8;
        if conntrack.reply {
            self.ct_state |= 0x80;
        }
        self.ct_src = address_bytes(conntrack.src);
        self.ct_dst = address_bytes(conntrack.dst);
        if let Some(ports) = conntrack.ports {
            self.has |= has::CONNTRACK_PORTS;
            self.ct_src_port = ports.src;
            self.ct_dst_port = ports.dst;
        }
    }

    pub(super) fn set_socket(&mut self, socket: &Socket) {
        self.has |= has::SOCKET;
        self.uid = socket.uid;
        self.classid = socket.classid;
        self.cgroup = socket.cgroup;
    }

    /// The connection that conntrack has put the packet into.
    pub fn conntrack(&self) -> Option<Conntrack> {
        self.has(has::CONNTRACK).then(|| Conntrack {
            id: self.ct_id,
            state: match self.ct_state & 0x7f {
                0 => ConntrackState::Established,
                1 => ConntrackState::Related,
                2 => ConntrackState::New,
                _ => ConntrackState::Untracked,
            },
            reply: self.ct_state & 0x80 != 0,
            status: self.ct_status,
            src: self.address(self.ct_src),
            dst: self.address(self.ct_dst),
            ports: self.has(has::CONNTRACK_PORTS).then_some(Ports {
                src: self.ct_src_port,
                dst: self.ct_dst_port,
            }),
        })
    }

    /// The local socket of the packet.
    pub fn socket(&self) -> Option<Socket> {
        self.has(has::SOCKET).then_some(Socket {
            uid: self.uid,
            classid: self.classid,
            cgroup: self.cgroup,
        })
    }
}
