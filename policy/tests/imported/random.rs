// SPDX-License-Identifier: GPL-2.0

//! Random rulesets, and random packets that meet them.

use crate::tables::{address, Match, Rule, Table, Tables, Target, Verdict, World};
use crate::tables::{CHAINS, HOST, STATES};
use nftrace_core::packet::{Fragment, Icmp, Packet, Ports, Protocol, Tcp, Transport};
use proptest::prelude::*;
use proptest::sample::select;

fn single_match(protocol: u8, with_states: bool) -> BoxedStrategy<Match> {
    let not = || prop::bool::weighted(0.3);
    let length = || select(vec![30_u8, 31, 32]);
    let ports = (any::<bool>(), not(), 0_u16..4, 0_u16..3).prop_map(
        move |(is_source, not, first, more)| Match::Port {
            protocol,
            is_source,
            not,
            first,
            last: first + more,
        },
    );
    let either = (not(), prop::collection::vec(0_u16..5, 1..3))
        .prop_map(move |(not, list)| Match::EitherPort(protocol, not, list));
    let tcp = (not(), 0_u8..0x20, select(vec![0x02_u8, 0x12, 0x17]))
        .prop_map(|(not, value, mask)| Match::Flags(not, value & mask, mask));
    let of_protocol = match protocol {
        1 => (0_u8..4).prop_map(Match::Icmp).boxed(),
        6 => prop_oneof![ports, tcp].boxed(),
        17 => prop_oneof![ports, either].boxed(),
        _ => (not(), select(vec![1_u8, 6, 17]))
            .prop_map(|(not, number)| Match::Protocol(not, number))
            .boxed(),
    };
    let host = |low: u8, length: u8| low & !((1 << (32 - length)) - 1);
    let source = (not(), 0_u8..4, length())
        .prop_map(move |(not, low, length)| Match::Source(not, host(low, length), length));
    let destination = (not(), 0_u8..4, length())
        .prop_map(move |(not, low, length)| Match::Destination(not, host(low, length), length));
    let input = (not(), select(vec!["eth0", "eth1", "veth0"]))
        .prop_map(|(not, name)| Match::Input(not, name));
    let any_input = select(vec!["eth+", "veth+"]).prop_map(|name| Match::Input(false, name));
    let mark = (0_u32..4, select(vec![1_u32, 3]))
        .prop_map(|(value, mask)| Match::Mark(false, value & mask, mask));
    let rest = if with_states {
        (not(), prop::collection::vec(0_usize..5, 1..3))
            .prop_map(|(not, states)| Match::States(not, states))
            .boxed()
    } else {
        any::<bool>().prop_map(Match::Fragment).boxed()
    };
    prop_oneof![4 => of_protocol, 2 => source, 2 => destination, 1 => input, 1 => any_input, 1 => mark, 1 => rest]
        .boxed()
}

/// Rules of the chain of that number.
fn rules(chain: usize, with_states: bool) -> BoxedStrategy<Vec<Rule>> {
    let verdict = select(vec![Verdict::Accept, Verdict::Drop, Verdict::Reject]);
    let mut targets = vec![
        (6, verdict.prop_map(Target::Verdict).boxed()),
        (2, Just(Target::Return).boxed()),
        (1, select(vec![Target::Log, Target::Count]).boxed()),
    ];
    if chain + 1 < CHAINS.len() {
        let behind = chain + 1..CHAINS.len();
        targets.push((4, behind.clone().prop_map(Target::Jump).boxed()));
        targets.push((1, behind.prop_map(Target::Goto).boxed()));
    }
    let target = prop::strategy::Union::new_weighted(targets);
    let matches = select(vec![1_u8, 6, 17, 0, 0]).prop_flat_map(move |protocol| {
        prop::collection::vec(single_match(protocol, with_states), 0..3)
    });
    let rule = (matches, target).prop_map(|(mut matches, target)| {
        // iptables takes each match once; that of a protocol stands for `-p`.
        let mut kinds = Vec::new();
        matches.retain(|one| {
            let kind = std::mem::discriminant(one);
            let is_new = !kinds.contains(&kind);
            kinds.push(kind);
            is_new
        });
        Rule { matches, target }
    });
    let longest = if chain == 0 { 7 } else { 4 };
    prop::collection::vec(rule, 0..longest).boxed()
}

pub(crate) fn tables() -> impl Strategy<Value = Tables> {
    any::<bool>().prop_flat_map(|with_states| {
        let chains = move || -> Vec<BoxedStrategy<Vec<Rule>>> {
            (0..CHAINS.len())
                .map(|chain| rules(chain, with_states))
                .collect()
        };
        let table = move |name: &'static str| {
            (any::<bool>(), chains()).prop_map(move |(drops, chains)| Table {
                name,
                drops,
                chains,
            })
        };
        (
            prop::option::weighted(0.4, table("mangle")),
            table("filter"),
        )
            .prop_map(|(mangle, filter)| Tables(mangle.into_iter().chain([filter]).collect()))
    })
}

pub(crate) fn packet() -> impl Strategy<Value = (Packet, World)> {
    let numbers = (0_u8..4, 0_u8..4, 0_u16..5, 0_u16..5, 0_u8..0x20, 0_u8..4);
    let protocol = select(vec![1_u8, 6, 6, 17, 17, 47]);
    let world = (
        select(vec!["eth0", "eth1", "veth0"]),
        0_u32..4,
        0..STATES.len(),
    );
    (numbers, protocol, prop::bool::weighted(0.2), world).prop_map(
        |((src, dst, sport, dport, flags, kind), protocol, is_later, (input, mark, state))| {
            let ports = Ports {
                src: sport,
                dst: dport,
            };
            let transport = match protocol {
                _ if is_later => Transport::None,
                1 => Transport::Icmp(Icmp {
                    kind,
                    code: 0,
                    quoted: None,
                }),
                6 => Transport::Tcp(Tcp {
                    ports,
                    seq: 0,
                    ack: 0,
                    flags,
                }),
                17 => Transport::Ports(ports),
                _ => Transport::None,
            };
            let packet = Packet {
                src: address(src),
                dst: address(dst),
                protocol: Protocol(protocol),
                fragment: is_later.then_some(Fragment {
                    offset: 8,
                    more: false,
                }),
                id: 0,
                transport,
            };
            let world = World {
                cookie: HOST,
                input,
                mark,
                state,
            };
            (packet, world)
        },
    )
}
