// SPDX-License-Identifier: GPL-2.0

//! What the policy makes of packets that are made by hand.

use super::wire::{padding, payload, sealed, Way, PPPOE, TCP, UDP};

/// What becomes of the packets of a case, of those that a rule accepts and of those that
/// a rule drops alike.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fate {
    /// Packets that the rule about their port decides about.
    pub(crate) counted: u64,
    /// Packets that fall to `default malformed`.
    pub(crate) malformed: u64,
    /// Packets that fall to `default fragments`.
    pub(crate) fragments: u64,
    /// Whether the payload comes to the one for whom it is.
    pub(crate) arrives: bool,
}

const fn fate(counted: u64, malformed: u64, fragments: u64, arrives: bool) -> Fate {
    Fate {
        counted,
        malformed,
        fragments,
        arrives,
    }
}

/// It is what it is said to be, and is decided about like any other.
const DECIDED: Fate = fate(1, 0, 0, true);
/// The same, but whoever gets it does not want it.
const NOT_WANTED: Fate = fate(1, 0, 0, false);
/// Its first fragment is decided about, the other one goes along.
const FRAGMENTED: Fate = fate(1, 0, 1, true);
/// It cannot be read.
const MALFORMED: Fate = fate(0, 1, 0, false);
/// The kernel refuses it before any hook.
const REFUSED: Fate = fate(0, 0, 0, false);
/// No hook decides about it.
const UNSEEN: Fate = fate(0, 0, 0, true);

pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) make: fn(&Way, u16) -> Vec<Vec<u8>>,
    /// Where the host routes it; none where that cannot be.
    pub(crate) routed: Option<Fate>,
    /// Where the host's bridge switches it.
    pub(crate) bridged: Fate,
    /// What a frame has before it says what it carries.
    pub(crate) tags: &'static [u8],
}

const fn both(name: &'static str, make: fn(&Way, u16) -> Vec<Vec<u8>>, fate: Fate) -> Case {
    differ(name, make, fate, fate)
}

const fn differ(
    name: &'static str,
    make: fn(&Way, u16) -> Vec<Vec<u8>>,
    routed: Fate,
    bridged: Fate,
) -> Case {
    Case {
        name,
        make,
        routed: Some(routed),
        bridged,
        tags: &[],
    }
}

const fn tagged(name: &'static str, tags: &'static [u8], fate: Fate) -> Case {
    Case {
        name,
        make: plain4,
        routed: None,
        bridged: fate,
        tags,
    }
}

fn plain4(way: &Way, port: u16) -> Vec<Vec<u8>> {
    vec![way.ipv4(UDP, &way.udp4(port))]
}

fn with_options(way: &Way, port: u16, options: &[u8]) -> Vec<Vec<u8>> {
    let behind = way.udp4(port);
    let mut header = way.header4(UDP, behind.len());
    header.options = options.try_into().expect("words");
    header.total_len += u16::try_from(options.len()).unwrap();
    vec![sealed(header, &behind)]
}

/// In two, the second from `at` times 8 bytes on.
fn split4(way: &Way, port: u16, protocol: u8, datagram: &[u8], at: u16) -> Vec<Vec<u8>> {
    let (first, rest) = datagram.split_at(usize::from(at) * 8);
    vec![
        way.fragment4(protocol, port, (0, true), first),
        way.fragment4(protocol, port, (at, false), rest),
    ]
}

fn split6(way: &Way, port: u16, next: u8, datagram: &[u8], at: u16) -> Vec<Vec<u8>> {
    let (first, rest) = datagram.split_at(usize::from(at) * 8);
    vec![
        way.fragment6(next, port, (0, true), first),
        way.fragment6(next, port, (at, false), rest),
    ]
}

fn reversed(mut packets: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    packets.reverse();
    packets
}

fn changed(mut packet: Vec<u8>, at: usize, by: u8) -> Vec<Vec<u8>> {
    packet[at] ^= by;
    vec![packet]
}

fn behind(headers: &[Vec<u8>], datagram: Vec<u8>) -> Vec<u8> {
    let mut all = headers.concat();
    all.extend(datagram);
    all
}

const DESTINATION: u8 = 60;
const ROUTING: u8 = 43;
const AUTHENTICATION: u8 = 51;

pub(crate) const CASES: &[Case] = &[
    both("IPv4", plain4, DECIDED),
    both(
        "IPv6",
        |way, port| vec![way.ipv6(UDP, &way.udp6(port))],
        DECIDED,
    ),
    both(
        "IPv4 options: a router alert, a route to be recorded",
        |way, port| with_options(way, port, &[0x94, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0]),
        DECIDED,
    ),
    // The kernel does not let a packet choose its way (accept_source_route=0).
    differ(
        "IPv4 options: a loose source route",
        |way, port| with_options(way, port, &[1, 0x83, 7, 4, 172, 17, 0, 2]),
        REFUSED,
        NOT_WANTED,
    ),
    both(
        "IPv4 fragments",
        |way, port| split4(way, port, UDP, &way.udp4(port), 3),
        FRAGMENTED,
    ),
    both(
        "IPv4 fragments, the last one first",
        |way, port| reversed(split4(way, port, UDP, &way.udp4(port), 3)),
        FRAGMENTED,
    ),
    both(
        "a first IPv4 fragment with nothing but the UDP header",
        |way, port| split4(way, port, UDP, &way.udp4(port), 1),
        FRAGMENTED,
    ),
    both(
        "IPv4 fragments of TCP, the whole header in the first",
        |way, port| split4(way, port, TCP, &way.syn4(port), 3),
        FRAGMENTED,
    ),
    both(
        "a first IPv4 fragment with a part of the TCP header",
        |way, port| split4(way, port, TCP, &way.syn4(port), 1),
        fate(0, 1, 1, false),
    ),
    both(
        "IPv4 fragments that overlap",
        |way, port| {
            let datagram = way.udp4(port);
            vec![
                way.fragment4(UDP, port, (0, true), &datagram[..24]),
                way.fragment4(UDP, port, (2, false), &datagram[16..]),
            ]
        },
        fate(1, 0, 1, false),
    ),
    both(
        "an IPv4 fragment that overlaps the TCP flags",
        |way, port| {
            let datagram = way.syn4(port);
            vec![
                way.fragment4(TCP, port, (0, true), &datagram[..24]),
                way.fragment4(TCP, port, (1, false), &datagram[8..]),
            ]
        },
        fate(1, 0, 1, false),
    ),
    differ(
        "a wrong IPv4 checksum",
        |way, port| changed(plain4(way, port).remove(0), 10, 0xff),
        REFUSED,
        NOT_WANTED,
    ),
    both(
        "a wrong UDP checksum",
        |way, port| changed(plain4(way, port).remove(0), 26, 0xff),
        NOT_WANTED,
    ),
    both(
        "a UDP header that is cut off",
        |way, port| vec![way.ipv4(UDP, &way.udp4(port)[..4])],
        MALFORMED,
    ),
    both(
        "a UDP length beyond the end",
        |way, port| changed(plain4(way, port).remove(0), 24, 1),
        MALFORMED,
    ),
    differ(
        "an IPv4 header shorter than it can be",
        |way, port| changed(plain4(way, port).remove(0), 0, 1),
        REFUSED,
        MALFORMED,
    ),
    differ(
        "an IPv4 length beyond the end",
        |way, port| {
            let mut header = way.header4(UDP, 48);
            header.total_len += 400;
            vec![sealed(header, &way.udp4(port))]
        },
        REFUSED,
        MALFORMED,
    ),
    both(
        "a packet with other bytes behind its end",
        |way, port| {
            let mut packet = plain4(way, port).remove(0);
            packet.extend([0xff; 20]);
            vec![packet]
        },
        DECIDED,
    ),
    both(
        "IPv6 behind hop-by-hop, routing and destination options",
        |way, port| {
            // A way with no hop left is one that nobody asks about.
            let headers = [
                padding(ROUTING, 8),
                vec![DESTINATION, 0, 5, 0, 0, 0, 0, 0],
                padding(UDP, 8),
            ];
            vec![way.ipv6(0, &behind(&headers, way.udp6(port)))]
        },
        DECIDED,
    ),
    both(
        "an atomic IPv6 fragment",
        |way, port| vec![way.fragment6(UDP, port, (0, false), &way.udp6(port))],
        DECIDED,
    ),
    both(
        "IPv6 fragments",
        |way, port| split6(way, port, UDP, &way.udp6(port), 3),
        FRAGMENTED,
    ),
    both(
        "IPv6 fragments, the last one first",
        |way, port| reversed(split6(way, port, UDP, &way.udp6(port), 3)),
        FRAGMENTED,
    ),
    both(
        "IPv6 fragments that overlap",
        |way, port| {
            let datagram = way.udp6(port);
            vec![
                way.fragment6(UDP, port, (0, true), &datagram[..24]),
                way.fragment6(UDP, port, (2, false), &datagram[16..]),
            ]
        },
        fate(1, 0, 1, false),
    ),
    // RFC 7112 forbids it. The second is of "destination options", of which no rule is.
    both(
        "a first IPv6 fragment that ends before the UDP header",
        |way, port| {
            let chain = behind(&[padding(UDP, 16)], way.udp6(port));
            split6(way, port, DESTINATION, &chain, 1)
        },
        fate(0, 1, 0, false),
    ),
    both(
        "more extension headers than eight",
        |way, port| {
            let mut headers = vec![padding(DESTINATION, 8); 8];
            headers.push(padding(UDP, 8));
            vec![way.ipv6(DESTINATION, &behind(&headers, way.udp6(port)))]
        },
        MALFORMED,
    ),
    both(
        "hop-by-hop options that do not come first",
        |way, port| {
            let headers = [padding(0, 8), padding(UDP, 8)];
            vec![way.ipv6(DESTINATION, &behind(&headers, way.udp6(port)))]
        },
        MALFORMED,
    ),
    both(
        "an extension header that reaches beyond the end",
        |way, port| {
            let mut header = padding(UDP, 8);
            header[1] = 40;
            vec![way.ipv6(DESTINATION, &behind(&[header], way.udp6(port)))]
        },
        MALFORMED,
    ),
    // Nobody here has a key.
    both(
        "UDP behind an authentication header",
        |way, port| {
            let header = [UDP, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1];
            let header = [&header[..], &[0; 12]].concat();
            vec![way.ipv6(AUTHENTICATION, &behind(&[header], way.udp6(port)))]
        },
        NOT_WANTED,
    ),
    both(
        "an IPv6 datagram without a checksum",
        |way, port| {
            let mut datagram = way.udp6(port);
            datagram[6..8].fill(0);
            vec![way.ipv6(UDP, &datagram)]
        },
        NOT_WANTED,
    ),
    tagged("a VLAN tag", &[0x81, 0, 0, 5], DECIDED),
    tagged(
        "three VLAN tags",
        &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 0x81, 0, 0, 7],
        DECIDED,
    ),
    tagged(
        "four VLAN tags",
        &[
            0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 0x81, 0, 0, 7, 0x81, 0, 0, 8,
        ],
        UNSEEN,
    ),
    // A session, its number, the length, IPv4.
    tagged(
        "PPPoE",
        &[PPPOE[0], PPPOE[1], 0x11, 0, 0, 1, 0, 70, 0, 0x21],
        UNSEEN,
    ),
];

/// The line that is printed of a datagram that arrived.
pub(crate) fn line(port: u16) -> String {
    let text = String::from_utf8(payload(port)).unwrap();
    format!("{port} {text}")
}
