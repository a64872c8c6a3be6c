// SPDX-License-Identifier: GPL-2.0

use super::*;

const WAYS: &str = "
# Two namespaces.
== run
request tcp
    a LOCAL_OUT   dev=-    in=-    out=eth0 10.0.0.1 P > 10.0.0.2 80
    b PRE_ROUTING dev=eth0 in=eth0 out=-    10.0.0.1 P > 10.0.0.2 80
    = delivered
reply tcp
    b LOCAL_OUT   dev=-    in=-    out=eth0 10.0.0.2 80 > 10.0.0.1 P
    - snat 10.0.0.2 80 > 10.0.0.2 80
    a PRE_ROUTING dev=eth0 in=eth0 out=-    10.0.0.2 80 > 10.0.0.1 P
";

fn lines(request: bool, skb: u32, flags: &str) -> [String; 2] {
    let (from, to, src, dst) = if request {
        (1, 2, "10.0.0.1:50000", "10.0.0.2:80")
    } else {
        (2, 1, "10.0.0.2:80", "10.0.0.1:50000")
    };
    let line = |hook, ns, devices| {
        format!(
            "nftrace: v1 hook={hook} pf=ipv4 ns={ns} cookie={ns} {devices} proto=tcp src={src} \
             dst={dst} flags={flags} len=60 skb={skb:08x} mark=0x0 verdict=accept rule=-"
        )
    };
    [
        line("LOCAL_OUT", from, "dev=- in=- out=eth0"),
        line("PRE_ROUTING", to, "dev=eth0 in=eth0 out=-"),
    ]
}

/// A connection: SYN, SYN-ACK, data each way; packets that are freed leave their address to others.
fn connection() -> Vec<String> {
    [
        lines(true, 1, "S"),
        lines(false, 2, "SA"),
        lines(true, 1, "PA"),
        lines(false, 1, "PA"),
    ]
    .concat()
}

fn packets(messages: &[String]) -> Result<Vec<Taken>, Mismatch> {
    let trace = Trace::new(messages.iter().map(String::as_str), "a 1\nb 2\n")?;
    trace.packets(&ways::parse(WAYS, "run")?)
}

fn error(messages: &[String]) -> String {
    packets(messages).unwrap_err().to_string()
}

#[test]
fn a_trace_in_which_every_packet_takes_its_way_is_sorted_into_packets() {
    let taken = packets(&connection()).unwrap();
    let names: Vec<_> = taken.iter().map(|taken| &*taken.way.name).collect();
    assert_eq!(names, ["request", "reply"]);
    for taken in taken {
        assert_eq!(taken.packets.len(), 2);
        assert!(taken.packets.iter().all(|packet| packet.lines.len() == 2));
    }
}

#[test]
fn packets_that_are_under_way_at_once_are_told_apart() {
    let mut messages = connection();
    messages.swap(3, 4);
    let count: usize = packets(&messages)
        .unwrap()
        .iter()
        .map(|taken| taken.packets.len())
        .sum();
    assert_eq!(count, 4);
}

/// The end of a packet that TCP throws away.
fn end(skb: u32, flags: &str) -> String {
    format!(
        "nftrace: v1 hook=LOCAL_IN pf=ipv4 ns=2 cookie=2 dev=- in=- out=- proto=tcp \
         src=10.0.0.1:50000 dst=10.0.0.2:80 flags={flags} len=60 skb={skb:08x} mark=0x0 \
         verdict=accept rule=- drop=TCP_CLOSE location=tcp_rcv_state_process"
    )
}

#[test]
fn an_acknowledgement_that_tcp_threw_away_behind_the_last_hook_has_arrived() {
    let mut messages = [connection(), lines(true, 3, "FA").to_vec()].concat();
    messages.push(end(3, "FA"));
    assert!(packets(&messages).is_ok());
    let other = messages.len() - 1;
    for (wrong, why) in [
        (end(3, "PA"), "data does not arrive by it"),
        (end(3, "R"), "a reset is no acknowledgement"),
        (end(4, "FA"), "no such packet came"),
    ] {
        messages[other] = wrong;
        assert!(packets(&messages).is_err(), "{why}");
    }
    messages[other] = end(3, "PA").replace("TCP_CLOSE", "TCP_OLD_DATA");
    assert!(packets(&messages).is_ok(), "that data was there already");
    messages[other] = end(3, "FA");
    messages.swap(other - 1, other);
    assert!(packets(&messages).is_err(), "it was still under way");
}

#[test]
fn a_missing_record_is_found_wherever_it_is() {
    for index in 0..8 {
        let mut messages = connection();
        messages.remove(index);
        assert!(packets(&messages).is_err(), "without record {index}");
    }
}

#[test]
fn a_doubled_record_is_found_wherever_it_is() {
    for index in 0..8 {
        let mut messages = connection();
        messages.insert(index, messages[index].clone());
        assert!(packets(&messages).is_err(), "with record {index} twice");
    }
}

#[test]
fn records_in_the_wrong_order_are_found() {
    let mut messages = connection();
    messages.swap(0, 1);
    assert!(error(&messages).starts_with("no packet starts with"));
}

#[test]
fn another_device_another_address_and_another_namespace_are_found() {
    for (old, new) in [
        ("in=eth0", "in=eth1"),
        ("src=10.0.0.1", "src=10.0.0.3"),
        (" ns=2", " ns=3"),
    ] {
        let mut messages = connection();
        messages[1] = messages[1].replace(old, new);
        assert!(error(&messages).starts_with("expected"), "{new}");
    }
}

#[test]
fn a_connection_without_handshake_or_without_data_is_found() {
    assert!(error(&connection()[2..]).starts_with("request: 0 SYN packets"));
    assert!(error(&connection()[..6]).starts_with("reply: no data"));
    assert!(error(&[]).starts_with("request: 0 SYN packets"));
    let twice = [lines(true, 7, "S").to_vec(), connection()].concat();
    assert!(error(&twice).starts_with("request: 2 SYN packets"));
}

#[test]
fn a_line_that_claims_to_be_a_record_and_is_none_is_found() {
    let messages = ["nftrace: v1 hook=NOWHERE".to_owned()];
    assert!(error(&messages).starts_with("not a line of version 1"));
}

#[test]
fn ways_of_unknown_kinds_and_missing_sections_are_refused() {
    for (text, what) in [
        ("== run\nrequest quickly\n", "neither tcp"),
        ("== run\n    a LOCAL_OUT\n", "belongs to no way"),
        ("== other\nrequest tcp\n", "no section 'run'"),
    ] {
        let error = ways::parse(text, "run").unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
}
