// SPDX-License-Identifier: GPL-2.0

//! Any bytes as a packet in a hook, and what a policy says about it: as the module finds it
//! out (`module/datapath.rs`, `headers.rs`, `judge.rs`), and by asking rule after rule.
//!
//! The first byte of an input is the policy, the second one how much of the packet lies in
//! one piece, the next eight what surrounds it.

use std::sync::LazyLock;

use nftrace_core::packet::{parse, Error, Network, Packet, Plain, MAX_HEADERS};
use nftrace_core::policy::layout::LOG;
use nftrace_core::policy::{
    classify, classify_in_order, glance, outcome, verify, By, Place, Subject as _, Tables,
};
use nftrace_policy::Blob;

use crate::vectors;
use crate::world::{compiled, Anything, Noted, POLICIES};

static BLOBS: LazyLock<Vec<Blob>> = LazyLock::new(|| {
    let sound = |text: &&str| {
        let blob = compiled(text);
        verify(&blob.tables().expect("it is a blob")).expect("it is sound");
        blob
    };
    POLICIES.iter().map(sound).collect()
});

/// The headers as the module reads them: where they lie, else in a small copy, else in a
/// large one.
fn read(network: Network, window: &[u8], bytes: &[u8]) -> Result<Packet, Error> {
    const WINDOW: usize = 128;
    let mut parsed = parse(network, window, bytes.len());
    for copied in [WINDOW, MAX_HEADERS] {
        if parsed == Err(Error::WindowTooSmall) {
            parsed = parse(network, &bytes[..bytes.len().min(copied)], bytes.len());
        }
    }
    parsed
}

pub(crate) fn run(input: &[u8]) {
    let Some((&[policy, linear, around @ ..], bytes)) = input.split_first_chunk::<10>() else {
        return;
    };
    let blob = &BLOBS[usize::from(policy) % BLOBS.len()];
    let tables = blob.tables().expect("it is a blob");
    let subject = Anything(u64::from_le_bytes(around));
    let window = &bytes[..bytes.len().min(usize::from(linear))];
    for network in [Network::Ipv4, Network::Ipv6] {
        let packet = read(network, window, bytes);
        assert_ne!(packet, Err(Error::WindowTooSmall));
        let whole = parse(network, &bytes[..bytes.len().min(MAX_HEADERS)], bytes.len());
        assert_eq!(
            packet, whole,
            "the pieces that a packet lies in change what it is"
        );
        let plain = Plain::new(network, window, bytes.len());
        if let Some(plain) = &plain {
            assert_eq!(packet, Ok(plain.packet()));
        }
        for place in Place::all() {
            judged(
                &tables,
                place,
                packet.ok().as_ref(),
                plain.as_ref(),
                &subject,
            );
        }
    }
}

fn judged(
    tables: &Tables<'_>,
    place: Place,
    packet: Option<&Packet>,
    plain: Option<&Plain<'_>>,
    subject: &Anything,
) {
    let (mut by_index, mut in_order) = (Noted::default(), Noted::default());
    let found = classify(tables, place, packet, subject, &mut by_index);
    let wanted = classify_in_order(tables, place, packet, subject, &mut in_order);
    assert_eq!(
        (found, &by_index),
        (wanted, &in_order),
        "{place:?} {packet:?}"
    );
    let Some(plain) = plain else {
        return;
    };
    let ask = |number| outcome(tables, number, &plain.packet(), subject);
    if let Some(decision) = glance(tables, place, plain, || subject.cookie(), ask) {
        assert_eq!(decision, wanted, "at a glance, {place:?} {packet:?}");
        assert_eq!(in_order, Noted::default(), "a glance takes no notes");
        if let By::Rule(number) = decision.by {
            let rule = &tables.rules[usize::try_from(number).expect("few")];
            assert_eq!(rule.flags & LOG, 0, "a glance logs nothing");
        }
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (number, vector) in (0_u8..).zip(vectors::load()) {
        let policies = u8::try_from(POLICIES.len()).expect("a few");
        let linear = if number % 3 == 0 { 40 } else { 255 };
        let mut input = vec![number % policies, linear, number, 0, 0, 0, 0, 0, 0, 0];
        input.extend(vector.bytes);
        seeds.push(input);
    }
    seeds
}
