// SPDX-License-Identifier: GPL-2.0

//! Packets as people write them, and what policies say about them.

use nftrace_core::policy::Place;
use nftrace_policy::explain::{explain, parse_packet, place, Circumstances, Explanation, Named};
use nftrace_policy::{compile, load_text, resolve, Memory};
use proptest::prelude::*;

fn error(packet: &str) -> String {
    match parse_packet(packet) {
        Ok(found) => panic!("{packet} was read as {found}"),
        Err(report) => report.to_string(),
    }
}

fn is(packet: &str, shown: &str) {
    let found = parse_packet(packet).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(found.to_string(), shown);
    let again = parse_packet(shown).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(again.to_string(), shown);
}

#[test]
fn packets_are_read_as_they_are_shown_and_what_is_usual_may_be_left_out() {
    is(
        "tcp 10.0.0.3:5555 > 172.17.0.2:8080 in eth0 out br0",
        "tcp 10.0.0.3:5555 > 172.17.0.2:8080 flags syn in eth0 out br0",
    );
    is(
        "udp 10.0.0.3 > 10.0.0.4:53",
        "udp 10.0.0.3:49152 > 10.0.0.4:53",
    );
    is(
        "ipv6 tcp [2001:db8::1]:1 > [2001:db8::2]:443 flags ack, fin",
        "tcp [2001:db8::1]:1 > [2001:db8::2]:443 flags fin,ack",
    );
    is(
        "icmp 10.0.0.3 > 10.0.0.4",
        "icmp 10.0.0.3 > 10.0.0.4 icmp echo-request",
    );
    is(
        "icmp 10.0.0.3 > 10.0.0.4 icmp 3/4",
        "icmp 10.0.0.3 > 10.0.0.4 icmp destination-unreachable/4",
    );
    is(
        "icmpv6 fe80::1 > ff02::1 icmp 200",
        "icmpv6 fe80::1 > ff02::1 icmp 200",
    );
    is(
        "udp 10.0.0.3 > 10.0.0.4 fragment 1480",
        "udp 10.0.0.3 > 10.0.0.4 fragment 1480",
    );
    is(
        "protocol 99 10.0.0.3 > 10.0.0.4",
        "protocol 99 10.0.0.3 > 10.0.0.4",
    );
    is("malformed in eth0", "malformed in eth0");
    is("tcp 10.0.0.3 > 10.0.0.4 malformed", "malformed");
}

#[test]
fn what_is_wrong_with_a_packet_is_shown_at_its_place_with_what_to_write() {
    for (packet, caret, help) in [
        ("tpc 10.0.0.1 > 10.0.0.2:1", "^^^", "did you mean `tcp`?"),
        ("tcp 10.0.0.1>10.0.0.2:1", "^^^", "put blanks around `>`"),
        ("tcp 10.0.0.1 > 10.0.0.2", "^^^", "as in 10.0.0.2:80"),
        ("tcp 10.0.0.1 > 10.0.0.2:99999", "^^^", "`99999` is no port"),
        ("tcp 10.0.0.1 > web:80", "^^^", "names are not looked up"),
        ("tcp 2001:db8::1 > 10.0.0.2:80", "^^^", "two families"),
        (
            "tcp 2001:db8::1:80:80:80:80:80:80 > [::1]:80",
            "^^^",
            "[2001:db8::1]:80",
        ),
        ("ipv6 tcp 10.0.0.1 > 10.0.0.2:80", "^^^", "the other family"),
        ("icmp ::1 > ::2", "^^^", "did you mean `icmpv6`?"),
        ("icmp 10.0.0.1:5 > 10.0.0.2", "^^^", "icmp has no ports"),
        (
            "icmp 10.0.0.1 > 10.0.0.2 icmp echo-reqest",
            "^^^",
            "`echo-request`",
        ),
        ("udp 10.0.0.1 > 10.0.0.2:5 flags syn", "^^^", "no TCP flags"),
        (
            "tcp 10.0.0.1 > 10.0.0.2:5 flags sin",
            "^^^",
            "there are fin, syn",
        ),
        ("tcp 10.0.0.1 > 10.0.0.2:5 fragment 8", "^^^", "no ports"),
        ("tcp 10.0.0.1 > 10.0.0.2:5 fragment 9", "^", "multiple of 8"),
        (
            "tcp 10.0.0.1 > 10.0.0.2:5 iif eth0",
            "^^^",
            "did you mean `in`?",
        ),
        ("tcp 10.0.0.1 > 10.0.0.2:5 in", "^", "missing here"),
        ("tcp 10.0.0.1", "^", "missing here"),
        ("", "", "missing here"),
        (
            "tcp 10.0.0.1 > 10.0.0.2:5 in abcdefghijklmnop",
            "^^^",
            "1 to 15 bytes",
        ),
    ] {
        let said = error(packet);
        assert!(
            said.contains(caret) && said.contains(help),
            "{packet}:\n{said}"
        );
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_of_packets_panic(text in "[ -~\n]{0,60}") {
        if let Ok(packet) = parse_packet(&text) {
            let shown = packet.to_string();
            let again = parse_packet(&shown);
            prop_assert!(again.is_ok(), "{text:?} was shown as {shown:?}");
            prop_assert_eq!(again.unwrap().to_string(), shown);
        }
    }
}

const POLICY: &str = "\
set office = { 10.10.0.0/16, 2001:db8::/32 }
default drop at local_in
accept established at local_in, forward
accept ipv6 tcp to any port 22 at local_in
accept tcp from @office to 172.17.0.2 port 8080, 9090 iif eth*, wg0 at local_in
shadow drop udp at local_in
drop tcp from not 10.0.0.0/8 to any port 25 cgroup \"/system.slice\" at local_in
reject udp to any port 53 at local_in in container:web limit 5/s name \"dns\"
";

fn ask(packet: &str, around: &Circumstances) -> Explanation {
    let document = load_text("policy", POLICY, &Memory::default());
    let document = document.unwrap_or_else(|report| panic!("{report}"));
    let names = std::collections::BTreeMap::from([(
        "web".to_string(),
        nftrace_policy::explain::Meaning {
            cookie: Some(7),
            addresses: Vec::new(),
        },
    )]);
    let program = resolve(&document, &Named::from(names));
    let blob = compile(&program.unwrap_or_else(|report| panic!("{report}"))).unwrap();
    let packet = parse_packet(packet).unwrap_or_else(|report| panic!("{report}"));
    explain(
        &blob.tables().unwrap(),
        place("local_in").unwrap(),
        &packet,
        around,
    )
}

/// Of each rule the clause that is not met, and what the packet has instead.
fn told(explanation: &Explanation) -> Vec<String> {
    let whys = explanation.tried.iter().map(|tried| match &tried.why {
        None => "matches".to_string(),
        Some(why) => format!("{}: {}", why.clause.as_deref().unwrap_or("-"), why.fact),
    });
    whys.collect()
}

#[test]
fn each_rule_that_does_not_match_is_told_with_the_clause_that_is_to_blame() {
    let around = Circumstances::new(1, "host");
    let found = ask("tcp 192.0.2.1:5 > 172.17.0.2:8080 in eth0", &around);
    assert_eq!(
        told(&found),
        [
            "established: it is new",
            "-: it is for IPv6 only",
            "from @office: the source is 192.0.2.1",
            "udp: it is tcp",
            "port 25: the destination port is 8080",
            "in container:web: it is in host",
        ]
    );
    assert_eq!(
        (found.verdict(), found.by().as_str()),
        ("drop", "the default at local_in")
    );
    assert_eq!(found.rule(), None);

    let found = ask("tcp 10.10.2.1:5 > 172.17.0.2:8080 in lo", &around);
    assert_eq!(told(&found)[2], "iif { eth*, wg0 }: it came through lo");
    let found = ask("tcp 10.10.2.1:5 > 172.17.0.2:8080", &around);
    assert!(
        told(&found)[2].ends_with("no device is given: `in DEV`"),
        "{found:?}"
    );
    let found = ask("tcp 10.10.2.1:5 > 172.17.0.2:80 in eth0", &around);
    assert_eq!(
        told(&found)[2],
        "port { 8080, 9090 }: the destination port is 80"
    );
    let found = ask("tcp 10.10.2.1:5 > 172.17.0.2:9090 in eth0", &around);
    assert_eq!((found.verdict(), found.by().as_str()), ("accept", "rule 3"));
    assert_eq!(told(&found).len(), 3);

    let found = ask("tcp 10.1.1.1:5 > 10.0.0.1:25", &around);
    assert_eq!(
        told(&found)[4],
        "from not 10.0.0.0/8: the source is 10.1.1.1"
    );
    let found = ask("tcp 192.0.2.1:5 > 10.0.0.1:25", &around);
    assert_eq!(
        told(&found)[4],
        "cgroup \"/system.slice\": no local socket is given: cgroup"
    );
}

#[test]
fn what_surrounds_the_packet_decides_too() {
    let mut around = Circumstances::new(7, "container:web");
    let dns = "udp 10.0.0.1:5 > 10.0.0.2:53";
    let found = ask(dns, &around);
    assert_eq!(
        (found.action().as_str(), found.by().as_str()),
        ("reject", "rule 6")
    );
    assert_eq!(
        found.rule().and_then(|rule| rule.name.as_deref()),
        Some("dns")
    );
    let shadow = &found.tried[3];
    assert!(shadow.is_shadow && shadow.why.is_none(), "{shadow:?}");

    around.is_over_limit = true;
    let found = ask(dns, &around);
    assert_eq!(found.by(), "the default at local_in");
    assert!(
        told(&found)[5].contains("as often as its limit"),
        "{found:?}"
    );

    let cgroup = "/system.slice/mail.service";
    let ids = nftrace_policy::explain::cgroup_ids(cgroup);
    around.cgroup = Some((cgroup.to_string(), ids));
    assert_eq!(ask("tcp 192.0.2.1:5 > 10.0.0.1:25", &around).by(), "rule 5");

    around.state = nftrace_policy::ast::State::Established;
    assert_eq!(ask(dns, &around).by(), "rule 1");
}

#[test]
fn what_cannot_be_read_or_known_falls_to_its_own_default() {
    let around = Circumstances::new(1, "host");
    let found = ask("malformed", &around);
    assert_eq!((found.verdict(), found.tried.len()), ("drop", 0));
    assert_eq!(found.by(), "the default for malformed packets");
    let found = ask("tcp 10.10.0.1 > 172.17.0.2 in eth0 fragment 1480", &around);
    assert_eq!(found.by(), "the default for fragments, at rule 3");
    assert_eq!(
        told(&found)[2],
        "port { 8080, 9090 }: a later fragment does not tell"
    );
    assert_eq!(found.verdict(), "accept");
}

#[test]
fn every_hook_may_be_asked() {
    let document = load_text("policy", "drop at bridge forward\n", &Memory::default()).unwrap();
    let blob = compile(&resolve(&document, &Named::default()).unwrap()).unwrap();
    let packet = parse_packet("udp 10.0.0.1:5 > 10.0.0.2:53").unwrap();
    for place in Place::all() {
        let around = Circumstances::new(1, "host");
        let found = explain(&blob.tables().unwrap(), place, &packet, &around);
        let is_held = nftrace_policy::explain::place_name(place) == "bridge forward";
        assert_eq!(found.verdict() == "drop", is_held, "{place:?}");
    }
}
