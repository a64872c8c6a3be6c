// SPDX-License-Identifier: GPL-2.0

//! Any bytes, as a packet of either network, through windows of any size.
//!
//! The first four bytes of an input say how long the window is, and how much
//! longer than the rest of the input the packet is.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nftrace_core::packet::{parse, Error, Network, MAX_HEADERS};
use std::path::Path;

#[expect(dead_code, reason = "the fuzzer has no use for names and expectations")]
#[path = "../../src/vectors.rs"]
mod vectors;

fuzz_target!(init: seed(), |input: &[u8]| {
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
    }
});

/// Fills an empty corpus, which is a folder among the arguments, from the vectors.
fn seed() {
    let is_empty = |path: &Path| path.read_dir().is_ok_and(|mut dir| dir.next().is_none());
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    for corpus in arguments
        .iter()
        .map(Path::new)
        .filter(|path| is_empty(path))
    {
        for (number, vector) in vectors::load().into_iter().enumerate() {
            let window = u16::try_from(vector.bytes.len()).expect("vectors are small");
            let mut input = window.to_le_bytes().to_vec();
            input.extend([0; 2]);
            input.extend(vector.bytes);
            std::fs::write(corpus.join(format!("vector-{number:03}")), input)
                .expect("the corpus can be written to");
        }
    }
}
