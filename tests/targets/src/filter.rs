// SPDX-License-Identifier: GPL-2.0

//! Any bytes as what is to be traced (`IOC_SET_FILTER`): refused, or asked about a packet.

use nftrace_core::packet::{parse, Network};
use nftrace_core::trace::{
    write_ports, Filter, Header, Prefix, Spec, Surroundings, BITMAP_WORDS, ENABLED, PORTS_SPEC,
};
use zerocopy::IntoBytes as _;

/// Bytes of an input before the filter: a packet.
const PACKET: usize = 44;

pub(crate) fn run(input: &[u8]) {
    let Some((packet, bytes)) = input.split_at_checked(PACKET) else {
        return;
    };
    let Ok(spec) = Spec::new(bytes) else {
        return;
    };
    let filter = Filter::new(&spec, vec![0_u64; BITMAP_WORDS]);
    let around = Surroundings {
        cookie: 1,
        devices: &[],
        conntrack: None,
    };
    for network in [Network::Ipv4, Network::Ipv6] {
        let Ok(packet) = parse(network, packet, packet.len()) else {
            continue;
        };
        let matches = filter.matches(&packet, &around);
        if let Some(ports) = packet.ports() {
            assert!(!(matches && filter.refuses(ports)), "refused at a glance");
            let list = filter.list();
            let is_listed = list.ranges().iter().any(|range| {
                (range.first..=range.last).any(|port| port == ports.src || port == ports.dst)
            });
            assert!(!matches || list.is_empty() || is_listed, "of no such port");
        }
    }
    assert!(spec.instructions().count() <= spec.instruction_count());

    // The ports alone are written and read as the same.
    let mut written = [0; PORTS_SPEC];
    let len = write_ports(filter.list(), &mut written);
    let again = Spec::new(&written[..len]).expect("the module wrote it");
    assert_eq!(again.ports().ranges(), filter.list().ranges());
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut packet = vec![
        0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    ];
    packet.extend([0x1f, 0x90, 0x30, 0x39, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2]);
    packet.resize(PACKET, 0);
    let plain = Header {
        flags: ENABLED,
        ports: 2,
        protocols: 1,
        prefixes: 1,
        namespaces: 1,
        devices: 1,
        instructions: 1,
        text: 4,
    };
    let prefix = Prefix {
        address: std::net::Ipv4Addr::new(10, 0, 0, 0)
            .to_ipv6_mapped()
            .octets(),
        len: 104,
    };
    let mut all = packet.clone();
    all.extend(plain.as_bytes());
    all.extend([0x90, 0x1f, 0x90, 0x1f, 1, 0, 80, 0]);
    all.extend([6, 0, 0, 0]);
    all.extend(prefix.as_bytes());
    all.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    all.extend(*b"eth0\0\0\0\0\0\0\0\0\0\0\0\0");
    all.extend([6, 0, 0, 0, 1, 0, 0, 0]);
    all.extend(*b"text");
    let mut none = packet.clone();
    none.extend(Header::default().as_bytes());
    // Ports alone, and a datagram from and to others.
    let mut datagram = packet;
    datagram[9] = 17;
    datagram[24..28].copy_from_slice(&[0, 20, 0, 0]);
    let ports = Header {
        flags: ENABLED,
        ports: 1,
        ..Header::default()
    };
    datagram.extend(ports.as_bytes());
    datagram.extend([1, 0, 9, 0]);
    vec![all, none, datagram]
}
