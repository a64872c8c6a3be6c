// SPDX-License-Identifier: GPL-2.0

//! What the verifier takes says what its rules say, however it came to be.
//!
//! `NFTRACE_MUTANTS=1000000` has so many blobs tried instead of the usual number.

use super::damage::Damage;
use super::parts::Parts;
use super::universe::{self, Names, World};
use super::{rules, Shadowed};
use nftrace_core::packet::Packet;
use nftrace_core::policy::{classify, classify_in_order, verify, Place, Tables};
use nftrace_policy::{compile, resolve};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;

/// Of each policy so many mutants are made.
const EACH: usize = 60;

/// How many policies.
fn cases() -> u32 {
    let said = std::env::var("NFTRACE_MUTANTS").ok();
    let mutants = said.map(|said| said.parse::<usize>().expect("NFTRACE_MUTANTS is a number"));
    mutants.map_or(200, |all| u32::try_from(all.div_ceil(EACH)).expect("fewer"))
}

pub(crate) fn damage() -> impl Strategy<Value = Damage> {
    (any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(a, b, c)| Damage::new(a, b, c))
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

static TRIED: AtomicU64 = AtomicU64::new(0);
static TAKEN: AtomicU64 = AtomicU64::new(0);
/// How many were refused for what.
static REFUSED: Mutex<BTreeMap<&str, u64>> = Mutex::new(BTreeMap::new());

fn note(what: &'static str) {
    let mut refused = REFUSED.lock().expect("nobody panics there");
    *refused.entry(what).or_default() += 1;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    fn damaged(
        rules in prop::collection::vec(rules::rule(), 1..40),
        defaults in rules::defaults(),
        damages in prop::collection::vec(prop::collection::vec(damage(), 1..3), EACH),
        packets in prop::collection::vec((universe::packet(), universe::world()), 20),
    ) {
        let document = super::document(&rules, &defaults);
        let program = resolve(&document, &Names).unwrap_or_else(|report| panic!("{report}"));
        let sound = compile(&program).expect("it is small");
        let parts = Parts::of(&sound);
        for damage in damages {
            let mut parts = parts.clone();
            for one in damage {
                one.apply(&mut parts);
            }
            let blob = parts.blob();
            if blob == sound {
                continue;
            }
            TRIED.fetch_add(1, Ordering::Relaxed);
            let tables = blob.tables().and_then(|tables| verify(&tables).map(|_| tables));
            let tables = match tables {
                Ok(tables) => tables,
                Err(refusal) => {
                    note(refusal.flaw.what());
                    continue;
                }
            };
            TAKEN.fetch_add(1, Ordering::Relaxed);
            for (packet, world) in &packets {
                agree(&tables, packet.as_ref(), world)?;
            }
        }
    }
}

#[test]
fn a_damaged_blob_is_refused_or_says_what_its_rules_say() {
    damaged();
    let (tried, taken) = (TRIED.load(Ordering::Relaxed), TAKEN.load(Ordering::Relaxed));
    eprintln!("{tried} damaged policies, of which the verifier took {taken}; refused since it");
    let refused = REFUSED.lock().expect("nobody panics there");
    for (what, count) in refused.iter() {
        eprintln!("{count:8} {what}");
    }
    // Whatever the verifier looks at was damaged, but what takes a blob of 64 MiB or a limit.
    assert!(refused.len() > 15, "{refused:?}");
    // Else little would have been said.
    assert!(taken > tried / 100, "{taken} of {tried}");
    assert!(tried - taken > tried / 10, "{taken} of {tried}");
}
