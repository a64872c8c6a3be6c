// SPDX-License-Identifier: GPL-2.0

//! What headers are checked by.

use etherparse::checksum::Sum16BitWords;

/// The Internet checksum (RFC 1071) of parts of which each but the last has an even length;
/// that of a header that is sound is 0.
#[must_use]
pub fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let sum = parts
        .iter()
        .fold(Sum16BitWords::new(), |sum, part| sum.add_slice(part));
    // The words were added as they are in memory.
    sum.ones_complement().to_ne_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_document() {
        // RFC 1071, section 3: the sum of these is ddf2.
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        let sum = checksum(&[&bytes]);
        assert_eq!(sum, (!0xddf2_u16).to_be_bytes());
        assert_eq!(checksum(&[&bytes[..2], &bytes[2..]]), sum);
        assert_eq!(checksum(&[&bytes, &sum]), [0, 0]);
        assert_eq!(
            checksum(&[&[0xff, 0x00], &[0x12]]),
            (!0x1101_u16).to_be_bytes()
        );
    }
}
