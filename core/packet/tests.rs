// SPDX-License-Identifier: GPL-2.0

//! The parser against the literal packets of `tests/vectors/packets.txt`.

mod build;
mod properties;
#[path = "../../tests/src/vectors.rs"]
#[expect(unreachable_pub, reason = "it is a public module of the tests crate")]
mod vectors;
mod windows;

use super::*;
use ::core::fmt::Write;
use ::std::collections::HashSet;
use ::std::net::SocketAddr;
use vectors::Vector;

fn network(vector: &Vector) -> Network {
    match vector.ethertype {
        0x0800 => Network::Ipv4,
        0x86dd => Network::Ipv6,
        other => panic!("ethertype {other:#x}"),
    }
}

/// The vector of this name, as a packet to be changed.
fn vector(name: &str) -> Vector {
    vectors::load()
        .into_iter()
        .find(|vector| vector.name == name)
        .unwrap_or_else(|| panic!("no vector {name}"))
}

/// What the head of the vectors' file calls the text of a result.
fn text(result: Result<Packet, Error>) -> String {
    let packet = match result {
        Ok(packet) => packet,
        Err(Error::Truncated) => return "truncated".to_owned(),
        Err(Error::Malformed) => return "malformed".to_owned(),
        Err(Error::WindowTooSmall) => return "window too small".to_owned(),
    };
    let mut line = way(packet.protocol, packet.src, packet.dst, packet.ports());
    match packet.transport {
        Transport::None | Transport::Ports(_) => {}
        Transport::Tcp(Tcp {
            seq, ack, flags, ..
        }) => {
            line += " flags=";
            line.extend(
                "CEUAPRSF"
                    .chars()
                    .enumerate()
                    .filter(|(bit, _)| flags & (0x80 >> bit) != 0)
                    .map(|(_, letter)| letter),
            );
            write!(line, " seq={seq} ack={ack}").unwrap();
        }
        Transport::Icmp(Icmp { kind, code, quoted }) => {
            write!(line, " type={kind} code={code} quoted=").unwrap();
            match quoted {
                None => line += "-",
                Some(quoted) => {
                    let way = way(quoted.protocol, quoted.src, quoted.dst, quoted.ports);
                    write!(line, "[{way}]").unwrap();
                }
            }
        }
    }
    match packet.fragment {
        None => line += " frag=-",
        Some(Fragment { offset, more }) => {
            write!(line, " frag={offset}{}", if more { "+" } else { "" }).unwrap();
        }
    }
    write!(line, " id={:#x}", packet.id).unwrap();
    line
}

fn way(protocol: Protocol, src: IpAddr, dst: IpAddr, ports: Option<Ports>) -> String {
    let name = protocol
        .name()
        .map_or_else(|| protocol.0.to_string(), str::to_owned);
    match ports {
        None => format!("{name} {src} > {dst}"),
        Some(ports) => {
            let src = SocketAddr::new(src, ports.src);
            let dst = SocketAddr::new(dst, ports.dst);
            format!("{name} {src} > {dst}")
        }
    }
}

#[test]
fn every_vector_is_read_as_it_says() {
    let mut wrong = String::new();
    for vector in vectors::load() {
        let found = text(parse(network(&vector), &vector.bytes, vector.bytes.len()));
        if found != vector.expect {
            let (name, expect) = (&vector.name, &vector.expect);
            writeln!(wrong, "{name}\n  expected {expect}\n  found    {found}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn every_vector_has_a_name_of_its_own() {
    let vectors = vectors::load();
    let names: HashSet<&str> = vectors.iter().map(|v| v.name.as_str()).collect();
    assert_eq!(names.len(), vectors.len());
}

#[test]
fn every_vector_that_can_be_read_carries_a_correct_ipv4_checksum() {
    for vector in vectors::load() {
        if network(&vector) == Network::Ipv6
            || ["truncated", "malformed"].contains(&vector.expect.as_str())
        {
            continue;
        }
        let header = &vector.bytes[..usize::from(vector.bytes[0] & 0x0f) * 4];
        let sum: u32 = header
            .chunks(2)
            .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
            .sum();
        assert_eq!((sum >> 16) + (sum & 0xffff), 0xffff, "{}", vector.name);
    }
}

#[test]
fn every_smaller_window_on_a_vector_asks_for_more_or_says_the_same() {
    for vector in vectors::load() {
        windows::agree(network(&vector), &vector.bytes, vector.bytes.len());
    }
}

#[test]
fn every_prefix_of_a_vector_is_truncated_as_soon_as_its_header_says_more() {
    for vector in vectors::load() {
        let network = network(&vector);
        let whole = parse(network, &vector.bytes, vector.bytes.len());
        for cut in 0..vector.bytes.len() {
            let found = parse(network, &vector.bytes[..cut], cut);
            // Only padding of the link can be missing without a trace.
            if found.is_ok() {
                assert!(vector.name.starts_with("link padding"), "{}", vector.name);
                assert_eq!(found, whole, "{} cut to {cut}", vector.name);
            } else if whole.is_ok() {
                assert_eq!(found, Err(Error::Truncated), "{} cut to {cut}", vector.name);
            }
        }
    }
}
