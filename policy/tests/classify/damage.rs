// SPDX-License-Identifier: GPL-2.0

//! A blob with one thing changed in it, in whichever section.

use super::parts::Parts;
use nftrace_core::policy::layout::Header;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// How many kinds of places there are.
const SECTIONS: u64 = 31;

/// One change, made of three numbers; smaller ones are simpler.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Damage {
    section: u64,
    at: usize,
    how: u64,
}

impl Damage {
    /// The change of these numbers, whatever they are.
    #[allow(clippy::cast_possible_truncation, reason = "any number will do")]
    pub(crate) fn new(section: u64, at: u64, how: u64) -> Self {
        let at = (at >> 1) as usize;
        Self { section, at, how }
    }

    /// Makes the change. The counts of the header fit the sections afterwards.
    pub(crate) fn apply(self, parts: &mut Parts) {
        // What the index is made of is changed more often than what it is an index of.
        match self.section % SECTIONS {
            0..=3 => self.change(&mut parts.nodes),
            4..=7 => self.change(&mut parts.entries),
            8 | 9 => self.change(&mut parts.homes),
            10 | 11 => self.change(&mut parts.trees),
            12 => self.change(&mut parts.forests),
            13 | 14 => self.change(&mut parts.boxes4),
            15 | 16 => self.change(&mut parts.boxes6),
            17 => self.alter(parts.header.roots.as_mut_bytes(), 4),
            18 => self.header(&mut parts.header),
            19 | 20 => self.change(&mut parts.rules),
            21 => self.change(&mut parts.conditions),
            22 => self.change(&mut parts.spans[self.at % 5]),
            23 | 24 => self.change(&mut parts.ranges32),
            25 => self.change(&mut parts.ranges128),
            26 => self.change(&mut parts.words),
            27 => self.change(&mut parts.cgroups),
            28 => self.change(&mut parts.patterns),
            29 => self.change(&mut parts.dynamics),
            _ => self.change(&mut parts.namespaces),
        }
        count(parts);
    }

    /// What stands in the header besides counts.
    fn header(self, header: &mut Header) {
        match self.at % 4 {
            0 => self.alter(&mut header.defaults, 1),
            1 => header.malformed ^= 1,
            2 => header.fragments ^= 1,
            _ => header.new = header.new.wrapping_add(1) % 4,
        }
    }

    /// Changes a section: mostly a value in it, sometimes how many there are.
    fn change<T: Clone + FromBytes + IntoBytes + Immutable>(self, section: &mut Vec<T>) {
        if section.is_empty() {
            return;
        }
        let at = self.at % section.len();
        let other = self.at / section.len() % section.len();
        match self.how % 8 {
            0 => section.swap(at, other),
            1 => section[at] = section[other].clone(),
            2 if self.how & 8 != 0 => drop(section.remove(at)),
            3 if self.how & 8 != 0 => section.insert(at, section[other].clone()),
            _ => {
                let width = size_of::<T>();
                let word = if width % 4 == 0 { 4 } else { 1 };
                self.alter(section.as_mut_slice().as_mut_bytes(), word);
            }
        }
    }

    /// Changes one word of so many bytes.
    fn alter(self, bytes: &mut [u8], width: usize) {
        let words = bytes.len() / width;
        if words == 0 {
            return;
        }
        let at = self.at % words * width;
        let bit = (self.how >> 4) as usize % (width * 8);
        match self.how % 8 {
            4 => {
                let from = (self.how >> 4) as usize % words * width;
                bytes.copy_within(from..from + width, at);
            }
            5 | 6 => {
                let amount = i8::try_from((self.how >> 4) % 7).unwrap_or(0) - 3;
                bytes[at] = bytes[at].wrapping_add_signed(amount);
            }
            _ => bytes[at + bit / 8] ^= 1 << (bit % 8),
        }
    }
}

/// Says in the header how many there are of each.
fn count(parts: &mut Parts) {
    fn len<T>(of: &[T]) -> u32 {
        u32::try_from(of.len()).expect("a small blob")
    }
    let header = &mut parts.header;
    header.rules = len(&parts.rules);
    header.conditions = len(&parts.conditions);
    for (count, spans) in header.sets.iter_mut().zip(&parts.spans) {
        *count = len(spans);
    }
    header.elements = [
        len(&parts.ranges32),
        len(&parts.ranges128),
        len(&parts.words),
        len(&parts.cgroups),
        len(&parts.patterns),
    ];
    header.namespaces = len(&parts.namespaces);
    header.boxes4 = len(&parts.boxes4);
    header.boxes6 = len(&parts.boxes6);
    header.forests = len(&parts.forests);
    header.trees = len(&parts.trees);
    header.nodes = len(&parts.nodes);
    header.entries = len(&parts.entries);
    header.dynamics = len(&parts.dynamics);
    header.homes = len(&parts.homes);
}
