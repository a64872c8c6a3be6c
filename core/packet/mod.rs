// SPDX-License-Identifier: GPL-2.0

//! What a packet's headers say.
//!
//! [`parse`] reads a copy of the first bytes of a packet, from the network
//! header on, and never looks outside that copy.

use ::core::net::IpAddr;

mod header;
mod icmp;
mod ipv4;
mod ipv6;
mod plain;
mod reader;
#[cfg(test)]
mod tests;
mod transport;

use header::Header;
pub use plain::Plain;
use reader::Reader;

/// Which network header the packet starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// An IPv4 header (RFC 791).
    Ipv4,
    /// An IPv6 header (RFC 8200).
    Ipv6,
}

/// A protocol number as in the IANA registry "Assigned Internet Protocol Numbers".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol(pub u8);

impl Protocol {
    /// ICMP for IPv4.
    pub const ICMP: Self = Self(1);
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);
    /// DCCP.
    pub const DCCP: Self = Self(33);
    /// ICMP for IPv6.
    pub const ICMPV6: Self = Self(58);
    /// SCTP.
    pub const SCTP: Self = Self(132);
    /// UDP-Lite.
    pub const UDPLITE: Self = Self(136);

    /// The usual name, as in `/etc/protocols` but for `icmpv6` and `ipip`.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            1 => "icmp",
            2 => "igmp",
            4 => "ipip",
            6 => "tcp",
            17 => "udp",
            33 => "dccp",
            47 => "gre",
            50 => "esp",
            51 => "ah",
            58 => "icmpv6",
            89 => "ospf",
            103 => "pim",
            112 => "vrrp",
            132 => "sctp",
            136 => "udplite",
            _ => return None,
        })
    }
}

/// The headers of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// The transport protocol: for IPv6, what the last extension header names.
    pub protocol: Protocol,
    /// Set when the packet is one fragment of several; an IPv6 "atomic" fragment
    /// (offset 0, nothing follows) counts as whole and has none.
    pub fragment: Option<Fragment>,
    /// IPv4 identification; for IPv6 that of the fragment header, else 0.
    pub id: u32,
    /// What stands behind the network header.
    pub transport: Transport,
}

impl Packet {
    /// The ports, where the packet has them; those that an ICMP error quotes are
    /// not its own.
    #[inline]
    #[must_use]
    pub fn ports(&self) -> Option<Ports> {
        match self.transport {
            Transport::Ports(ports) | Transport::Tcp(Tcp { ports, .. }) => Some(ports),
            Transport::None | Transport::Icmp(_) => None,
        }
    }
}

/// Where a fragment belongs in its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Position of its first byte in the datagram's payload, in bytes.
    pub offset: u16,
    /// Whether more fragments follow.
    pub more: bool,
}

/// The transport header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// None that could be read: a later fragment, or a protocol without ports.
    None,
    /// UDP, UDP-Lite, SCTP or DCCP.
    Ports(Ports),
    /// TCP.
    Tcp(Tcp),
    /// ICMP or ICMPv6.
    Icmp(Icmp),
}

/// A pair of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Source port.
    pub src: u16,
    /// Destination port.
    pub dst: u16,
}

/// What is kept of a TCP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// The ports.
    pub ports: Ports,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// The flags CWR, ECE, URG, ACK, PSH, RST, SYN, FIN, from bit 7 to bit 0.
    pub flags: u8,
}

/// What is kept of an ICMP or ICMPv6 header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// The packet that an error message is about; none where the message is no
    /// error or quotes too little to say.
    pub quoted: Option<Quoted>,
}

/// The packet that an ICMP error quotes. Its sender saw it so, that is with the
/// addresses which it had there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// Source address of the quoted packet.
    pub src: IpAddr,
    /// Destination address of the quoted packet.
    pub dst: IpAddr,
    /// Its transport protocol.
    pub protocol: Protocol,
    /// Its ports, where the quotation has them.
    pub ports: Option<Ports>,
}

/// Why a packet could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The packet ends inside a header that it announces.
    Truncated,
    /// A header contradicts itself or the packet: wrong version, a header length
    /// below the minimum, more than [`MAX_EXTENSION_HEADERS`], and the like.
    Malformed,
    /// The packet may be sound, but the copy ends before its headers do: copy
    /// more of it, up to [`MAX_HEADERS`] bytes, and parse again.
    WindowTooSmall,
}

/// The most IPv6 extension headers that are followed.
pub const MAX_EXTENSION_HEADERS: usize = 8;

/// A window of so many bytes is enough for all headers of a packet, or the packet
/// is malformed.
pub const MAX_HEADERS: usize = 512;

/// Reads the headers of a packet.
///
/// `window` holds the first bytes of the packet, starting with the network
/// header; `total` is how long the packet is, with whatever padding the link put
/// behind it. The packet ends where its network header says so; where an
/// offloaded packet is too long for that field, it ends at `total`.
///
/// What is found in one window is found in every larger one.
///
/// # Errors
///
/// See [`Error`].
pub fn parse(network: Network, window: &[u8], total: usize) -> Result<Packet, Error> {
    match Plain::new(network, window, total) {
        Some(plain) => Ok(plain.packet()),
        None => parse_any(network, window, total),
    }
}

/// The same for any packet, without the shorter way.
#[inline(never)]
fn parse_any(network: Network, window: &[u8], total: usize) -> Result<Packet, Error> {
    let mut reader = Reader::new(window, total);
    let header = Header::read(network, &mut reader)?;
    let transport = transport::parse(network, &header, &mut reader)?;
    Ok(Packet {
        src: header.src,
        dst: header.dst,
        protocol: header.protocol,
        fragment: header.fragment,
        id: header.id,
        transport,
    })
}
