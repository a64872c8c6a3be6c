// SPDX-License-Identifier: GPL-2.0

//! Packets on `lo`, and what a policy says about them where they are sent: the kernel's
//! own classifier, asked here about the same.

use std::io;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use nftrace_core::hook::Hook;
use nftrace_core::packet::{self, Network, Packet};
use nftrace_core::policy::layout::{Cgroup, Rule};
use nftrace_core::policy::{classify, Action, Observer, Place, Subject, Tables, STATE_NEW};
use nftrace_core::record::Socket;

/// What the sender of a datagram is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Nothing,
    NotPermitted,
    Refused,
    Else(Option<i32>),
}

/// Sends a datagram from one socket to another on `lo`.
pub(crate) fn send(to: Ipv4Addr, port: u16) -> anyhow::Result<(Told, u16)> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let told = match socket.send_to(b"probe", (to, port)) {
        Ok(_) => Told::Nothing,
        Err(error) => match error.kind() {
            io::ErrorKind::PermissionDenied => Told::NotPermitted,
            io::ErrorKind::ConnectionRefused => Told::Refused,
            _ => Told::Else(error.raw_os_error()),
        },
    };
    Ok((told, socket.local_addr()?.port()))
}

/// The headers of that datagram.
fn datagram(from: u16, to: Ipv4Addr, port: u16) -> anyhow::Result<Packet> {
    let mut bytes = vec![0x45, 0, 0, 33, 0, 0, 0x40, 0, 64, 17, 0, 0];
    bytes.extend(Ipv4Addr::LOCALHOST.octets());
    bytes.extend(to.octets());
    bytes.extend(from.to_be_bytes());
    bytes.extend(port.to_be_bytes());
    bytes.extend([0, 13, 0, 0]);
    bytes.extend(b"probe");
    packet::parse(Network::Ipv4, &bytes, bytes.len())
        .map_err(|error| anyhow::anyhow!("the probe: {error:?}"))
}

/// The same datagram in the host's namespace, as the kernel sees it.
struct Probe {
    cookie: u64,
    to: Ipv4Addr,
    port: u16,
}

fn name(text: &[u8]) -> [u8; 16] {
    let mut name = [0; 16];
    name[..text.len()].copy_from_slice(text);
    name
}

impl Subject for Probe {
    fn cookie(&self) -> u64 {
        self.cookie
    }

    fn is_in_new_namespace(&self) -> bool {
        false
    }

    fn input(&self) -> [u8; 16] {
        name(b"")
    }

    fn output(&self) -> [u8; 16] {
        name(b"lo")
    }

    fn mark(&self) -> u32 {
        0
    }

    fn state(&self) -> u32 {
        STATE_NEW
    }

    fn original_destination(&self) -> Option<(IpAddr, Option<u16>)> {
        Some((self.to.into(), Some(self.port)))
    }

    fn socket(&self) -> Option<Socket> {
        Some(Socket {
            uid: 0,
            classid: 0,
            cgroup: 1,
        })
    }

    fn is_of(&self, cgroup: &Cgroup) -> bool {
        (cgroup.id, cgroup.level) == (1, 0)
    }
}

/// Says whether the outcome depends on what only the kernel knows.
#[derive(Default)]
struct Limits {
    were_asked: bool,
}

impl Observer for Limits {
    fn is_within_limit(&mut self, _: u32, _: &Rule) -> bool {
        self.were_asked = true;
        true
    }

    fn shadowed(&mut self, _: u32, _: &Rule) {}
}

/// What the sender of such a datagram is to be told; none where that depends on
/// limits or on who listens to a queue.
pub(crate) fn expected(
    tables: &Tables<'_>,
    cookie: u64,
    from: u16,
    to: Ipv4Addr,
    port: u16,
) -> anyhow::Result<Option<Told>> {
    let packet = datagram(from, to, port)?;
    let subject = Probe { cookie, to, port };
    for hook in [Hook::LocalOut, Hook::PostRouting] {
        let mut limits = Limits::default();
        let place = Place {
            hook,
            is_bridge: false,
        };
        let decision = classify(tables, place, Some(&packet), &subject, &mut limits);
        if limits.were_asked {
            return Ok(None);
        }
        match decision.action {
            Action::Accept => {}
            Action::Drop => return Ok(Some(Told::NotPermitted)),
            Action::Reject(_) => return Ok(Some(Told::Refused)),
            Action::Queue { .. } => return Ok(None),
        }
    }
    Ok(Some(Told::Nothing))
}
