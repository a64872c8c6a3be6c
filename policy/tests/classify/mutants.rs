// SPDX-License-Identifier: GPL-2.0

//! What the verifier takes says what its rules say, however it came to be.

use super::parts::Parts;
use super::universe::{self, Names, World};
use super::{rules, Shadowed};
use nftrace_core::packet::Packet;
use nftrace_core::policy::{classify, classify_in_order, verify, Place, Tables};
use nftrace_policy::{compile, resolve};
use proptest::prelude::*;
use zerocopy::IntoBytes;

/// A word of one section of the index that becomes another one.
#[derive(Clone, Copy, Debug)]
struct Damage {
    section: u8,
    at: usize,
    how: How,
}

#[derive(Clone, Copy, Debug)]
enum How {
    Bit(u32),
    Add(i8),
    /// That of another place in the section.
    Copy(usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let how = prop_oneof![
        (0_u32..64).prop_map(How::Bit),
        (-3_i8..4).prop_map(How::Add),
        any::<usize>().prop_map(How::Copy),
    ];
    (0_u8..8, any::<usize>(), how).prop_map(|(section, at, how)| Damage { section, at, how })
}

fn change<const N: usize>(bytes: &mut [u8], at: usize, how: How) {
    let words = bytes.len() / N;
    if words == 0 {
        return;
    }
    let at = at % words * N;
    match how {
        How::Bit(bit) => {
            let bit = bit as usize % (N * 8);
            bytes[at + bit / 8] ^= 1 << (bit % 8);
        }
        How::Add(what) => bytes[at] = bytes[at].wrapping_add_signed(what),
        How::Copy(from) => {
            let from = from % words * N;
            bytes.copy_within(from..from + N, at);
        }
    }
}

impl Damage {
    fn apply(self, parts: &mut Parts) {
        match self.section {
            0 | 1 => change::<8>(parts.nodes.as_mut_bytes(), self.at, self.how),
            2 | 3 => change::<4>(parts.entries.as_mut_bytes(), self.at, self.how),
            4 => change::<1>(&mut parts.homes, self.at, self.how),
            5 => change::<4>(parts.trees.as_mut_bytes(), self.at, self.how),
            6 => change::<4>(parts.header.roots.as_mut_bytes(), self.at, self.how),
            _ => change::<4>(parts.boxes4.as_mut_bytes(), self.at, self.how),
        }
    }
}

fn agree(tables: &Tables<'_>, packet: Option<&Packet>, world: &World) -> Result<(), TestCaseError> {
    for place in Place::all() {
        let (mut by_index, mut in_order) = (Shadowed::default(), Shadowed::default());
        let found = classify(tables, place, packet, world, &mut by_index);
        let wanted = classify_in_order(tables, place, packet, world, &mut in_order);
        prop_assert_eq!((found, by_index.0), (wanted, in_order.0), "{:?}", place);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_index_is_refused_or_says_what_the_rules_say(
        rules in prop::collection::vec(rules::rule(), 1..40),
        defaults in rules::defaults(),
        damages in prop::collection::vec(prop::collection::vec(damage(), 1..3), 60),
        packets in prop::collection::vec((universe::packet(), universe::world()), 20),
    ) {
        let document = super::document(&rules, &defaults);
        let program = resolve(&document, &Names).unwrap_or_else(|report| panic!("{report}"));
        let sound = Parts::of(&compile(&program).expect("it is small"));
        for damage in damages {
            let mut parts = sound.clone();
            for one in damage {
                one.apply(&mut parts);
            }
            let blob = parts.blob();
            let Ok(tables) = blob.tables() else { continue };
            if verify(&tables).is_err() {
                continue;
            }
            for (packet, world) in &packets {
                agree(&tables, packet.as_ref(), world)?;
            }
        }
    }
}
