// SPDX-License-Identifier: GPL-2.0

//! What the command relies on: JSON as documented, journeys while the stream goes on, times.

mod support;

use nftrace_core::hook::Hook;
use nftrace_journeys::{Builder, Input, Journey, LogReader, Names, Options, Trace};
use serde_json::{json, Value};
use support::{show, Vector};

const S1: &str = include_str!("vectors/s1-published-port.txt");

fn vector(text: &str) -> Vector {
    Vector::parse(text.split("\n--- ").next().unwrap_or_default())
}

fn build(inputs: Vec<Input>) -> Trace {
    let mut builder = Builder::new(Options::FILE);
    for input in inputs {
        builder.feed(input);
    }
    builder.finish()
}

fn value(journey: &Journey, names: &dyn Names) -> Value {
    serde_json::to_value(journey.to_json(names)).expect("a journey is JSON")
}

/// Of an object, only these keys.
fn only(value: &Value, keys: &[&str]) -> Value {
    keys.iter()
        .map(|key| ((*key).to_owned(), value[*key].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[test]
fn the_json_of_a_journey_is_as_documented() {
    let vector = vector(S1);
    let journey = value(&build(vector.ring()).journeys[0], &vector);
    assert_eq!(
        only(
            &journey,
            &["journey", "proto", "nat", "joins", "end", "drop"]
        ),
        json!({
            "journey": 1,
            "proto": "tcp",
            "nat": [{"after": 2, "kind": "dnat", "from": "10.10.10.2:8081",
                     "to": "172.17.0.2:8080", "certainty": "proved"}],
            "joins": [{"after": 1, "by": "skb", "certainty": "proved"},
                      {"after": 4, "by": "skb", "certainty": "proved"}],
            "end": "delivered",
            "drop": null,
        })
    );
    let keys = [
        "hook", "ns", "name", "dev", "in", "out", "src", "dst", "time", "at", "family",
    ];
    assert_eq!(
        only(&journey["records"][2], &keys),
        json!({
            "hook": "PRE_ROUTING", "ns": "4026531833", "name": "host", "dev": "ens160",
            "in": "ens160", "out": null, "src": "10.10.10.3:38478", "dst": "10.10.10.2:8081",
            "time": 2000, "at": "entry", "family": "ipv4",
        })
    );
    let keys = ["seq", "flags", "id", "skb", "len"];
    assert_eq!(
        only(&journey["records"][2], &keys),
        json!({"seq": 100, "flags": "S", "id": 7, "skb": "00000001", "len": 60})
    );
}

#[test]
fn the_json_of_a_log_does_not_invent_what_the_log_does_not_tell() {
    let vector = vector(S1);
    let mut inputs = Vec::new();
    LogReader::new().bytes(vector.log(false).as_bytes(), &mut inputs);
    // Nobody names the namespaces, but the log itself says which one is the host's.
    let record = value(&build(inputs).journeys[0], &())["records"][2].clone();
    assert_eq!(record["name"], "host");
    assert_eq!(record.get("seq"), None);
    assert_eq!(record.get("id"), None);

    let mut inputs = Vec::new();
    LogReader::new().bytes(vector.log(true).as_bytes(), &mut inputs);
    let journey = value(&build(inputs).journeys[0], &());
    assert_eq!(journey["proto"], Value::Null);
    assert_eq!(journey["records"][0]["name"], Value::Null);
    assert_eq!(journey["records"][2]["name"], "host");
    assert_eq!(journey["records"][2].get("len"), None);
    assert_eq!(journey["records"][2].get("flags"), None);
}

#[test]
fn the_json_of_a_drop_says_where_and_why() {
    let vector = vector(include_str!("vectors/s14-drop.txt"));
    let journeys = build(vector.ring()).journeys;
    assert_eq!(
        value(&journeys[0], &vector)["drop"],
        json!({
            "record": 7, "hook": "FORWARD", "family": "ipv4", "ns": "4026531833", "name": "host",
            "reason": "NETFILTER_DROP", "location": "nft_do_chain+0x1c2", "by": "kernel",
        })
    );
    assert_eq!(value(&journeys[2], &vector)["drop"]["rule"], 4);
}

#[test]
fn live_journeys_come_once_each_and_are_those_of_the_whole_stream() {
    let vector = vector(S1);
    let mut builder = Builder::new(Options::LIVE);
    for input in vector.ring() {
        builder.feed(input);
    }
    assert!(builder.take_finished().is_empty(), "they may still go on");
    builder.advance(10_000_000);
    assert!(builder.take_finished().is_empty(), "they may still go on");
    builder.advance(Options::LIVE.idle + 20_000_000);
    let journeys = builder.take_finished();
    assert!(builder.take_finished().is_empty());
    let live = Trace {
        journeys,
        connections: builder.connections().cloned().collect(),
        lost: 0,
    };
    assert_eq!(show(&live, &vector), show(&build(vector.ring()), &vector));
    assert!(builder.finish().journeys.is_empty());
}

#[test]
fn a_packet_that_never_left_a_hook_is_dropped_where_the_ends_of_hooks_are_recorded() {
    let vector = Vector::parse("0 a lout ->eth0 10.0.0.1:1>10.0.0.2:2 udp skb=1 id=1");
    let end = |exits: bool| {
        let mut builder = Builder::new(Options::FILE);
        if exits {
            builder.expect_exits();
        }
        for input in vector.ring() {
            builder.feed(input);
        }
        builder.finish().journeys[0].end.name()
    };
    assert_eq!(end(true), "dropped");
    assert_eq!(end(false), "unknown");
}

#[test]
fn a_record_that_comes_late_is_put_where_it_belongs_or_else_behind() {
    // Another CPU is ahead by so much when the first record comes.
    let hooks = |ahead: u64| {
        let vector = Vector::parse(&format!(
            "1 a post ->eth0 10.0.0.1:1>10.0.0.2:2 udp skb=1 id=1\n\
             {ahead} x lout ->eth0 10.0.9.1:1>10.0.9.2:2 udp skb=9 id=1\n\
             0 a lout ->eth0 10.0.0.1:1>10.0.0.2:2 udp skb=1 id=1"
        ));
        let trace = build(vector.ring());
        let records = trace.journeys[0].records.iter();
        records
            .map(|record| record.hook.map(Hook::name))
            .collect::<Vec<_>>()
    };
    assert_eq!(hooks(10_000), [Some("LOCAL_OUT"), Some("POST_ROUTING")]);
    assert_eq!(hooks(4_000_000), [Some("POST_ROUTING"), Some("LOCAL_OUT")]);
}

#[test]
fn times_of_all_usual_logs_are_read() {
    let line = "hook=LOCAL_OUT pf=ipv4 ns=1 cookie=1 dev=- in=- out=eth0 proto=udp \
                src=10.0.0.1:1 dst=10.0.0.2:2 flags=- len=60 skb=1 mark=0x0 verdict=accept rule=-";
    let time = |head: &str| match LogReader::new().line(&format!("{head}nftrace: v1 {line}")) {
        Some(Input::Record(record)) => record.time,
        _ => panic!("{head} is not read"),
    };
    let seconds = 1_795_345_668;
    for (head, expected) in [
        ("", None),
        ("[    5.000123] ", Some(5_000_123_000)),
        ("[3612381.406210] [nftrace]: ", Some(3_612_381_406_210_000)),
        ("<6>[    5.000123] ", Some(5_000_123_000)),
        ("[    5.000123][    C1] ", Some(5_000_123_000)),
        (
            "Nov 22 11:07:48 box kernel: [    5.000123] ",
            Some(5_000_123_000),
        ),
        ("[    5.000123] box kernel: ", Some(5_000_123_000)),
        ("[Sun Nov 22 11:07:48 2026] ", Some(seconds * 1_000_000_000)),
        (
            "2026-11-22T11:07:48.406210+00:00 box kernel: ",
            Some(seconds * 1_000_000_000 + 406_210_000),
        ),
        (
            "2026-11-22T11:07:48,406210+00:00 ",
            Some(seconds * 1_000_000_000 + 406_210_000),
        ),
        (
            "2026-11-22T11:07:48+0000 box kernel: ",
            Some(seconds * 1_000_000_000),
        ),
    ] {
        assert_eq!(time(head), expected, "{head}");
    }
    // Without a year only differences count.
    let (first, second) = (
        time("Feb 29 23:59:59 box kernel: "),
        time("Mar  1 00:00:01 box kernel: "),
    );
    assert_eq!(second.zip(first).map(|(b, a)| b - a), Some(2_000_000_000));
}
