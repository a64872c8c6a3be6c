// SPDX-License-Identifier: GPL-2.0

//! The packet as most are: a network header without options or extensions, TCP or
//! UDP behind it, no fragment, nothing wrong with it.
//!
//! Such a packet is read without a walk from header to header. It is nothing but a
//! shorter way to what [`super::parse`] finds: what this does not take, that reads,
//! and a test compares the two.

use ::core::net::IpAddr;

use super::{Network, Packet, Ports, Protocol, Tcp, Transport};

/// The headers of such a packet, not taken apart yet.
#[derive(Clone, Copy)]
pub struct Plain<'a> {
    /// Its ports.
    pub ports: Ports,
    network: NetworkHeader<'a>,
    transport: TransportHeader<'a>,
}

#[derive(Clone, Copy)]
enum NetworkHeader<'a> {
    Ipv4(&'a [u8; 20]),
    Ipv6(&'a [u8; 40]),
}

#[derive(Clone, Copy)]
enum TransportHeader<'a> {
    Tcp(&'a [u8; 20]),
    Udp,
}

#[inline(always)]
fn ports([src_hi, src_lo, dst_hi, dst_lo]: [u8; 4]) -> Ports {
    Ports {
        src: u16::from_be_bytes([src_hi, src_lo]),
        dst: u16::from_be_bytes([dst_hi, dst_lo]),
    }
}

impl<'a> Plain<'a> {
    /// Looks at the first bytes of a packet that is `total` bytes long; none where it
    /// is no such packet.
    #[inline(always)]
    pub fn new(network: Network, window: &'a [u8], total: usize) -> Option<Self> {
        match network {
            Network::Ipv4 => Self::ipv4(window, total),
            Network::Ipv6 => Self::ipv6(window, total),
        }
    }

    #[inline(always)]
    fn ipv4(window: &'a [u8], total: usize) -> Option<Self> {
        let (header, rest) = window.split_first_chunk::<20>()?;
        let &[0x45, _, len_hi, len_lo, _, _, frag_hi, frag_lo, _, protocol, ..] = header else {
            return None;
        };
        let len = usize::from(u16::from_be_bytes([len_hi, len_lo]));
        // More fragments follow, or this is not the first.
        let is_fragment = frag_hi & 0x3f != 0 || frag_lo != 0;
        if len > total || is_fragment {
            return None;
        }
        let left = len.checked_sub(20)?;
        Self::transport(NetworkHeader::Ipv4(header), protocol, rest, left)
    }

    #[inline(always)]
    fn ipv6(window: &'a [u8], total: usize) -> Option<Self> {
        let (header, rest) = window.split_first_chunk::<40>()?;
        let &[version, _, _, _, len_hi, len_lo, next, ..] = header;
        let left = usize::from(u16::from_be_bytes([len_hi, len_lo]));
        if version >> 4 != 6 || left > total.checked_sub(40)? {
            return None;
        }
        Self::transport(NetworkHeader::Ipv6(header), next, rest, left)
    }

    #[inline(always)]
    fn transport(
        network: NetworkHeader<'a>,
        protocol: u8,
        rest: &'a [u8],
        left: usize,
    ) -> Option<Self> {
        match Protocol(protocol) {
            Protocol::TCP => {
                let header: &[u8; 20] = rest.first_chunk()?;
                let &[a, b, c, d, _, _, _, _, _, _, _, _, offset, ..] = header;
                let len = usize::from((offset >> 2) & 0x3c);
                (20..=left).contains(&len).then_some(Self {
                    ports: ports([a, b, c, d]),
                    network,
                    transport: TransportHeader::Tcp(header),
                })
            }
            Protocol::UDP => {
                let &[a, b, c, d, len_hi, len_lo, _, _] = rest.first_chunk()?;
                let len = usize::from(u16::from_be_bytes([len_hi, len_lo]));
                (8..=left).contains(&len).then_some(Self {
                    ports: ports([a, b, c, d]),
                    network,
                    transport: TransportHeader::Udp,
                })
            }
            _ => None,
        }
    }

    /// What the headers say.
    #[inline(always)]
    pub fn packet(&self) -> Packet {
        let (src, dst, id) = match self.network {
            NetworkHeader::Ipv4(header) => {
                let &[_, _, _, _, id_hi, id_lo, _, _, _, _, _, _, addresses @ ..] = header;
                let [a, b, c, d, e, f, g, h] = addresses;
                (
                    IpAddr::from([a, b, c, d]),
                    IpAddr::from([e, f, g, h]),
                    u32::from(u16::from_be_bytes([id_hi, id_lo])),
                )
            }
            NetworkHeader::Ipv6(header) => {
                let &[_, _, _, _, _, _, _, _, addresses @ ..] = header;
                let [src, dst]: [[u8; 16]; 2] = zerocopy::transmute!(addresses);
                (IpAddr::from(src), IpAddr::from(dst), 0)
            }
        };
        let (protocol, transport) = match self.transport {
            TransportHeader::Tcp(header) => {
                let &[_, _, _, _, a, b, c, d, e, f, g, h, _, flags, ..] = header;
                let tcp = Tcp {
                    ports: self.ports,
                    seq: u32::from_be_bytes([a, b, c, d]),
                    ack: u32::from_be_bytes([e, f, g, h]),
                    flags,
                };
                (Protocol::TCP, Transport::Tcp(tcp))
            }
            TransportHeader::Udp => (Protocol::UDP, Transport::Ports(self.ports)),
        };
        Packet {
            src,
            dst,
            protocol,
            fragment: None,
            id,
            transport,
        }
    }
}
