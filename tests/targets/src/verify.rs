// SPDX-License-Identifier: GPL-2.0

//! Compiled policies of any bytes: the verifier refuses them or not, and of what it takes
//! the index says the same about packets as the rules in order; nothing ever panics.

use nftrace_core::abi::ABI;
use nftrace_core::packet::{parse, Network, MAX_HEADERS};
use nftrace_core::policy::layout::{Header, MAGIC};
use nftrace_core::policy::{classify, classify_in_order, verify, Place};
use nftrace_policy::Blob;

use crate::blob::damage::Damage;
use crate::blob::parts::Parts;
use crate::world::{compiled, Anything, Noted, POLICIES};
use crate::Random;

/// Bytes of an input before the blob: what surrounds a packet, and the packet.
const PACKET: usize = 48;

/// The blob of an input. Its magic and ABI are given: they are not what is looked for.
fn blob(bytes: &[u8]) -> Option<Blob> {
    if bytes.len() < size_of::<Header>() {
        return None;
    }
    let mut bytes = bytes.to_vec();
    bytes[..4].copy_from_slice(&MAGIC.to_ne_bytes());
    bytes[4..8].copy_from_slice(&ABI.to_ne_bytes());
    Some(Blob::from(&bytes[..]))
}

pub(crate) fn run(input: &[u8]) {
    let Some((packet, bytes)) = input.split_at_checked(PACKET) else {
        return;
    };
    let Some(blob) = blob(bytes) else {
        return;
    };
    let Ok(tables) = blob.tables() else {
        return;
    };
    if verify(&tables).is_err() {
        return;
    }
    let (around, packet) = packet.split_at(8);
    let subject = Anything(u64::from_le_bytes(around.try_into().unwrap_or_default()));
    for network in [Network::Ipv4, Network::Ipv6] {
        let parsed = parse(network, packet, packet.len().max(MAX_HEADERS)).ok();
        for place in Place::all() {
            let (mut by_index, mut in_order) = (Noted::default(), Noted::default());
            let found = classify(&tables, place, parsed.as_ref(), &subject, &mut by_index);
            let wanted =
                classify_in_order(&tables, place, parsed.as_ref(), &subject, &mut in_order);
            assert_eq!((found, by_index), (wanted, in_order), "{place:?}");
        }
    }
}

/// A blob is taken apart, damaged in one of its sections and put together again: bytes
/// that are changed blindly hardly ever make one that is looked at further.
pub(crate) fn change(input: &mut Vec<u8>, random: &mut Random) -> bool {
    let Some(sound) = input.get(PACKET..).and_then(blob) else {
        return false;
    };
    if sound.tables().is_err() {
        return false;
    }
    let mut parts = Parts::of(&sound);
    Damage::new(random.number(), random.number(), random.number()).apply(&mut parts);
    input.truncate(PACKET);
    input.extend_from_slice(parts.blob().bytes());
    true
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for text in POLICIES {
        // What surrounds it; a packet from 10.1.1.1 to 10.1.2.3, port 1 to port 80.
        let mut input = vec![1, 0, 0, 0, 0, 0, 0, 0];
        input.extend([0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0]);
        input.extend([10, 1, 1, 1, 10, 1, 2, 3, 0, 1, 0, 80]);
        input.extend([0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2]);
        input.resize(PACKET, 0);
        input.extend(compiled(text).bytes());
        seeds.push(input);
    }
    seeds
}
