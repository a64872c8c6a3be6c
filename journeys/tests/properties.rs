// SPDX-License-Identifier: GPL-2.0

//! What holds for whatever is read: nothing panics, every record is in exactly one journey,
//! and it does not matter in which pieces a text comes.

mod support;

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::LazyLock;

use nftrace_core::hook::{Family, Hook};
use nftrace_core::packet::{Fragment, Icmp, Packet, Ports, Protocol, Tcp, Transport};
use nftrace_core::record::{Conntrack, ConntrackState, Kind};
use nftrace_journeys::{
    Builder, Dropped, Input, Journey, Known, LogReader, Loss, NamespaceId, Observation, Options,
    Source,
};
use proptest::prelude::*;
use support::{show, Vector};

/// The lines of all vectors, in each form.
static LINES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let folder = Path::new("tests/vectors");
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(folder).expect("there are vectors") {
        let path = entry.expect("the folder can be read").path();
        let text = std::fs::read_to_string(&path).expect("the vector can be read");
        let records = text.split("\n--- ").next().unwrap_or_default();
        if path.extension().is_some_and(|extension| extension == "log") {
            lines.extend(records.lines().map(str::to_owned));
        } else {
            let vector = Vector::parse(records);
            assert!(!vector.items.is_empty());
            assert!(!vector.ring().is_empty());
            lines.extend(vector.log(false).lines().map(str::to_owned));
            lines.extend(vector.log(true).lines().map(str::to_owned));
        }
    }
    lines
});

/// A line as it is, cut somewhere, with a byte changed, or of anything.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let known = (0..LINES.len()).prop_map(|index| LINES[index].clone().into_bytes());
    prop_oneof![
        6 => known.clone(),
        1 => (known.clone(), any::<prop::sample::Index>()).prop_map(|(mut line, at)| {
            line.truncate(at.index(line.len() + 1));
            line
        }),
        1 => (known, any::<prop::sample::Index>(), any::<u8>()).prop_map(|(mut line, at, byte)| {
            if !line.is_empty() {
                let at = at.index(line.len());
                line[at] = byte;
            }
            line
        }),
        1 => prop::collection::vec(any::<u8>(), 0..80),
    ]
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(line(), 0..60).prop_map(|lines| lines.join(&b'\n'))
}

fn read(pieces: &[&[u8]]) -> Vec<Input> {
    let (mut reader, mut inputs) = (LogReader::new(), Vec::new());
    for piece in pieces {
        reader.bytes(piece, &mut inputs);
    }
    reader.finish(&mut inputs);
    inputs
}

fn packet() -> impl Strategy<Value = Packet> {
    let address = (1..4_u8).prop_map(|last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)));
    let fragment = prop::option::weighted(
        0.1,
        (0..3_u16, any::<bool>()).prop_map(|(at, more)| Fragment {
            offset: at * 1480,
            more,
        }),
    );
    let ports = (1..4_u16, 1..4_u16).prop_map(|(src, dst)| Ports { src, dst });
    let transport = prop_oneof![
        4 => (ports.clone(), 0..3_u32, 0..32_u8).prop_map(|(ports, seq, flags)| {
            Transport::Tcp(Tcp { ports, seq, ack: 0, flags })
        }),
        2 => prop_oneof![Just(4789), Just(53)].prop_map(|dst| {
            Transport::Ports(Ports { src: 1000, dst })
        }),
        1 => (0..12_u8).prop_map(|kind| Transport::Icmp(Icmp { kind, code: 0, quoted: None })),
        1 => Just(Transport::None),
    ];
    (address.clone(), address, fragment, 0..3_u32, transport).prop_map(
        |(src, dst, fragment, id, transport)| Packet {
            src,
            dst,
            protocol: match transport {
                Transport::Tcp(_) => Protocol::TCP,
                Transport::Ports(_) => Protocol::UDP,
                Transport::Icmp(_) => Protocol::ICMP,
                Transport::None => Protocol(47),
            },
            fragment,
            id,
            transport,
        },
    )
}

fn observation() -> impl Strategy<Value = Observation> {
    let place = (0..3_u32, 0..5_u8, 0..8_u8, 0..8_u8);
    let source = prop_oneof![
        4 => Just(Source::Ring), 1 => Just(Source::Log), 1 => Just(Source::Classic)
    ];
    let identity = prop::option::weighted(0.9, 1..6_u64);
    let size = (40..200_u32, 0..3_u16);
    let around = (prop::option::weighted(0.3, any::<bool>()), 0..2_000_000_u64);
    let packet = prop::option::weighted(0.95, packet());
    (place, source, identity, size, around, packet).prop_map(
        |((namespace, hook, kind, family), source, skb, (len, gso_segs), around, packet)| {
            let (conntrack, time) = around;
            let device = |index: u32| Some(format!("eth{index}"));
            Observation {
                time: (source != Source::Classic).then_some(time),
                source,
                namespace: NamespaceId::Inode(namespace),
                init: namespace == 0,
                kind: match kind {
                    0 => Kind::Drop,
                    1 | 2 => Kind::Exit,
                    _ => Kind::Entry,
                },
                hook: Hook::from_number(hook),
                family: Some(if family == 0 {
                    Family::Bridge
                } else {
                    Family::Ipv4
                }),
                dev: device(namespace),
                input: device(namespace),
                output: device(namespace),
                packet,
                known: Known::of(source),
                skb,
                len,
                mark: 0,
                gso_segs,
                cpu: Some(u16::from(family % 2)),
                conntrack: conntrack.zip(packet).map(|(reply, packet)| Conntrack {
                    id: 0,
                    state: ConntrackState::New,
                    reply,
                    status: 0,
                    src: packet.dst,
                    dst: packet.src,
                    ports: None,
                }),
                socket: None,
                verdict: None,
                rule: 0,
                shadow: 0,
                generation: 0,
                dropped: (kind == 0).then(|| Dropped {
                    reason: 1,
                    name: "NETFILTER_DROP".to_owned(),
                    location: String::new(),
                }),
            }
        },
    )
}

/// A stream: what comes, and how much later than what came before.
fn stream() -> impl Strategy<Value = Vec<Input>> {
    let loss = (1..9_u64, prop::option::of(0..2_u16)).prop_map(|(records, cpu)| Loss {
        records,
        cpu,
        namespace: None,
        time: None,
    });
    let input = prop_oneof![
        12 => observation().prop_map(Input::Record),
        1 => loss.prop_map(Input::Loss),
    ];
    prop::collection::vec(input, 0..120).prop_map(|mut inputs| {
        // Each record has a mark of its own, and times go on.
        let mut now = 0;
        for (index, input) in inputs.iter_mut().enumerate() {
            match input {
                Input::Record(record) => {
                    record.mark = u32::try_from(index).unwrap();
                    if let Some(time) = &mut record.time {
                        now += *time;
                        *time = now;
                    }
                }
                Input::Loss(loss) => loss.time = loss.cpu.map(|_| now),
            }
        }
        inputs
    })
}

fn marks(inputs: &[Input]) -> Vec<u32> {
    let mut marks: Vec<u32> = inputs
        .iter()
        .filter_map(|input| match input {
            Input::Record(record) => Some(record.mark),
            Input::Loss(_) => None,
        })
        .collect();
    marks.sort_unstable();
    marks
}

/// The records of all journeys, and that each journey is sound.
fn sound(journeys: &[Journey]) -> Vec<u32> {
    let mut marks = Vec::new();
    for pair in journeys.windows(2) {
        assert!(pair[0].number < pair[1].number);
    }
    for journey in journeys {
        let count = journey.records.len();
        assert!(count > 0);
        assert_eq!(journey.outer.len(), count);
        assert!(journey.joins.iter().all(|join| join.after + 1 < count));
        assert!(journey.nat.iter().all(|nat| nat.after < count));
        assert!(journey
            .encapsulation
            .iter()
            .all(|step| step.after + 1 < count));
        assert!(journey
            .gaps
            .iter()
            .all(|gap| gap.after.is_none_or(|after| after < count)));
        let mut next = 0;
        for leg in &journey.legs {
            assert_eq!(leg.records.start, next);
            next = leg.records.end;
            let records = &journey.records[leg.records.clone()];
            assert!(records
                .iter()
                .all(|record| record.namespace == leg.namespace));
        }
        assert_eq!(next, count);
        marks.extend(journey.records.iter().map(|record| record.mark));
        serde_json::to_string(&journey.to_json(&())).expect("a journey is JSON");
    }
    marks.sort_unstable();
    marks
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_does_not_matter_in_which_pieces_a_text_comes(
        text in text(),
        mut cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let whole = read(&[&text]);
        cuts.sort_by_key(|cut| cut.index(text.len() + 1));
        let mut pieces = Vec::new();
        let mut rest: &[u8] = &text;
        for cut in cuts.iter().rev() {
            let (before, piece) = rest.split_at(cut.index(text.len() + 1).min(rest.len()));
            pieces.insert(0, piece);
            rest = before;
        }
        pieces.insert(0, rest);
        prop_assert_eq!(read(&pieces), whole);
    }

    #[test]
    fn every_record_of_any_text_is_in_exactly_one_journey(text in text()) {
        let mut inputs = read(&[&text]);
        for (index, input) in inputs.iter_mut().enumerate() {
            if let Input::Record(record) = input {
                record.mark = u32::try_from(index).unwrap();
            }
        }
        let expected = marks(&inputs);
        let mut builder = Builder::new(Options::FILE);
        for input in inputs {
            builder.feed(input);
        }
        prop_assert_eq!(sound(&builder.finish().journeys), expected);
    }

    #[test]
    fn every_record_of_any_stream_is_in_exactly_one_journey(inputs in stream()) {
        let mut builder = Builder::new(Options::FILE);
        for input in inputs.clone() {
            builder.feed(input);
        }
        let trace = builder.finish();
        prop_assert_eq!(sound(&trace.journeys), marks(&inputs));
        prop_assert_eq!(show(&trace, &()).is_empty(), trace.journeys.is_empty() && trace.lost == 0);
    }

    #[test]
    fn taking_journeys_while_the_stream_goes_on_loses_none(inputs in stream()) {
        let mut builder = Builder::new(Options { window: 1_000_000, idle: 3_000_000 });
        let mut journeys = Vec::new();
        for input in inputs.clone() {
            builder.feed(input);
            journeys.extend(builder.take_finished());
        }
        builder.advance(u64::MAX / 2);
        journeys.extend(builder.take_finished());
        journeys.extend(builder.finish().journeys);
        prop_assert_eq!(sound(&journeys), marks(&inputs));
    }
}
