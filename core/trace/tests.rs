// SPDX-License-Identifier: GPL-2.0

use super::*;
use crate::packet::{Icmp, Protocol, Quoted};
use crate::record::ConntrackState;
use proptest::prelude::*;
use std::net::Ipv4Addr;
use zerocopy::IntoBytes as _;

fn packet(transport: Transport) -> Packet {
    Packet {
        src: Ipv4Addr::new(10, 0, 0, 1).into(),
        dst: Ipv4Addr::new(10, 0, 0, 2).into(),
        protocol: Protocol::UDP,
        fragment: None,
        id: 0,
        transport,
    }
}

fn ports(src: u16, dst: u16) -> Packet {
    packet(Transport::Ports(Ports { src, dst }))
}

const NOWHERE: Surroundings<'static> = Surroundings {
    cookie: 7,
    devices: &[],
    conntrack: None,
};

/// A filter's bytes: the header's counts are those of the parts.
#[derive(Default)]
struct Parts {
    flags: u32,
    ports: Vec<Range>,
    protocols: Vec<u32>,
    prefixes: Vec<Prefix>,
    namespaces: Vec<u64>,
    devices: Vec<[u8; 16]>,
    instructions: Vec<Instruction>,
}

impl Parts {
    fn bytes(&self) -> Vec<u8> {
        let len = |len: usize| u32::try_from(len).unwrap();
        let header = Header {
            flags: ENABLED | self.flags,
            ports: len(self.ports.len()),
            protocols: len(self.protocols.len()),
            prefixes: len(self.prefixes.len()),
            namespaces: len(self.namespaces.len()),
            devices: len(self.devices.len()),
            instructions: len(self.instructions.len()),
            text: 2,
        };
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend(self.ports.as_bytes());
        bytes.extend(self.protocols.as_bytes());
        bytes.extend(self.prefixes.as_bytes());
        bytes.extend(self.namespaces.as_bytes());
        bytes.extend(self.devices.as_bytes());
        bytes.extend(self.instructions.as_bytes());
        bytes.extend(b"hi");
        bytes
    }

    fn filter(&self) -> Filter<Vec<u64>> {
        let bytes = self.bytes();
        Filter::new(&Spec::new(&bytes).unwrap(), vec![0; BITMAP_WORDS])
    }
}

fn filter(list: &str) -> Filter<Vec<u64>> {
    let mut bytes = [0; PORTS_SPEC];
    let len = write_ports(&PortList::parse(list).unwrap(), &mut bytes);
    Filter::new(&Spec::new(&bytes[..len]).unwrap(), vec![0; BITMAP_WORDS])
}

fn prefix(text: &str, len: u32) -> Prefix {
    let address = match text.parse().unwrap() {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    let len = if text.contains(':') { len } else { len + 96 };
    Prefix {
        address: address.octets(),
        len,
    }
}

#[test]
fn a_packet_matches_by_its_source_or_its_destination_port() {
    let filter = filter("80,9000-9010,65535");
    for port in [80, 9000, 9005, 9010, 65535] {
        assert!(filter.matches(&ports(port, 1), &NOWHERE), "{port}");
        assert!(filter.matches(&ports(1, port), &NOWHERE), "{port}");
    }
    for port in [79, 81, 8999, 9011, 65534, 1] {
        assert!(!filter.matches(&ports(port, 2), &NOWHERE), "{port}");
    }
    assert_eq!(filter.list().to_string(), "80,9000-9010,65535");
}

#[test]
fn an_icmp_error_matches_by_the_ports_it_quotes() {
    let icmp = |ports| {
        packet(Transport::Icmp(Icmp {
            kind: 3,
            code: 3,
            quoted: Some(Quoted {
                src: Ipv4Addr::LOCALHOST.into(),
                dst: Ipv4Addr::LOCALHOST.into(),
                protocol: Protocol::UDP,
                ports,
            }),
        }))
    };
    let filter = filter("80");
    assert!(filter.matches(&icmp(Some(Ports { src: 80, dst: 4 })), &NOWHERE));
    assert!(!filter.matches(&icmp(Some(Ports { src: 81, dst: 4 })), &NOWHERE));
    assert!(!filter.matches(&icmp(None), &NOWHERE));
}

#[test]
fn a_packet_matches_by_what_its_connection_began_with() {
    let conntrack = Conntrack {
        id: 1,
        state: ConntrackState::New,
        reply: false,
        status: 0,
        src: Ipv4Addr::new(192, 0, 2, 1).into(),
        dst: Ipv4Addr::new(192, 0, 2, 2).into(),
        ports: Some(Ports { src: 1, dst: 8081 }),
    };
    let around = Surroundings {
        conntrack: Some(&conntrack),
        ..NOWHERE
    };
    assert!(filter("8081").matches(&ports(1, 8080), &around));
    assert!(!filter("8081").matches(&ports(1, 8080), &NOWHERE));
    let by_address = Parts {
        prefixes: vec![prefix("192.0.2.2", 32)],
        ..Parts::default()
    };
    assert!(by_address.filter().matches(&ports(1, 2), &around));
    assert!(!by_address.filter().matches(&ports(1, 2), &NOWHERE));
}

#[test]
fn an_address_matches_the_prefixes_of_its_family_it_lies_in() {
    for (text, len, expected) in [
        ("10.0.0.2", 32, true),
        ("10.0.0.3", 32, false),
        ("10.0.0.0", 24, true),
        ("0.0.0.0", 0, true),
        ("2001:db8::", 32, false),
        ("::", 1, true),
    ] {
        let parts = Parts {
            prefixes: vec![prefix(text, len)],
            ..Parts::default()
        };
        let found = parts.filter().matches(&ports(1, 2), &NOWHERE);
        // A prefix of IPv6 of few bits holds the mapped addresses, too.
        assert_eq!(found, expected, "{text}/{len}");
    }
}

#[test]
fn every_kind_of_condition_has_to_be_met_and_of_each_kind_one() {
    let parts = Parts {
        ports: vec![Range { first: 2, last: 2 }],
        protocols: vec![6, 17],
        namespaces: vec![5, 7],
        devices: vec![*b"eth0\0\0\0\0\0\0\0\0\0\0\0\0"],
        ..Parts::default()
    };
    let filter = parts.filter();
    let eth0 = [Device {
        index: 3,
        name: *b"eth0\0\0\0\0\0\0\0\0\0\0\0\0",
    }];
    let around = Surroundings {
        devices: &eth0,
        ..NOWHERE
    };
    assert!(filter.matches(&ports(1, 2), &around));
    assert!(!filter.matches(&ports(1, 3), &around));
    assert!(!filter.matches(&ports(1, 2), &NOWHERE));
    assert!(!filter.matches(
        &ports(1, 2),
        &Surroundings {
            cookie: 6,
            ..around
        }
    ));
    let mut sctp = ports(1, 2);
    sctp.protocol = Protocol::SCTP;
    assert!(!filter.matches(&sctp, &around));
}

#[test]
fn a_filter_without_conditions_matches_everything() {
    assert!(Parts::default().filter().matches(&ports(1, 2), &NOWHERE));
}

#[test]
fn each_broken_filter_is_refused_for_what_is_wrong_with_it() {
    let good = Parts {
        ports: vec![Range { first: 1, last: 9 }],
        ..Parts::default()
    };
    let bytes = good.bytes();
    assert_eq!(Spec::new(&bytes).unwrap().text(), b"hi");
    for len in 0..bytes.len() {
        assert_eq!(Spec::new(&bytes[..len]).unwrap_err(), SpecError::Length);
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(Spec::new(&longer).unwrap_err(), SpecError::Length);

    let wrong = |parts: Parts| Spec::new(&parts.bytes()).unwrap_err();
    let range = |first, last| Parts {
        ports: vec![Range { first, last }],
        ..Parts::default()
    };
    assert_eq!(wrong(range(0, 9)), SpecError::Range);
    assert_eq!(wrong(range(9, 8)), SpecError::Range);
    assert_eq!(
        wrong(Parts {
            protocols: vec![256],
            ..Parts::default()
        }),
        SpecError::Protocol
    );
    assert_eq!(
        wrong(Parts {
            prefixes: vec![prefix("::", 129)],
            ..Parts::default()
        }),
        SpecError::Prefix
    );
    assert_eq!(
        wrong(Parts {
            flags: 1 << 31,
            ..Parts::default()
        }),
        SpecError::Flag
    );
    assert_eq!(
        wrong(Parts {
            namespaces: vec![0; MAX_ITEMS + 1],
            ..Parts::default()
        }),
        SpecError::TooMany
    );
}

#[test]
fn a_list_of_ports_is_a_filter_that_the_log_gets_and_no_ports_are_none() {
    let mut bytes = [0; PORTS_SPEC];
    let len = write_ports(&PortList::EMPTY, &mut bytes);
    assert!(!Spec::new(&bytes[..len]).unwrap().is_enabled());
    let len = write_ports(&PortList::parse("1,5-6").unwrap(), &mut bytes);
    let spec = Spec::new(&bytes[..len]).unwrap();
    assert!(spec.is_enabled() && spec.is_logged() && spec.follows_flows());
    assert_eq!(spec.ports().to_string(), "1,5-6");
}

proptest! {
    #[test]
    fn any_bytes_are_a_filter_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        if let Ok(spec) = Spec::new(&bytes) {
            Filter::new(&spec, vec![0; BITMAP_WORDS]).matches(&ports(1, 2), &NOWHERE);
        }
    }

    #[test]
    fn any_counts_are_a_filter_or_refused(words in proptest::collection::vec(0_u32..5, 8..64)) {
        if let Ok(spec) = Spec::new(words.as_bytes()) {
            Filter::new(&spec, vec![0; BITMAP_WORDS]).matches(&ports(1, 2), &NOWHERE);
        }
    }
}
