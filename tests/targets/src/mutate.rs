// SPDX-License-Identifier: GPL-2.0

//! Inputs from other inputs, without a fuzzer.

use crate::{Random, Target, LONGEST};

/// What is near the ends of what a number can be.
const BYTES: [u8; 10] = [0, 1, 0x7f, 0x80, 0xff, b'\n', b' ', b'0', b'9', b'-'];

/// An input that a few changes make of one of these.
///
/// # Panics
///
/// When there are none.
#[must_use]
pub fn mutant(target: &Target, inputs: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = random.pick(inputs).clone();
    for _ in 0..=random.below(4) {
        if (random.one_in(8) || !(target.change)(&mut input, random)) && !input.is_empty() {
            let other: &Vec<u8> = random.pick(inputs);
            change(&mut input, other, random);
        }
    }
    input.truncate(LONGEST);
    input
}

/// Some bytes in a row.
fn range(bytes: &[u8], random: &mut Random) -> std::ops::Range<usize> {
    let start = random.below(bytes.len().max(1));
    let most = (bytes.len() - start.min(bytes.len())).min(1 << random.below(8));
    start..start + random.below(most + 1)
}

/// The words or lines of a text.
fn piece(bytes: &[u8], random: &mut Random) -> std::ops::Range<usize> {
    let lines = random.one_in(2);
    let ends = |byte: &u8| match lines {
        true => *byte == b'\n',
        false => !byte.is_ascii_alphanumeric(),
    };
    let middle = random.below(bytes.len().max(1));
    let start = bytes[..middle]
        .iter()
        .rposition(ends)
        .map_or(0, |at| at + 1);
    let end = bytes[middle..].iter().position(ends);
    start..end.map_or(bytes.len(), |end| middle + end).max(start)
}

fn change(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(input.len());
    match random.below(10) {
        0 => input[at] ^= 1 << random.below(8),
        1 => input[at] = *random.pick(&BYTES),
        2 => {
            input[at] = input[at]
                .wrapping_add(u8::try_from(random.below(7)).unwrap_or(0))
                .wrapping_sub(3);
        }
        3 => drop(input.drain(range(input, random))),
        4 => {
            let copy = input[range(input, random)].to_vec();
            input.splice(at..at, copy);
        }
        5 if !other.is_empty() => {
            let graft = other[range(other, random)].to_vec();
            input.splice(at..at, graft);
        }
        6 | 7 if !other.is_empty() => {
            let graft = other[piece(other, random)].to_vec();
            input.splice(piece(input, random), graft);
        }
        8 => {
            let whole = random.number().to_le_bytes();
            for (to, from) in input[at..].iter_mut().zip(&whole[..1 << random.below(4)]) {
                *to = *from;
            }
        }
        _ => {
            let copy = input[piece(input, random)].to_vec();
            input.splice(piece(input, random), copy);
        }
    }
}
