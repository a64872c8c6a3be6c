// SPDX-License-Identifier: GPL-2.0

//! What holds for every packet.

use super::super::*;
use super::build::{self, Built};
use super::windows;
use ::proptest::collection::vec;
use ::proptest::prelude::*;
use ::proptest::sample::{select, Index};

/// Noise, or a well-formed packet with a few bytes changed.
fn bytes() -> impl Strategy<Value = (Network, Vec<u8>)> {
    let noise = (
        select(&[Network::Ipv4, Network::Ipv6]),
        vec(any::<u8>(), 0..700),
    );
    let edited = (
        build::packet(),
        vec(any::<(Index, u8)>(), 0..4),
        vec(any::<u8>(), 0..8),
    )
        .prop_map(|(built, edits, padding)| {
            let mut bytes = built.bytes;
            for (at, value) in edits {
                *at.get_mut(&mut bytes[..]) = value;
            }
            bytes.extend(padding);
            (built.network, bytes)
        });
    prop_oneof![1 => noise, 3 => edited]
}

/// The length of a packet of which there are `length` bytes: around that, around
/// the greatest that a header can announce, or anything.
fn total(length: usize) -> impl Strategy<Value = usize> {
    prop_oneof![
        0..=length,
        length..=length + 64,
        65_500usize..65_700,
        any::<usize>()
    ]
}

fn with_total() -> impl Strategy<Value = (Network, Vec<u8>, usize)> {
    bytes().prop_flat_map(|(network, bytes)| {
        let total = total(bytes.len());
        (Just(network), Just(bytes), total)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn a_well_formed_packet_is_read_as_it_was_built(
        Built { network, bytes, packet } in build::packet(),
        padding in vec(any::<u8>(), 0..8),
    ) {
        let mut window = bytes;
        window.extend(padding);
        prop_assert_eq!(parse(network, &window, window.len()), Ok(packet));
    }

    #[test]
    fn every_window_on_a_packet_asks_for_more_or_says_the_same(
        (network, bytes, total) in with_total(),
    ) {
        windows::agree(network, &bytes, total);
    }

    #[test]
    fn nothing_beyond_the_packet_is_read(
        (network, bytes, total) in with_total(),
        garbage in vec(any::<u8>(), 1..64),
    ) {
        let packet = &bytes[..bytes.len().min(total)];
        let mut window = packet.to_vec();
        window.extend(garbage);
        prop_assert_eq!(
            parse(network, &window, packet.len()),
            parse(network, packet, packet.len())
        );
    }

    #[test]
    fn a_window_on_the_whole_packet_is_never_too_small((network, bytes) in bytes()) {
        let found = parse(network, &bytes, bytes.len());
        prop_assert_ne!(found, Err(Error::WindowTooSmall));
    }

    #[test]
    fn a_window_of_max_headers_is_never_too_small(
        (network, mut bytes, total) in with_total(),
        fill: u8,
    ) {
        bytes.resize(MAX_HEADERS, fill);
        let found = parse(network, &bytes, total);
        prop_assert_ne!(found, Err(Error::WindowTooSmall));
    }

    #[test]
    fn the_shorter_way_finds_what_the_longer_one_does((network, bytes, total) in with_total()) {
        if let Some(plain) = Plain::new(network, &bytes, total) {
            prop_assert_eq!(parse_any(network, &bytes, total), Ok(plain.packet()));
            prop_assert_eq!(plain.packet().ports(), Some(plain.ports));
        }
    }
}

#[test]
fn the_shorter_way_takes_tcp_and_udp_of_both_versions() {
    for (network, header) in [(Network::Ipv4, 20), (Network::Ipv6, 40)] {
        for (protocol, transport) in [(6, 24_u8), (17, 8)] {
            let behind = usize::from(transport);
            let mut bytes = vec![0; header + behind];
            match network {
                Network::Ipv4 => {
                    bytes[0] = 0x45;
                    bytes[3] = 20 + transport;
                    bytes[9] = protocol;
                }
                Network::Ipv6 => {
                    bytes[0] = 0x60;
                    bytes[5] = transport;
                    bytes[6] = protocol;
                }
            }
            bytes[header + 1] = 80;
            // A TCP header with an option, or the length of UDP.
            bytes[header + 12.min(behind - 3)] = if protocol == 6 { 0x60 } else { 8 };
            let plain = Plain::new(network, &bytes, bytes.len()).expect("taken");
            assert_eq!(plain.ports, Ports { src: 80, dst: 0 });
        }
    }
}
