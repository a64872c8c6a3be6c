// SPDX-License-Identifier: GPL-2.0

//! What headers are checked by.

/// The Internet checksum (RFC 1071) of parts of which each but the last has an even length.
///
/// # Panics
///
/// Never: the sum is folded.
#[must_use]
pub fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let word = |pair: &[u8]| {
        u32::from(u16::from_be_bytes([
            pair[0],
            pair.get(1).copied().unwrap_or(0),
        ]))
    };
    let mut sum: u32 = words.map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let folded = u16::try_from(sum).expect("folded");
    (!folded).to_be_bytes()
}
