// SPDX-License-Identifier: GPL-2.0

//! Damage to blobs: some that no blob survives, some that leaves a sound one behind.

use std::ops::Range;

use nftrace_core::policy::layout::{Header, Rule};
use nftrace_tests::random::Random;

/// Where the header and the rules are.
pub(crate) struct Parts {
    header: Range<usize>,
    rules: Range<usize>,
}

impl Parts {
    pub(crate) fn of(rules: usize) -> Self {
        let header = size_of::<Header>();
        Self {
            header: 0..header,
            rules: header..header + rules * size_of::<Rule>(),
        }
    }
}

/// A place whose offset `alignment` divides.
fn place(random: &mut Random, within: &Range<usize>, alignment: usize) -> usize {
    let count = (within.len() / alignment).max(1);
    within.start + random.below(count) * alignment
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(word.try_into().ok()?))
}

fn set_word(bytes: &mut [u8], at: usize, value: u32) {
    if let Some(word) = bytes.get_mut(at..at + 4) {
        word.copy_from_slice(&value.to_le_bytes());
    }
}

/// A value that is near another one, or at an end.
fn strange(random: &mut Random, value: u32) -> u32 {
    match random.below(7) {
        0 => value.wrapping_add(1),
        1 => value.wrapping_sub(1),
        2 => 0,
        3 => u32::MAX,
        4 => value ^ (1 << random.below(32)),
        5 => value.wrapping_mul(2),
        _ => (random.number() >> 32) as u32,
    }
}

fn set_byte(bytes: &mut [u8], at: usize, value: u8) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte = value;
    }
}

fn small(random: &mut Random, below: usize) -> u8 {
    u8::try_from(random.below(below)).unwrap_or(u8::MAX)
}

fn change(random: &mut Random, bytes: &mut Vec<u8>, parts: &Parts) {
    let all = 0..bytes.len();
    if all.is_empty() {
        return;
    }
    match random.below(12) {
        0..=1 => {
            let at = place(random, &all, 1);
            let bit = 1 << random.below(8);
            let value = bytes[at] ^ bit;
            set_byte(bytes, at, value);
        }
        2 => {
            let (at, value) = (place(random, &all, 1), small(random, 256));
            set_byte(bytes, at, value);
        }
        3 => bytes.truncate(random.below(bytes.len())),
        4 => {
            let count = 1 + random.below(64);
            bytes.extend((0..count).map(|_| small(random, 256)));
        }
        5 => {
            let at = place(random, &parts.header, 4);
            let value = strange(random, word(bytes, at).unwrap_or(0));
            set_word(bytes, at, value);
        }
        6 => {
            let start = place(random, &all, 8);
            for at in start..start + 16 {
                let value = small(random, 256);
                set_byte(bytes, at, value);
            }
        }
        7 => {
            let (one, other) = (place(random, &all, 4), place(random, &all, 4));
            if let (Some(first), Some(second)) = (word(bytes, one), word(bytes, other)) {
                set_word(bytes, one, second);
                set_word(bytes, other, first);
            }
        }
        8 => {
            let (from, to) = (place(random, &all, 8), place(random, &all, 8));
            let count = random.below(72).min(bytes.len() - from.max(to));
            bytes.copy_within(from..from + count, to);
        }
        9 => {
            let (at, value) = (place(random, &parts.rules, 1), small(random, 6));
            set_byte(bytes, at, value);
        }
        10 => {
            // Verdicts, flags, families, answers.
            let rule = place(random, &parts.rules, size_of::<Rule>());
            let at = rule + 16 + random.below(4);
            let value = small(random, 4);
            set_byte(bytes, at, value);
        }
        _ => {
            let at = place(random, &all, 4);
            let value = strange(random, word(bytes, at).unwrap_or(0));
            set_word(bytes, at, value);
        }
    }
}

/// A damaged blob.
pub(crate) fn mutant(random: &mut Random, sound: &[u8], parts: &Parts) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    for _ in 0..=random.below(3) {
        change(random, &mut bytes, parts);
    }
    bytes
}
