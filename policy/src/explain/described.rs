// SPDX-License-Identifier: GPL-2.0

//! A packet that somebody described, and how it is written.

use crate::ast::{Flags, IcmpFamily};
use crate::words;
use nftrace_core::packet::{Icmp, Packet, Protocol, Transport};
use std::fmt;
use std::net::SocketAddr;

/// A packet, and its devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The packet; none where its headers cannot be read.
    pub packet: Option<Packet>,
    /// The device through which it came.
    pub input: Option<String>,
    /// The device through which it leaves.
    pub output: Option<String>,
    /// Whether TCP's flags were written, and not taken for granted.
    pub has_flags: bool,
}

const ACK: u8 = 16;

impl Described {
    /// As it looks in the midst of a connection, if nothing else was written.
    #[must_use]
    pub fn of_connection(mut self) -> Self {
        if let (false, Some(packet)) = (self.has_flags, &mut self.packet) {
            if let Transport::Tcp(tcp) = &mut packet.transport {
                tcp.flags = ACK;
            }
        }
        self
    }
}

pub(super) fn icmp_family(protocol: Protocol) -> IcmpFamily {
    match protocol {
        Protocol::ICMPV6 => IcmpFamily::Icmpv6,
        _ => IcmpFamily::Icmp,
    }
}

/// TCP's flags by name.
pub(super) fn flag_names(flags: u8) -> String {
    let names = Flags::NAMES.iter().enumerate();
    let set: Vec<&str> = names
        .filter(|(bit, _)| flags & (1 << bit) != 0)
        .map(|(_, name)| *name)
        .collect();
    if set.is_empty() {
        "none".to_string()
    } else {
        set.join(",")
    }
}

/// ICMP's type and code.
pub(super) fn icmp_text(protocol: Protocol, icmp: &Icmp) -> String {
    let kind = words::icmp_name(icmp_family(protocol), icmp.kind)
        .map_or_else(|| icmp.kind.to_string(), str::to_string);
    match icmp.code {
        0 => kind,
        code => format!("{kind}/{code}"),
    }
}

/// As it is written; with what was taken for granted.
impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.packet {
            None => f.write_str("malformed")?,
            Some(packet) => {
                let end = |address, port: Option<u16>| match port {
                    Some(port) => SocketAddr::new(address, port).to_string(),
                    None => address.to_string(),
                };
                let ports = packet.ports();
                let src = end(packet.src, ports.map(|ports| ports.src));
                let dst = end(packet.dst, ports.map(|ports| ports.dst));
                write!(f, "{} {src} > {dst}", words::Proto(packet.protocol))?;
                match &packet.transport {
                    Transport::Tcp(tcp) => write!(f, " flags {}", flag_names(tcp.flags))?,
                    Transport::Icmp(icmp) => {
                        write!(f, " icmp {}", icmp_text(packet.protocol, icmp))?;
                    }
                    _ => {}
                }
                if let Some(fragment) = packet.fragment {
                    write!(f, " fragment {}", fragment.offset)?;
                }
            }
        }
        for (word, device) in [("in", &self.input), ("out", &self.output)] {
            if let Some(device) = device {
                write!(f, " {word} {device}")?;
            }
        }
        Ok(())
    }
}
