// SPDX-License-Identifier: GPL-2.0

//! What a record says besides the packet's headers: what it is about, the
//! connection, the local socket, the end of a packet.

use ::core::fmt;
use ::core::net::IpAddr;

use super::{has, Device, Record};
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

    /// The text; empty where something in it cannot be printed: whoever forges a recording
    /// has no say over a terminal.
    pub fn as_str(&self) -> &'a str {
        let is_printed = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
        if self.0.iter().all(is_printed) {
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

/// Bytes that the name of a reason has in the place of the devices' names.
const TEXT: usize = 40;

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
        self.indexes = [0; 3];
        self.names = [[0; 16]; 3];
        if let Some((text, number)) = self
            .names
            .as_flattened_mut()
            .split_first_chunk_mut::<TEXT>()
        {
            copy_text(text, name);
            if let Some(number) = number.first_chunk_mut() {
                *number = reason.to_ne_bytes();
            }
        }
        self.location = [0; 32];
        copy_text(&mut self.location, location);
    }

    /// Why and where the packet was dropped, in a record of that.
    pub fn dropped(&self) -> Option<Dropped<'_>> {
        if self.kind() != Kind::Drop {
            return None;
        }
        let (text, number) = self.names.as_flattened().split_first_chunk::<TEXT>()?;
        Some(Dropped {
            reason: u32::from_ne_bytes(*number.first_chunk()?),
            name: Text::new(text),
            location: Text::new(&self.location),
        })
    }

    fn device(&self, number: usize) -> Device {
        match (self.indexes.get(number), self.names.get(number)) {
            (Some(index), Some(name)) if self.kind() != Kind::Drop => Device {
                index: *index,
                name: *name,
            },
            _ => Device::NONE,
        }
    }

    /// `skb->dev`; none in a record of a drop.
    pub fn dev(&self) -> Device {
        self.device(0)
    }

    /// The device through which the packet came.
    pub fn input(&self) -> Device {
        self.device(1)
    }

    /// The device through which it will leave.
    pub fn output(&self) -> Device {
        self.device(2)
    }

    /// The connection that conntrack has put the packet into.
    pub fn conntrack(&self) -> Option<Conntrack> {
        self.has(has::CONNTRACK).then(|| self.conntrack.get(self))
    }

    /// The local socket of the packet.
    pub fn socket(&self) -> Option<Socket> {
        self.has(has::SOCKET).then(|| self.socket.get())
    }
}
