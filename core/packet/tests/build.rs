// SPDX-License-Identifier: GPL-2.0

//! Well-formed packets at random, each with what is to be found in it.

use super::super::*;
use ::proptest::collection::vec;
use ::proptest::prelude::*;
use ::proptest::sample::select;

/// A packet and what it says.
#[derive(Clone, Debug)]
pub(super) struct Built {
    pub(super) network: Network,
    pub(super) bytes: Vec<u8>,
    pub(super) packet: Packet,
}

/// A payload, with the protocol by which it is announced.
#[derive(Clone, Debug)]
struct Payload {
    protocol: Protocol,
    bytes: Vec<u8>,
    transport: Transport,
}

/// Any packet, ICMP errors with what they quote among them.
pub(super) fn packet() -> impl Strategy<Value = Built> {
    select(&[Network::Ipv4, Network::Ipv6]).prop_flat_map(|network| {
        on_network(network, prop_oneof![4 => payload(), 2 => icmp(network)])
    })
}

fn on_network(
    network: Network,
    payload: impl Strategy<Value = Payload> + 'static,
) -> BoxedStrategy<Built> {
    match network {
        Network::Ipv4 => ipv4(payload).boxed(),
        Network::Ipv6 => ipv6(payload).boxed(),
    }
}

fn ports() -> impl Strategy<Value = Ports> {
    any::<(u16, u16)>().prop_map(|(src, dst)| Ports { src, dst })
}

fn put(bytes: &mut Vec<u8>, ports: Ports) {
    bytes.extend(ports.src.to_be_bytes());
    bytes.extend(ports.dst.to_be_bytes());
}

fn payload() -> impl Strategy<Value = Payload> {
    prop_oneof![tcp(), datagram(), other()]
}

fn tcp() -> impl Strategy<Value = Payload> {
    let data = vec(any::<u8>(), 0..32);
    (ports(), any::<(u32, u32, u8)>(), 0u8..=10, data).prop_map(
        |(ports, (seq, ack, flags), options, data)| {
            let mut bytes = Vec::new();
            put(&mut bytes, ports);
            bytes.extend(seq.to_be_bytes());
            bytes.extend(ack.to_be_bytes());
            bytes.extend([(5 + options) << 4, flags, 0, 0, 0, 0, 0, 0]);
            bytes.extend(vec![1; usize::from(options) * 4]);
            bytes.extend(data);
            let (protocol, transport) = (
                Protocol::TCP,
                Transport::Tcp(Tcp {
                    ports,
                    seq,
                    ack,
                    flags,
                }),
            );
            Payload {
                protocol,
                bytes,
                transport,
            }
        },
    )
}

fn datagram() -> impl Strategy<Value = Payload> {
    let protocols = [
        Protocol::UDP,
        Protocol::UDPLITE,
        Protocol::SCTP,
        Protocol::DCCP,
    ];
    (ports(), vec(any::<u8>(), 0..32), select(protocols.to_vec())).prop_map(
        |(ports, data, protocol)| {
            let mut bytes = Vec::new();
            put(&mut bytes, ports);
            match protocol {
                // The length, or a coverage of everything.
                Protocol::UDP | Protocol::UDPLITE => {
                    let length = u16::try_from(8 + data.len()).unwrap();
                    bytes.extend(length.to_be_bytes());
                    bytes.extend([0; 2]);
                }
                Protocol::DCCP => bytes.extend([3, 0, 0, 0, 0, 0, 0, 0]),
                _ => bytes.extend([0; 8]),
            }
            bytes.extend(data);
            Payload {
                protocol,
                bytes,
                transport: Transport::Ports(ports),
            }
        },
    )
}

/// ESP, GRE and a number that nobody has.
fn other() -> impl Strategy<Value = Payload> {
    (select(vec![50, 47, 253]), vec(any::<u8>(), 0..32)).prop_map(|(number, bytes)| Payload {
        protocol: Protocol(number),
        bytes,
        transport: Transport::None,
    })
}

/// An error about some packet, or a message that is no error.
fn icmp(network: Network) -> impl Strategy<Value = Payload> {
    let (protocol, errors, others) = match network {
        Network::Ipv4 => (Protocol::ICMP, vec![3, 4, 5, 11, 12], vec![0, 8, 13]),
        Network::Ipv6 => (Protocol::ICMPV6, vec![1, 2, 3, 4], vec![0, 128, 135]),
    };
    let error = (select(errors), on_network(network, payload())).prop_map(|(kind, about)| {
        let quoted = Quoted {
            src: about.packet.src,
            dst: about.packet.dst,
            protocol: about.packet.protocol,
            ports: about.packet.ports(),
        };
        (kind, Some(quoted), about.bytes)
    });
    let other =
        (select(others), vec(any::<u8>(), 0..48)).prop_map(|(kind, data)| (kind, None, data));
    (prop_oneof![error, other], any::<u8>()).prop_map(move |((kind, quoted, data), code)| {
        let mut bytes = vec![kind, code, 0, 0, 0, 0, 0, 0];
        bytes.extend(data);
        Payload {
            protocol,
            bytes,
            transport: Transport::Icmp(Icmp { kind, code, quoted }),
        }
    })
}

/// Whole, a first fragment, or a later one.
fn fragment() -> impl Strategy<Value = Option<Fragment>> {
    prop_oneof![
        3 => Just(None),
        1 => Just(Some(Fragment { offset: 0, more: true })),
        1 => (1u16..8192, any::<bool>()).prop_map(|(units, more)| {
            Some(Fragment { offset: units * 8, more })
        }),
    ]
}

fn transport_of(payload: &Payload, fragment: Option<Fragment>) -> Transport {
    match fragment {
        Some(Fragment { offset: 1.., .. }) => Transport::None,
        _ => payload.transport,
    }
}

fn ipv4(payload: impl Strategy<Value = Payload>) -> impl Strategy<Value = Built> {
    let addresses = any::<([u8; 4], [u8; 4])>();
    (addresses, any::<u16>(), 0u8..=10, fragment(), payload).prop_map(
        |((src, dst), id, options, fragment, payload)| {
            let header = 20 + usize::from(options) * 4;
            let length = u16::try_from(header + payload.bytes.len()).unwrap();
            let word = fragment.map_or(0x4000, |fragment| {
                (fragment.offset / 8) | (u16::from(fragment.more) << 13)
            });
            let mut bytes = vec![0x45 + options, 0];
            bytes.extend(length.to_be_bytes());
            bytes.extend(id.to_be_bytes());
            bytes.extend(word.to_be_bytes());
            bytes.extend([64, payload.protocol.0, 0, 0]);
            bytes.extend(src);
            bytes.extend(dst);
            bytes.resize(header, 1);
            bytes.extend(&payload.bytes);
            Built {
                network: Network::Ipv4,
                bytes,
                packet: Packet {
                    src: src.into(),
                    dst: dst.into(),
                    protocol: payload.protocol,
                    fragment,
                    id: id.into(),
                    transport: transport_of(&payload, fragment),
                },
            }
        },
    )
}

/// An extension header without its first byte.
fn extension() -> impl Strategy<Value = (u8, Vec<u8>)> {
    prop_oneof![
        (select(vec![43, 60, 135, 139, 140]), 0u8..=1).prop_map(|(kind, length)| {
            let mut bytes = vec![length];
            bytes.resize(usize::from(length) * 8 + 7, 0);
            (kind, bytes)
        }),
        (1u8..=4).prop_map(|length| {
            let mut bytes = vec![length];
            bytes.resize(usize::from(length) * 4 + 7, 0);
            (51, bytes)
        }),
    ]
}

fn ipv6(payload: impl Strategy<Value = Payload>) -> impl Strategy<Value = Built> {
    let addresses = any::<([u8; 16], [u8; 16])>();
    // With the fragment header and hop-by-hop options they are at most 8.
    let before = vec(extension(), 0..=3);
    let after = vec(extension(), 0..=3);
    let fragments = (fragment(), any::<bool>(), any::<u32>());
    (addresses, any::<bool>(), before, fragments, after, payload).prop_map(
        |((src, dst), hop_by_hop, before, (fragment, atomic, id), after, payload)| {
            let mut chain = Vec::new();
            if hop_by_hop {
                chain.push((0, vec![0, 1, 4, 0, 0, 0, 0]));
            }
            chain.extend(before);
            let with_fragment = fragment.is_some() || atomic;
            if with_fragment {
                let Fragment { offset, more } = fragment.unwrap_or(Fragment {
                    offset: 0,
                    more: false,
                });
                let mut bytes = vec![0];
                bytes.extend((offset | u16::from(more)).to_be_bytes());
                bytes.extend(id.to_be_bytes());
                chain.push((44, bytes));
            }
            // A later fragment is not read beyond its fragment header.
            if fragment.is_none_or(|fragment| fragment.offset == 0) {
                chain.extend(after);
            }

            let mut kinds = chain.iter().map(|(kind, _)| *kind);
            let mut body = Vec::new();
            let first = kinds.next().unwrap_or(payload.protocol.0);
            for (_, rest) in &chain {
                body.push(kinds.next().unwrap_or(payload.protocol.0));
                body.extend(rest);
            }
            body.extend(&payload.bytes);

            let mut bytes = vec![0x60, 0, 0, 0];
            bytes.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
            bytes.extend([first, 64]);
            bytes.extend(src);
            bytes.extend(dst);
            bytes.extend(body);
            Built {
                network: Network::Ipv6,
                bytes,
                packet: Packet {
                    src: src.into(),
                    dst: dst.into(),
                    protocol: payload.protocol,
                    fragment,
                    id: if with_fragment { id } else { 0 },
                    transport: transport_of(&payload, fragment),
                },
            }
        },
    )
}
