// SPDX-License-Identifier: GPL-2.0

//! Blobs that the verifier has to refuse, each with what is wrong with it. That sound
//! ones decide as their rules say is tested where they are compiled.

use std::vec::Vec;

use zerocopy::IntoBytes as _;

use super::layout::{
    Condition, Header, Range32, Rule, Span, IPV4, IPV6, LOG, MAGIC, PLACES, SHADOW,
};
use super::*;
use crate::abi::ABI;
use crate::record::Verdict;

/// The parts of a blob that can be put together wrongly.
#[derive(Clone)]
struct Parts {
    header: Header,
    rules: Vec<Rule>,
    conditions: Vec<Condition>,
    spans: Vec<Span>,
    ranges: Vec<Range32>,
    chains: Vec<u32>,
    text: Vec<u8>,
}

/// At `LOCAL_IN`: drop port 80 to 90, and then accept the established rest.
fn sound() -> Parts {
    let rule = Rule {
        places: 1 << 1,
        families: IPV4 | IPV6,
        conditions: 1,
        text_len: 4,
        ..Rule::default()
    };
    let mut chains = [0; PLACES];
    chains[1] = 2;
    Parts {
        header: Header {
            magic: MAGIC,
            abi: ABI,
            rules: 2,
            conditions: 2,
            sets: [1, 0, 0, 0, 0],
            elements: [2, 0, 0, 0, 0],
            chains,
            text: 8,
            ..Header::default()
        },
        rules: [
            Rule {
                identity: 1,
                verdict: Verdict::Drop as u8,
                ..rule
            },
            Rule {
                identity: 2,
                first_condition: 1,
                ..rule
            },
        ]
        .to_vec(),
        conditions: [
            Condition {
                kind: Kind::DestinationPort as u8,
                ..Condition::default()
            },
            Condition {
                kind: Kind::State as u8,
                first: STATE_ESTABLISHED,
                ..Condition::default()
            },
        ]
        .to_vec(),
        spans: [Span { first: 0, count: 2 }].to_vec(),
        ranges: [Range32 { low: 80, high: 90 }, Range32 { low: 92, high: 92 }].to_vec(),
        chains: [0, 1].to_vec(),
        text: b"one two ".to_vec(),
    }
}

impl Parts {
    fn verdict(&self) -> Result<Needs, Flaw> {
        let mut bytes = self.header.as_bytes().to_vec();
        bytes.extend(self.rules.as_bytes());
        bytes.extend(self.conditions.as_bytes());
        bytes.extend(self.spans.as_bytes());
        bytes.extend(self.ranges.as_bytes());
        bytes.extend(self.chains.as_bytes());
        bytes.extend(&self.text);
        let mut words = std::vec![0_u64; bytes.len().div_ceil(8)];
        words.as_mut_bytes()[..bytes.len()].copy_from_slice(&bytes);
        Tables::read(&words.as_bytes()[..bytes.len()])
            .and_then(|tables| verify(&tables))
            .map_err(|refusal| refusal.flaw)
    }
}

#[test]
fn a_sound_blob_is_taken_and_says_what_it_needs() {
    let needs = sound().verdict().unwrap();
    assert!(needs.conntrack && !needs.reject && !needs.bridge && !needs.log && !needs.sockets);
}

#[test]
fn whatever_is_wrong_with_a_blob_is_refused_by_its_name() {
    type Break = fn(&mut Parts);
    let cases: [(Flaw, Break); 33] = [
        (Flaw::NotABlob, |p| p.header.magic = 1),
        (Flaw::Abi, |p| p.header.abi += 1),
        (Flaw::Size, |p| p.header.rules = 3),
        (Flaw::Size, |p| p.header.chains[9] = u32::MAX),
        (Flaw::Size, |p| p.text.push(b'x')),
        (Flaw::Header, |p| p.header.defaults[0] = 2),
        (Flaw::Header, |p| p.header.malformed = 3),
        (Flaw::Header, |p| p.header.new = 4),
        (Flaw::Header, |p| p.header.reserved[6] = 1),
        (Flaw::Spans, |p| p.spans[0].first = 1),
        (Flaw::Spans, |p| p.spans[0].count = 1),
        (Flaw::Spans, |p| p.spans[0].count = u32::MAX),
        (Flaw::Set, |p| p.ranges.reverse()),
        (Flaw::Set, |p| p.ranges[0].high = 92),
        (Flaw::Set, |p| p.ranges[0].low = 91),
        (Flaw::Order, |p| p.rules[1].first_condition = 0),
        (Flaw::Order, |p| p.rules[0].conditions = 2),
        (Flaw::Order, |p| p.rules[1].conditions = 0),
        (Flaw::Rule, |p| p.rules[0].families = 4),
        (Flaw::Rule, |p| p.rules[0].families = 0),
        (Flaw::Rule, |p| p.rules[0].places = 1 << 10),
        (Flaw::Rule, |p| p.rules[0].verdict = 4),
        (Flaw::Rule, |p| p.rules[0].queue = 1),
        (Flaw::Rule, |p| p.rules[0].answer = 1),
        (Flaw::Rule, |p| p.rules[0].flags = 1 << 7),
        (Flaw::Condition, |p| p.conditions[0].kind = 19),
        (Flaw::Condition, |p| p.conditions[0].first = 1),
        (Flaw::Condition, |p| p.ranges[1].high = 0x1_0000),
        (Flaw::Place, |p| {
            // Conntrack comes behind us at PRE_ROUTING.
            p.rules[1].places = 1;
            p.header.chains[1] = 1;
            p.header.chains[0] = 1;
            p.chains = [1, 0].to_vec();
        }),
        (Flaw::Chain, |p| p.chains.reverse()),
        (Flaw::Chain, |p| p.chains[1] = 7),
        (Flaw::Rate, |p| p.rules[0].log_limit.events = 1),
        (Flaw::Text, |p| p.rules[0].text = 5),
    ];
    for (number, (flaw, damage)) in cases.into_iter().enumerate() {
        let mut parts = sound();
        damage(&mut parts);
        assert_eq!(parts.verdict(), Err(flaw), "case {number}");
    }
}

#[test]
fn a_flag_that_means_something_is_taken() {
    let mut parts = sound();
    parts.rules[0].flags = SHADOW | LOG;
    assert!(parts.verdict().unwrap().log);
}
