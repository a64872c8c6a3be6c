// SPDX-License-Identifier: GPL-2.0

//! Dynamic sets: what a policy means when their elements have changed.

use nftrace_core::policy::{verify, Action, Place};
use nftrace_policy::ast::State;
use nftrace_policy::explain::{decide, explain, parse_packet, Circumstances, Named};
use nftrace_policy::{
    compile, dynamic_name_of, elements, load_text, resolve, text_of, with_elements, Addresses,
    Blob, Memory,
};

const POLICY: &str = "\
set banned dynamic = { 192.0.2.7, 2001:db8::7 }
set known dynamic = {}
set office = { 10.0.0.0/8 }
accept from { @known, @office } at local_in
drop from @banned at local_in
drop to not { @known, @banned } port 25 at local_in
";

fn blob(text: &str) -> Blob {
    let document = load_text("policy", text, &Memory::default()).expect("it is one");
    compile(&resolve(&document, &Named::default()).expect("it names nobody")).expect("small")
}

fn addresses(text: &str) -> Addresses {
    elements("elements", text).unwrap_or_else(|report| panic!("{report}"))
}

fn verdict(blob: &Blob, packet: &str) -> &'static str {
    let tables = blob.tables().expect("a blob");
    let packet = parse_packet(packet).expect("a packet");
    let around = Circumstances {
        state: State::New,
        ..Circumstances::new(1, "host")
    };
    let place = Place::all().nth(1).expect("local_in");
    let decision = decide(&tables, place, &packet, &around);
    assert_eq!(explain(&tables, place, &packet, &around).decision, decision);
    match decision.action {
        Action::Accept => "accept",
        Action::Drop => "drop",
        _ => "something else",
    }
}

#[test]
fn a_dynamic_set_begins_with_what_the_policy_says_in_both_families() {
    let blob = blob(POLICY);
    let tables = blob.tables().expect("a blob");
    verify(&tables).expect("it is sound");
    let names: Vec<String> = tables
        .dynamics
        .iter()
        .map(|one| dynamic_name_of(&tables, one))
        .collect();
    assert_eq!(names, ["banned", "known"]);
    assert_eq!(verdict(&blob, "tcp 192.0.2.7 > 10.0.0.1:80"), "drop");
    assert_eq!(verdict(&blob, "tcp 192.0.2.8 > 10.0.0.1:80"), "accept");
    assert_eq!(verdict(&blob, "tcp 2001:db8::7 > [2001:db8::1]:80"), "drop");
    assert_eq!(
        verdict(&blob, "tcp 2001:db8::8 > [2001:db8::1]:80"),
        "accept"
    );
    // In neither of two.
    assert_eq!(verdict(&blob, "tcp 198.51.100.1 > 10.0.0.1:25"), "drop");
    assert_eq!(verdict(&blob, "tcp 198.51.100.1 > 192.0.2.7:25"), "accept");
}

#[test]
fn the_same_policy_with_other_elements_is_sound_and_means_them() {
    let before = blob(POLICY);
    let tables = before.tables().expect("a blob");
    let after = with_elements(&tables, |name| match name {
        b"banned" => Some(addresses("198.51.100.0/24\n2001:db8:1::/48\n")),
        _ => None,
    });
    verify(&after.tables().expect("a blob")).expect("it is sound");
    assert_eq!(text_of(&after.tables().expect("a blob")), text_of(&tables));
    assert_eq!(verdict(&after, "tcp 192.0.2.7 > 10.0.0.1:80"), "accept");
    assert_eq!(verdict(&after, "tcp 198.51.100.9 > 10.0.0.1:80"), "drop");
    assert_eq!(
        verdict(&after, "tcp 2001:db8:1::9 > [2001:db8::1]:80"),
        "drop"
    );
    let known = with_elements(&after.tables().expect("a blob"), |name| {
        (name == b"known").then(|| addresses("198.51.100.9"))
    });
    assert_eq!(verdict(&known, "tcp 198.51.100.9 > 10.0.0.1:80"), "accept");
    assert_eq!(verdict(&known, "tcp 198.51.100.8 > 10.0.0.1:80"), "drop");
    assert_eq!(verdict(&known, "tcp 10.0.0.2 > 10.0.0.1:80"), "accept");
}

#[test]
fn elements_are_read_one_a_line_and_what_touches_stays_two() {
    let read = addresses("# banned\n192.0.2.8\n192.0.2.7  # again\n192.0.2.7\n2001:db8::/32\n");
    let shown: Vec<String> = read.ranges().map(|one| one.to_string()).collect();
    assert_eq!(shown, ["192.0.2.7", "192.0.2.8", "2001:db8::/32"]);
    let joined = Addresses::default().with(&read);
    let shown: Vec<String> = joined.ranges().map(|one| one.to_string()).collect();
    assert_eq!(shown, ["192.0.2.7-192.0.2.8", "2001:db8::/32"]);
    let less = joined.without(&addresses("192.0.2.8\n2001:db8:8000::/33"));
    let shown: Vec<String> = less.ranges().map(|one| one.to_string()).collect();
    assert_eq!(shown, ["192.0.2.7", "2001:db8::/33"]);
}

#[test]
fn what_is_no_element_is_told_with_its_line() {
    for (text, wanted) in [
        ("192.0.2.7\n192.0.2.1/24", "host bits are set"),
        ("80", "a dynamic set has addresses, not ports"),
        ("example.org", "no address"),
        ("@office", "neither an address nor a port"),
    ] {
        let report = elements("bans.txt", text).expect_err("it is wrong");
        assert!(report.to_string().contains(wanted), "{report}");
    }
}
