// SPDX-License-Identifier: GPL-2.0

//! A packet's headers, made again from its record.
//!
//! What a record does not tell is filled with what disturbs nobody: see
//! `docs/recording.md`. Payload is not there, so the packet is longer than what is
//! returned here.

use std::net::IpAddr;

use nftrace_core::packet::{Icmp, Packet, Ports, Protocol, Quoted, Tcp, Transport};
use nftrace_core::record::Record;

/// Hop limit, or time to live, which records do not tell.
const HOPS: u8 = 64;
/// TCP's window, which records do not tell. Not 0, which would be an event.
const WINDOW: u16 = 0xffff;
/// The protocol number of IPv6's fragment header.
const FRAGMENT: u8 = 44;
/// TCP's flag SYN.
const SYN: u8 = 0x02;
/// TCP's flag PSH.
const PSH: u8 = 0x08;
/// TCP's option that does nothing.
const NOP: u8 = 1;

/// The first bytes of the packet of a record, from the network header on; none
/// where the record does not tell its headers.
pub(super) fn headers(record: &Record) -> Option<Vec<u8>> {
    let packet = record.has_packet().then(|| record.packet())?;
    let len = usize::try_from(record.len).ok()?;
    let mut bytes = network(&packet, len);
    let start = bytes.len();
    let rest = len.saturating_sub(start);
    match packet.transport {
        Transport::None => {}
        Transport::Tcp(tcp) => bytes.extend(self::tcp(&packet, &tcp, rest)),
        Transport::Ports(ports) => bytes.extend(self::ports(&packet, ports, rest)),
        Transport::Icmp(icmp) => bytes.extend(self::icmp(&icmp)),
    }
    bytes.truncate(len);
    Some(bytes)
}

/// The network header of a packet of `len` bytes.
fn network(packet: &Packet, len: usize) -> Vec<u8> {
    // 0 in the header of a packet that is too long for it, as offloading has them.
    let field = |len: usize| u16::try_from(len).unwrap_or(0).to_be_bytes();
    let (offset, more) = packet.fragment.map_or((0, false), |f| (f.offset, f.more));
    match (packet.src, packet.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let id = u16::try_from(packet.id).unwrap_or(0).to_be_bytes();
            let fragment = ((offset >> 3) | (u16::from(more) << 13)).to_be_bytes();
            let total = field(len);
            let mut header = vec![0x45, 0, total[0], total[1], id[0], id[1]];
            header.extend([fragment[0], fragment[1], HOPS, packet.protocol.0, 0, 0]);
            header.extend(src.octets());
            header.extend(dst.octets());
            let sum = checksum(&[&header]);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            header
        }
        (src, dst) => {
            let is_fragment = packet.fragment.is_some();
            let next = if is_fragment {
                FRAGMENT
            } else {
                packet.protocol.0
            };
            let payload = field(len.saturating_sub(40));
            let mut header = vec![0x60, 0, 0, 0, payload[0], payload[1], next, HOPS];
            header.extend(octets(src));
            header.extend(octets(dst));
            if is_fragment {
                header.extend([packet.protocol.0, 0]);
                header.extend(((offset & !7) | u16::from(more)).to_be_bytes());
                header.extend(packet.id.to_be_bytes());
            }
            header
        }
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// A TCP header, as the first of `rest` bytes.
fn tcp(packet: &Packet, tcp: &Tcp, rest: usize) -> Vec<u8> {
    // How many of them are options the record does not tell. A SYN has nothing else,
    // nor has, as a rule, a segment that pushes nothing and is short enough.
    let more = rest.saturating_sub(20);
    let is_options = more <= 40 && more % 4 == 0 && (tcp.flags & SYN != 0 || tcp.flags & PSH == 0);
    let options = if is_options { more } else { 0 };
    let mut header = Vec::with_capacity(20 + options);
    header.extend(tcp.ports.src.to_be_bytes());
    header.extend(tcp.ports.dst.to_be_bytes());
    header.extend(tcp.seq.to_be_bytes());
    header.extend(tcp.ack.to_be_bytes());
    let words = u8::try_from(5 + options / 4).unwrap_or(5);
    header.extend([words << 4, tcp.flags]);
    header.extend(WINDOW.to_be_bytes());
    header.extend([0; 4]);
    header.resize(20 + options, NOP);
    let sum = transport_checksum(packet, &header, rest);
    header[16..18].copy_from_slice(&sum.to_be_bytes());
    header
}

/// What is known of a header that begins with ports, as the first of `rest` bytes.
fn ports(packet: &Packet, ports: Ports, rest: usize) -> Vec<u8> {
    let mut header = [ports.src.to_be_bytes(), ports.dst.to_be_bytes()].concat();
    let length = match packet.protocol {
        Protocol::UDP => u16::try_from(rest).unwrap_or(0),
        // The checksum covers the header only.
        Protocol::UDPLITE => 8,
        _ => return header,
    };
    header.extend(length.to_be_bytes());
    header.extend([0; 2]);
    let sum = match transport_checksum(packet, &header, rest) {
        // 0 would say that there is none.
        0 => 0xffff,
        sum => sum,
    };
    header[6..8].copy_from_slice(&sum.to_be_bytes());
    header
}

/// What is known of an ICMP message. Its checksum is one of payload that is not there.
fn icmp(icmp: &Icmp) -> Vec<u8> {
    // Nobody shows a message without the four bytes that follow, which are not recorded.
    let mut message = vec![icmp.kind, icmp.code, 0, 0, 0, 0, 0, 0];
    if let Some(quoted) = icmp.quoted {
        message.extend(self::quoted(&quoted));
    }
    message
}

/// What is known of the packet that an ICMP error quotes: its length is not.
fn quoted(quoted: &Quoted) -> Vec<u8> {
    let ports = quoted.ports;
    let packet = Packet {
        src: quoted.src,
        dst: quoted.dst,
        protocol: quoted.protocol,
        fragment: None,
        id: 0,
        transport: Transport::None,
    };
    let header = if quoted.src.is_ipv4() { 20 } else { 40 };
    let mut bytes = network(&packet, header + 8);
    if let Some(ports) = ports {
        bytes.extend(ports.src.to_be_bytes());
        bytes.extend(ports.dst.to_be_bytes());
        if quoted.protocol == Protocol::UDP {
            bytes.extend([0, 8, 0, 0]);
        }
    }
    bytes
}

/// The checksum of a header and its pseudo-header, as if all of the payload were zeroes.
fn transport_checksum(packet: &Packet, header: &[u8], len: usize) -> u16 {
    let len = u32::try_from(len).unwrap_or(0).to_be_bytes();
    let protocol = [0, packet.protocol.0];
    checksum(&[
        &octets(packet.src),
        &octets(packet.dst),
        &protocol,
        &len,
        header,
    ])
}

/// The Internet checksum (RFC 1071) of parts of which each has an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let mut sum: u32 = words
        .map(|word| (u32::from(word[0]) << 8) | u32::from(word.get(1).copied().unwrap_or(0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nftrace_core::packet::{parse, Fragment, Network};
    use nftrace_core::record::{Device, Kind, Site};
    use proptest::prelude::*;

    fn record(packet: &Packet, len: u32) -> Record {
        let site = Site {
            kind: Kind::Entry,
            hook: nftrace_core::hook::Hook::Forward,
            family: nftrace_core::hook::Family::Ipv4,
            time: 0,
            cookie: 1,
            inode: 1,
            dev: Device::NONE,
            input: Device::NONE,
            output: Device::NONE,
            skb: 1,
            len,
            mark: 0,
            gso_segs: 0,
            cpu: 0,
            conntrack: None,
            socket: None,
            logged: false,
        };
        Record::new(&site, packet)
    }

    fn addresses() -> impl Strategy<Value = (IpAddr, IpAddr)> {
        prop_oneof![
            any::<([u8; 4], [u8; 4])>().prop_map(|(a, b)| (a.into(), b.into())),
            any::<([u8; 16], [u8; 16])>().prop_map(|(a, b)| (a.into(), b.into())),
        ]
    }

    fn transport() -> impl Strategy<Value = (Protocol, Transport)> {
        let ports = || any::<(u16, u16)>().prop_map(|(src, dst)| Ports { src, dst });
        prop_oneof![
            (ports(), any::<(u32, u32, u8)>()).prop_map(|(ports, (seq, ack, flags))| {
                (
                    Protocol::TCP,
                    Transport::Tcp(Tcp {
                        ports,
                        seq,
                        ack,
                        flags,
                    }),
                )
            }),
            ports().prop_map(|ports| (Protocol::UDP, Transport::Ports(ports))),
            ports().prop_map(|ports| (Protocol::UDPLITE, Transport::Ports(ports))),
        ]
    }

    proptest! {
        #[test]
        fn the_headers_say_what_the_packet_said(
            (src, dst) in addresses(),
            (protocol, transport) in transport(),
            id: u16,
            len in 100_u32..9000,
            more: bool,
        ) {
            let fragment = more.then_some(Fragment { offset: 0, more });
            let is_ipv4 = src.is_ipv4();
            // IPv6 has an id in its fragments only.
            let id = if is_ipv4 || more { u32::from(id) } else { 0 };
            let packet = Packet { src, dst, protocol, fragment, id, transport };
            let bytes = headers(&record(&packet, len)).unwrap();
            let network = if is_ipv4 { Network::Ipv4 } else { Network::Ipv6 };
            prop_assert_eq!(parse(network, &bytes, len as usize), Ok(packet));
        }

        #[test]
        fn no_record_makes_more_bytes_than_its_packet_had(words: [u64; nftrace_core::record::RECORD_WORDS]) {
            let record = Record::from_words(words);
            if let Some(bytes) = headers(&record) {
                prop_assert!(bytes.len() <= record.len as usize);
            }
        }
    }

    #[test]
    fn the_checksums_are_those_of_rfc_1071() {
        // The header of RFC 1071's usual example.
        let header = [
            0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0x00,
            0x01, 0xc0, 0xa8, 0x00, 0xc7,
        ];
        assert_eq!(checksum(&[&header]), 0xb861);
    }

    #[test]
    fn a_syn_has_options_and_no_data() {
        let packet = Packet {
            src: "10.0.0.1".parse().unwrap(),
            dst: "10.0.0.2".parse().unwrap(),
            protocol: Protocol::TCP,
            fragment: None,
            id: 7,
            transport: Transport::Tcp(Tcp {
                ports: Ports { src: 1, dst: 2 },
                seq: 3,
                ack: 0,
                flags: SYN,
            }),
        };
        let bytes = headers(&record(&packet, 60)).unwrap();
        assert_eq!(bytes.len(), 60);
        assert_eq!(bytes[32] >> 4, 10, "40 bytes of header");
    }
}
