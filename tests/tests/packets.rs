// SPDX-License-Identifier: GPL-2.0

//! The parser's vectors, sent as raw packets through the stack of a real kernel.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use nftrace_core::hook::{Family, Hook};
use nftrace_core::packet::{self, Network, Packet};
use nftrace_core::ports::PortList;
use nftrace_core::recent::{Entry, Key, KeyedHash, Recent, DATAGRAM_LIFETIME};
use nftrace_core::record::{v1, Device, Kind, Record, Site, V1};
use nftrace_core::trace::{write_ports, Filter, Spec, Surroundings, BITMAP_WORDS, PORTS_SPEC};
use nftrace_tests::checksum::checksum;
use nftrace_tests::vectors::{self, Vector};
use nftrace_tests::vm::{Report, Vm};
use pcap_file::pcap::{PcapPacket, PcapWriter};

/// Frames for the receiver's device, one for each vector.
fn pcap(vectors: &[Vector]) -> Vec<u8> {
    let mut writer = PcapWriter::new(Vec::new()).unwrap();
    for vector in vectors {
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        frame.extend(vector.ethertype.to_be_bytes());
        frame.extend(&vector.bytes);
        let len = u32::try_from(frame.len()).unwrap();
        writer
            .write_packet(&PcapPacket::new(Duration::ZERO, len, &frame))
            .unwrap();
    }
    writer.into_writer()
}

fn network(vector: &Vector) -> Network {
    if vector.ethertype == 0x0800 {
        Network::Ipv4
    } else {
        Network::Ipv6
    }
}

struct StdHash;

impl KeyedHash for StdHash {
    fn hash(&self, words: &[u64]) -> u64 {
        let mut hasher = DefaultHasher::new();
        words.hash(&mut hasher);
        hasher.finish()
    }
}

/// What is to be seen, by the very code that runs in the kernel.
struct Oracle {
    filter: Filter<Vec<u64>>,
    fragments: Recent<Vec<Entry>, StdHash>,
}

impl Oracle {
    fn new(ports: &str) -> Self {
        let mut bytes = [0; PORTS_SPEC];
        let len = write_ports(&PortList::parse(ports).unwrap(), &mut bytes);
        let spec = Spec::new(&bytes[..len]).unwrap();
        let filter = Filter::new(&spec, vec![0; BITMAP_WORDS]);
        let entries = (0..4096).map(|_| Entry::new(0)).collect();
        Self {
            filter,
            fragments: Recent::new(entries, StdHash, DATAGRAM_LIFETIME),
        }
    }

    fn traces(&self, packet: &Packet) -> bool {
        match packet.fragment {
            Some(fragment) if fragment.offset != 0 => {
                self.fragments.knows(&Key::datagram(1, packet), 0)
            }
            fragment => {
                let traced = self.filter.matches(
                    packet,
                    &Surroundings {
                        cookie: 1,
                        devices: &[],
                        conntrack: None,
                    },
                );
                if traced && fragment.is_some() {
                    self.fragments.remember(&Key::datagram(1, packet), 0);
                }
                traced
            }
        }
    }
}

/// The part of a line that says what is in the packet's headers.
fn headers(line: &str) -> String {
    let (_, rest) = line.split_once(" proto=").expect("a record has a protocol");
    let (headers, rest) = rest.split_once(" len=").expect("a record has a length");
    let (_, tail) = rest.split_once(" rule=-").expect("a record has a rule");
    format!("{headers}{tail}")
}

fn line(packet: &Packet) -> String {
    let site = Site {
        kind: Kind::Entry,
        hook: Hook::PreRouting,
        family: Family::Ipv4,
        time: 0,
        cookie: 1,
        inode: 1,
        dev: Device::NONE,
        input: Device::NONE,
        output: Device::NONE,
        skb: 0,
        len: 0,
        mark: 0,
        gso_segs: 0,
        cpu: 0,
        conntrack: None,
        socket: None,
        logged: true,
    };
    V1(&Record::new(&site, packet)).to_string()
}

fn counters(report: &Report) -> HashMap<String, u64> {
    let text = report.file("counters.txt").unwrap();
    text.split_whitespace()
        .map(|word| word.split_once('=').expect("name=value"))
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

/// Vectors that the stack itself refuses before any hook: ip_rcv() and
/// ipv6_rcv() check the network header and a leading hop-by-hop header.
fn is_refused_by_the_stack(vector: &Vector) -> bool {
    let bytes = &vector.bytes;
    match network(vector) {
        Network::Ipv4 => {
            let Some((header, _)) = bytes.split_first_chunk::<20>() else {
                return true;
            };
            let header_len = usize::from(header[0] & 15) * 4;
            let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
            header[0] >> 4 != 4
                || header_len < 20
                || total < header_len
                || total > bytes.len()
                || checksum(&[&bytes[..header_len]]) != [0, 0]
        }
        Network::Ipv6 => {
            let Some((header, payload)) = bytes.split_first_chunk::<40>() else {
                return true;
            };
            let announced = usize::from(u16::from_be_bytes([header[4], header[5]]));
            header[0] >> 4 != 6
                || announced > payload.len()
                || header[6] == 0 && has_bad_options(&payload[..announced])
        }
    }
}

/// What ipv6_parse_hopopts() refuses of a hop-by-hop header with nothing but
/// padding: one that is cut, and more than 7 bytes of padding in a row.
fn has_bad_options(header: &[u8]) -> bool {
    let Some(len) = header.get(1).map(|words| usize::from(*words) * 8 + 8) else {
        return true;
    };
    let Some(mut options) = header.get(2..len) else {
        return true;
    };
    let mut padding = 0;
    while let [kind, rest @ ..] = options {
        let len = match (kind, rest) {
            (0, _) => 1,
            (_, [len, ..]) => usize::from(*len) + 2,
            _ => return true,
        };
        padding = if *kind <= 1 { padding + len } else { 0 };
        if padding > 7 || len > options.len() {
            return true;
        }
        options = &options[len..];
    }
    false
}

#[test]
fn the_vectors_go_through_a_real_stack_and_are_recorded_or_counted_and_none_is_dropped() {
    let vectors = vectors::load();
    let report = Vm::new("packets")
        .script("tests/lab/packets.sh", &[])
        .file("packets.pcap", pcap(&vectors))
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"));

    let oracle = Oracle::new("8080");
    let (mut expected, mut reached, mut truncated, mut malformed) = (Vec::new(), 0, 0, 0);
    for vector in vectors
        .iter()
        .filter(|vector| !is_refused_by_the_stack(vector))
    {
        reached += 1;
        match packet::parse(network(vector), &vector.bytes, vector.bytes.len()) {
            Ok(packet) if oracle.traces(&packet) => expected.push(headers(&line(&packet))),
            Ok(_) => {}
            Err(packet::Error::Truncated) => truncated += 1,
            Err(_) => malformed += 1,
        }
    }
    assert!(expected.len() > 40 && truncated > 5 && malformed > 5);

    // Every packet that reached the trace went on to the next hook function.
    let came: u64 = report.file("came.txt").unwrap().trim().parse().unwrap();
    assert_eq!(came, reached, "packets behind the trace");

    // Where each of them ended is none of our business.
    let (ends, seen): (Vec<_>, Vec<_>) = report
        .messages()
        .filter(|message| message.starts_with(v1::PREFIX))
        .partition(|message| message.contains(" drop="));
    let seen: Vec<_> = seen.into_iter().map(headers).collect();
    for (index, expected) in expected.iter().enumerate() {
        assert_eq!(
            seen.get(index),
            Some(expected),
            "record {index} of {}",
            seen.len()
        );
    }
    assert_eq!(
        seen.len(),
        expected.len(),
        "more than expected: {:?}",
        seen.last()
    );

    let counters = counters(&report);
    assert_eq!(counters["printed"], (expected.len() + ends.len()) as u64);
    assert_eq!(counters["truncated"], truncated, "truncated");
    assert_eq!(counters["malformed"], malformed, "malformed");
    assert_eq!((counters["lost"], counters["suppressed"]), (0, 0));
}
