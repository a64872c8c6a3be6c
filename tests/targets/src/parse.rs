// SPDX-License-Identifier: GPL-2.0

//! Any bytes, as a packet of either network, through windows of any size.
//!
//! The first four bytes of an input say how long the window is, and how much
//! longer than the rest of the input the packet is.

use nftrace_core::packet::{parse, Error, Network, Plain, MAX_HEADERS};

use crate::vectors;

pub(crate) fn run(input: &[u8]) {
    let Some((&[w0, w1, t0, t1], bytes)) = input.split_first_chunk() else {
        return;
    };
    let window = usize::from(u16::from_le_bytes([w0, w1]));
    let total = bytes.len() + usize::from(u16::from_le_bytes([t0, t1]));
    let bytes = &bytes[..bytes.len().min(MAX_HEADERS)];
    for network in [Network::Ipv4, Network::Ipv6] {
        let whole = parse(network, bytes, total);
        let shown = parse(network, &bytes[..window.min(bytes.len())], total);
        assert!(shown == Err(Error::WindowTooSmall) || shown == whole);
        if bytes.len() == total.min(MAX_HEADERS) {
            assert_ne!(whole, Err(Error::WindowTooSmall));
        }

        // As a packet that ends with the window, whatever lies behind it.
        let cut = window.min(bytes.len());
        let alone = parse(network, &bytes[..cut], cut);
        assert_eq!(parse(network, bytes, cut), alone);
        assert_ne!(alone, Err(Error::WindowTooSmall));

        // The short way finds the same.
        if let Some(plain) = Plain::new(network, bytes, total) {
            assert_eq!(whole, Ok(plain.packet()));
        }
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let input = |vector: vectors::Vector| {
        let window = u16::try_from(vector.bytes.len()).expect("vectors are small");
        let mut input = window.to_le_bytes().to_vec();
        input.extend([0; 2]);
        input.extend(vector.bytes);
        input
    };
    vectors::load().into_iter().map(input).collect()
}
