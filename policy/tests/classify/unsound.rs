// SPDX-License-Identifier: GPL-2.0

//! Blobs that the verifier has to refuse, each with what is wrong with it.

use super::parts::Parts;
use super::universe::Names;
use nftrace_core::policy::forest::Node;
use nftrace_core::policy::{verify, verify_within, Flaw, Limits, Needs};
use nftrace_policy::{compile, load_text, resolve, Memory};

fn parts(text: &str) -> Parts {
    let document = load_text("policy", text, &Memory::default()).expect("it is one");
    let program = resolve(&document, &Names).expect("it names nobody");
    Parts::of(&compile(&program).expect("it is small"))
}

/// Two rules at `LOCAL_IN`: the second one asks conntrack.
fn sound() -> Parts {
    parts(
        "drop to any port { 80-90, 92 } at local_in\n\
         accept established at local_in\n",
    )
}

/// Twenty rules of which trees are made.
fn forest() -> Parts {
    use std::fmt::Write as _;
    let mut text = String::new();
    for number in 0..20 {
        writeln!(
            text,
            "drop tcp from 10.{number}.0.0/16 to 10.0.{number}.1 port {number} at forward"
        )
        .expect("memory");
    }
    parts(&text)
}

/// A rule that asks a dynamic set, and one that does not.
fn dynamic() -> Parts {
    parts(
        "set banned dynamic = { 10.0.0.1, fd00::1 }\n\
         set known dynamic = {}\n\
         drop from @banned at local_in\n\
         drop from 10.0.0.2 at local_in\n",
    )
}

fn verdict(parts: &Parts) -> Result<Needs, Flaw> {
    parts
        .blob()
        .tables()
        .and_then(|tables| verify(&tables))
        .map_err(|refusal| refusal.flaw)
}

#[test]
fn a_sound_blob_is_taken_and_says_what_it_needs() {
    let needs = verdict(&sound()).unwrap();
    assert!(needs.conntrack && !needs.reject && !needs.bridge && !needs.log && !needs.sockets);
    assert_eq!(verdict(&forest()).map(|needs| needs.conntrack), Ok(false));
}

type Break = fn(&mut Parts);

fn all_are_refused(sound: fn() -> Parts, cases: &[(Flaw, Break)]) {
    for (number, (flaw, damage)) in cases.iter().enumerate() {
        let mut parts = sound();
        damage(&mut parts);
        assert_eq!(verdict(&parts), Err(*flaw), "case {number}");
    }
}

#[test]
fn whatever_is_wrong_with_the_rules_of_a_blob_is_refused_by_its_name() {
    all_are_refused(
        sound,
        &[
            (Flaw::NotABlob, |p| p.header.magic = 1),
            (Flaw::Abi, |p| p.header.abi += 1),
            (Flaw::Size, |p| p.header.rules = 3),
            (Flaw::Size, |p| p.header.entries = u32::MAX),
            (Flaw::Size, |p| p.text.push(b'x')),
            (Flaw::Header, |p| p.header.defaults[0] = 2),
            (Flaw::Header, |p| p.header.malformed = 3),
            (Flaw::Header, |p| p.header.new = 4),
            (Flaw::Header, |p| p.header.reserved[2] = 1),
            (Flaw::Spans, |p| p.spans[0][0].first = 1),
            (Flaw::Spans, |p| p.spans[0][0].count = 1),
            (Flaw::Spans, |p| p.spans[0][0].count = u32::MAX),
            (Flaw::Set, |p| p.ranges32.reverse()),
            (Flaw::Set, |p| p.ranges32[0].high = 92),
            (Flaw::Set, |p| p.ranges32[0].low = 91),
            (Flaw::Order, |p| p.rules[1].first_condition = 0),
            (Flaw::Order, |p| p.rules[0].conditions += 1),
            (Flaw::Order, |p| p.rules[1].conditions = 0),
            (Flaw::Rule, |p| p.rules[0].families = 4),
            (Flaw::Rule, |p| p.rules[0].families = 0),
            (Flaw::Rule, |p| p.rules[0].places = 1 << 10),
            (Flaw::Rule, |p| p.rules[0].verdict = 4),
            (Flaw::Rule, |p| p.rules[0].queue = 1),
            (Flaw::Rule, |p| p.rules[0].answer = 1),
            (Flaw::Rule, |p| p.rules[0].flags = 1 << 7),
            (Flaw::Rule, |p| p.rules[0].split4 = 1 << 6),
            (Flaw::Condition, |p| p.conditions[0].kind = 22),
            (Flaw::Condition, |p| p.conditions[0].first = 99),
            (Flaw::Condition, |p| {
                p.ranges32.last_mut().unwrap().high = 0x1_0000;
            }),
            // Conntrack comes behind us at PRE_ROUTING.
            (Flaw::Place, |p| p.rules[1].places = 1),
            (Flaw::Rate, |p| p.rules[0].log_limit.events = 1),
            (Flaw::Text, |p| p.rules[0].text_len = u32::MAX),
        ],
    );
}

#[test]
fn whatever_is_wrong_with_the_dynamic_sets_of_a_blob_is_refused_by_its_name() {
    use nftrace_core::policy::dynamic::{MAX_RANGES, MAX_SETS};
    use nftrace_core::policy::layout::{Range32, Span};
    use nftrace_core::policy::Kind;
    assert!(verdict(&dynamic()).is_ok());
    all_are_refused(
        dynamic,
        &[
            (Flaw::Size, |p| p.header.dynamics = 3),
            (Flaw::Dynamic, |p| p.dynamics.swap(0, 1)),
            (Flaw::Dynamic, |p| p.dynamics[1] = p.dynamics[0]),
            (Flaw::Dynamic, |p| p.dynamics[0].name_len = 0),
            (Flaw::Dynamic, |p| p.dynamics[0].name_len = 32),
            (Flaw::Dynamic, |p| p.dynamics[0].name = u32::MAX),
            (Flaw::Dynamic, |p| p.dynamics[0].first = 99),
            (Flaw::Dynamic, |p| p.dynamics[0].second = 99),
            (Flaw::Dynamic, |p| {
                // One range too many.
                let count = u32::try_from(MAX_RANGES).unwrap() + 1;
                p.dynamics[0].first = u32::try_from(p.spans[0].len()).unwrap();
                p.spans[0].push(Span {
                    first: u32::try_from(p.ranges32.len()).unwrap(),
                    count,
                });
                let all = (0..count).map(|number| Range32 {
                    low: number * 2,
                    high: number * 2,
                });
                p.ranges32.extend(all);
                p.header.sets[0] += 1;
                p.header.elements[0] += count;
            }),
            (Flaw::Dynamic, |p| {
                p.dynamics = vec![p.dynamics[0]; MAX_SETS + 1];
                p.header.dynamics = 257;
            }),
            // A dynamic set that there is not, or of a kind that asks none, or none.
            (Flaw::Condition, |p| p.conditions[0].dynamic = 3),
            (Flaw::Condition, |p| p.conditions[0].dynamic = 0),
            (Flaw::Condition, |p| p.conditions[1].dynamic = 1),
            // The index was made for a rule whose condition it knows.
            (Flaw::Condition, |p| {
                p.conditions[0].kind = Kind::Source as u8;
            }),
            (Flaw::Boxes, |p| {
                p.conditions[1].kind = Kind::DynamicSource as u8;
                p.conditions[1].dynamic = 1;
            }),
            (Flaw::Place, |p| {
                p.conditions[0].kind = Kind::DynamicOriginalDestination as u8;
                p.rules[0].places = 1;
            }),
        ],
    );
}

#[test]
fn a_rule_with_a_dynamic_set_decides_nothing_for_the_index() {
    use nftrace_core::policy::forest::{DECIDES, DECIDES_FRAGMENTS, EXACT};
    let parts = dynamic();
    let of = |rule| {
        let boxes = parts.boxes4.iter().map(|one| one.rest);
        let mut flags = boxes
            .filter(|rest| rest.rule == rule)
            .map(|rest| rest.flags);
        flags.next().expect("it has a box")
    };
    let all = EXACT | DECIDES | DECIDES_FRAGMENTS;
    assert_eq!((of(0) & all, of(1) & all), (0, all));
}

#[test]
fn whatever_is_wrong_with_the_index_of_a_blob_is_refused_by_its_name() {
    const LOCAL_IN: usize = 3;
    const FORWARD: usize = 6;
    let at = |p: &Parts| match Node::read(p.nodes[0]) {
        Node::Cut { .. } | Node::Split { .. } => {}
        Node::Leaf { .. } => panic!("twenty rules have more than a leaf"),
    };
    at(&forest());
    all_are_refused(
        sound,
        &[
            (Flaw::Boxes, |p| p.boxes4[0].rest.dport[1] += 1),
            (Flaw::Boxes, |p| p.boxes4[0].rest.flags ^= 1),
            (Flaw::Boxes, |p| p.rules[0].split4 = 0),
            (Flaw::Boxes, |p| {
                p.boxes6.pop();
                p.header.boxes6 -= 1;
            }),
            // Rules that nobody would be asked about any more.
            (Flaw::Root, |p| p.header.roots[0][LOCAL_IN] = 0),
            (Flaw::Root, |p| p.header.roots[0][LOCAL_IN] = 99),
            (Flaw::Root, |p| p.header.roots[0][FORWARD] = 1),
            (Flaw::Forest, |p| p.forests[0].first_tree = 1),
            (Flaw::Forest, |p| p.forests[0].trees = 17),
            (Flaw::Forest, |p| p.forests[0].is_ipv6 = 2),
            (Flaw::Namespaces, |p| {
                p.namespaces = vec![2, 1];
                p.header.namespaces = 2;
            }),
        ],
    );
    all_are_refused(
        forest,
        &[
            (Flaw::Tree, |p| p.trees[0].least += 1),
            (Flaw::Tree, |p| p.trees[0].first_node = 1),
            (Flaw::Tree, |p| p.nodes.swap(0, 1)),
            (Flaw::Tree, |p| p.nodes[0] = u64::MAX),
            // A node that is its own child.
            (Flaw::Tree, |p| p.nodes[0] &= !1),
            (Flaw::Tree, |p| p.entries[0] = u32::MAX),
            (Flaw::Home, |p| p.homes[0] = 200),
            // The root looks at another dimension than the one that it was made for.
            (Flaw::Overlooked, |p| p.nodes[0] ^= 1 << 26),
        ],
    );
}

#[test]
fn a_policy_that_could_cost_a_packet_more_than_is_allowed_is_refused() {
    let blob = forest().blob();
    let tables = blob.tables().unwrap();
    let bound = verify(&tables).unwrap().bound;
    let within = |max_bound| verify_within(&tables, &Limits { max_bound }, || true);
    assert_eq!(within(bound).map(|needs| needs.bound), Ok(bound));
    let refusal = within(bound - 1).unwrap_err();
    assert_eq!((refusal.flaw, refusal.offset), (Flaw::Bound, bound));
}

#[test]
fn verifying_ends_when_it_is_told_to() {
    let mut text = String::new();
    for number in 0..3000 {
        text += &format!("drop from 10.0.{}.{}\n", number / 256, number % 256);
    }
    let blob = parts(&text).blob();
    let tables = blob.tables().unwrap();
    let refusal = verify_within(&tables, &Limits::default(), || false).unwrap_err();
    assert_eq!(refusal.flaw, Flaw::Interrupted);
}
