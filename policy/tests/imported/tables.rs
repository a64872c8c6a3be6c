// SPDX-License-Identifier: GPL-2.0

//! Rulesets of iptables in a universe so small that rules meet packets: as text, and as
//! the kernel walks them.

use nftrace_core::packet::{Fragment, Icmp, Packet, Ports, Protocol, Tcp, Transport};
use nftrace_core::policy::layout::Cgroup;
use nftrace_core::policy::{self, Subject};
use nftrace_core::record::Socket;
use proptest::prelude::*;
use proptest::sample::select;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

pub(crate) const HOST: u64 = 1;

/// What surrounds a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct World {
    pub(crate) cookie: u64,
    input: &'static str,
    mark: u32,
    state: usize,
}

const STATES: [(&str, u32); 5] = [
    ("ESTABLISHED", policy::STATE_ESTABLISHED),
    ("RELATED", policy::STATE_RELATED),
    ("NEW", policy::STATE_NEW),
    ("INVALID", policy::STATE_INVALID),
    ("UNTRACKED", policy::STATE_UNTRACKED),
];

impl Subject for World {
    fn cookie(&self) -> u64 {
        self.cookie
    }

    fn is_in_new_namespace(&self) -> bool {
        false
    }

    fn input(&self) -> [u8; 16] {
        let mut padded = [0; 16];
        padded[..self.input.len()].copy_from_slice(self.input.as_bytes());
        padded
    }

    fn output(&self) -> [u8; 16] {
        [0; 16]
    }

    fn mark(&self) -> u32 {
        self.mark
    }

    fn state(&self) -> u32 {
        STATES[self.state].1
    }

    fn original_destination(&self) -> Option<(IpAddr, Option<u16>)> {
        None
    }

    fn socket(&self) -> Option<Socket> {
        None
    }

    fn is_of(&self, _: &Cgroup) -> bool {
        false
    }
}

/// One match of a rule.
#[derive(Clone, Debug)]
enum Match {
    Source(bool, u8, u8),
    Destination(bool, u8, u8),
    /// TCP or UDP, with ports from one to another.
    Port {
        protocol: u8,
        is_source: bool,
        not: bool,
        first: u16,
        last: u16,
    },
    EitherPort(u8, bool, Vec<u16>),
    Icmp(u8),
    Protocol(bool, u8),
    Input(bool, &'static str),
    States(bool, Vec<usize>),
    Mark(bool, u32, u32),
    Flags(bool, u8, u8),
    Fragment(bool),
}

/// What a rule does; chains by number.
#[derive(Clone, Copy, Debug)]
enum Target {
    Verdict(Verdict),
    Jump(usize),
    Goto(usize),
    Return,
    Log,
    Count,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Verdict {
    Accept,
    Drop,
    Reject,
}

#[derive(Clone, Debug)]
struct Rule {
    matches: Vec<Match>,
    target: Target,
}

/// A table at INPUT: the first chain is the hook's, others lead to those behind them.
#[derive(Clone, Debug)]
struct Table {
    name: &'static str,
    drops: bool,
    chains: Vec<Vec<Rule>>,
}

/// All tables in the order of the hook.
#[derive(Clone, Debug)]
pub(crate) struct Tables(Vec<Table>);

const CHAINS: [&str; 4] = ["INPUT", "first", "second", "third"];
const NAMES: [&str; 6] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG"];

fn address(host: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, host).into()
}

fn flags(bits: u8) -> String {
    let set = (0..6).filter(|bit| bits & 1 << bit != 0);
    let names: Vec<&str> = set.map(|bit| NAMES[bit]).collect();
    if names.is_empty() {
        "NONE".to_string()
    } else {
        names.join(",")
    }
}

fn joined<T: ToString>(all: &[T]) -> String {
    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
    all.join(",")
}

fn protocol_name(number: u8) -> &'static str {
    match number {
        1 => "icmp",
        6 => "tcp",
        _ => "udp",
    }
}

impl Match {
    /// The protocol that it wants to be said, if any.
    fn protocol(&self) -> Option<u8> {
        match self {
            Self::Port { protocol, .. } | Self::EitherPort(protocol, ..) => Some(*protocol),
            Self::Icmp(_) => Some(1),
            Self::Flags(..) => Some(6),
            _ => None,
        }
    }

    fn is_met(&self, packet: &Packet, world: &World) -> bool {
        let is_in = |of: IpAddr, low: u8, length: u8| {
            let IpAddr::V4(of) = of else { return false };
            let host = (1 << (32 - length)) - 1;
            u32::from(of) & !host == u32::from(Ipv4Addr::new(10, 0, 0, low)) & !host
        };
        let of = |number: u8| packet.protocol.0 == number;
        match self {
            Self::Source(not, low, length) => is_in(packet.src, *low, *length) != *not,
            Self::Destination(not, low, length) => is_in(packet.dst, *low, *length) != *not,
            Self::Port {
                protocol,
                is_source,
                not,
                first,
                last,
            } => {
                let port = packet
                    .ports()
                    .map(|ports| if *is_source { ports.src } else { ports.dst });
                of(*protocol) && port.is_some_and(|port| (*first..=*last).contains(&port) != *not)
            }
            Self::EitherPort(protocol, not, list) => {
                let is = |ports: Ports| list.contains(&ports.src) || list.contains(&ports.dst);
                of(*protocol) && packet.ports().is_some_and(|ports| is(ports) != *not)
            }
            Self::Icmp(kind) => {
                of(1) && matches!(packet.transport, Transport::Icmp(icmp) if icmp.kind == *kind)
            }
            Self::Protocol(not, number) => of(*number) != *not,
            Self::Input(not, name) => {
                let is = match name.strip_suffix('+') {
                    Some(prefix) => world.input.starts_with(prefix),
                    None => world.input == *name,
                };
                is != *not
            }
            Self::States(not, states) => states.contains(&world.state) != *not,
            Self::Mark(not, value, mask) => (world.mark & mask == *value) != *not,
            Self::Flags(not, value, mask) => {
                of(6)
                    && matches!(packet.transport, Transport::Tcp(tcp)
                        if (tcp.flags & mask == *value) != *not)
            }
            Self::Fragment(not) => packet.fragment.is_some_and(|one| one.offset > 0) != *not,
        }
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bang = |not: &bool| if *not { "! " } else { "" };
        match self {
            Self::Source(not, low, length) => write!(f, "{}-s {}/{length}", bang(not), address(*low)),
            Self::Destination(not, low, length) => {
                write!(f, "{}-d {}/{length}", bang(not), address(*low))
            }
            Self::Port {
                protocol,
                is_source,
                not,
                first,
                last,
            } => {
                let option = if *is_source { "--sport" } else { "--dport" };
                let name = protocol_name(*protocol);
                write!(f, "-m {name} {}{option} {first}:{last}", bang(not))
            }
            Self::EitherPort(_, not, list) => {
                write!(f, "-m multiport {}--ports {}", bang(not), joined(list))
            }
            Self::Icmp(kind) => write!(f, "-m icmp --icmp-type {kind}"),
            Self::Protocol(not, number) => write!(f, "{}-p {}", bang(not), protocol_name(*number)),
            Self::Input(not, name) => write!(f, "{}-i {name}", bang(not)),
            Self::States(not, states) => {
                let names: Vec<&str> = states.iter().map(|state| STATES[*state].0).collect();
                write!(f, "-m conntrack {}--ctstate {}", bang(not), names.join(","))
            }
            Self::Mark(not, value, mask) => {
                write!(f, "-m mark {}--mark {value:#x}/{mask:#x}", bang(not))
            }
            Self::Flags(not, value, mask) => {
                let (value, mask) = (flags(*value), flags(*mask));
                write!(f, "-m tcp {}--tcp-flags {mask} {value}", bang(not))
            }
            Self::Fragment(not) => write!(f, "{}-f", bang(not)),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = self.matches.iter().find_map(Match::protocol);
        if let Some(protocol) = protocol {
            write!(f, "-p {} ", protocol_name(protocol))?;
        }
        for one in &self.matches {
            write!(f, "{one} ")?;
        }
        match self.target {
            Target::Verdict(Verdict::Accept) => f.write_str("-j ACCEPT"),
            Target::Verdict(Verdict::Drop) => f.write_str("-j DROP"),
            Target::Verdict(Verdict::Reject) => {
                f.write_str("-j REJECT --reject-with icmp-port-unreachable")
            }
            Target::Jump(chain) => write!(f, "-j {}", CHAINS[chain]),
            Target::Goto(chain) => write!(f, "-g {}", CHAINS[chain]),
            Target::Return => f.write_str("-j RETURN"),
            Target::Log => f.write_str("-j LOG --log-prefix \"seen: \""),
            Target::Count => Ok(()),
        }
    }
}

impl fmt::Display for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for table in &self.0 {
            let policy = if table.drops { "DROP" } else { "ACCEPT" };
            writeln!(f, "# Generated by iptables-save\n*{}\n:INPUT {policy} [0:0]", table.name)?;
            for chain in &CHAINS[1..] {
                writeln!(f, ":{chain} - [0:0]")?;
            }
            for (chain, rules) in CHAINS.iter().zip(&table.chains) {
                for rule in rules {
                    writeln!(f, "-A {chain} {rule}")?;
                }
            }
            writeln!(f, "COMMIT")?;
        }
        Ok(())
    }
}

impl Table {
    /// As the kernel walks it: with a stack of places to return to.
    fn decide(&self, packet: &Packet, world: &World) -> Verdict {
        let (mut chain, mut at) = (0, 0);
        let mut stack = Vec::new();
        loop {
            let Some(rule) = self.chains[chain].get(at) else {
                match stack.pop() {
                    Some(back) => (chain, at) = back,
                    None => break,
                }
                continue;
            };
            at += 1;
            if !rule.matches.iter().all(|one| one.is_met(packet, world)) {
                continue;
            }
            match rule.target {
                Target::Verdict(verdict) => return verdict,
                Target::Jump(to) => {
                    stack.push((chain, at));
                    (chain, at) = (to, 0);
                }
                Target::Goto(to) => (chain, at) = (to, 0),
                Target::Return => at = usize::MAX,
                Target::Log | Target::Count => {}
            }
        }
        if self.drops {
            Verdict::Drop
        } else {
            Verdict::Accept
        }
    }
}

impl Tables {
    pub(crate) fn has_conntrack(&self) -> bool {
        let rules = self.0.iter().flat_map(|table| table.chains.iter().flatten());
        rules
            .flat_map(|rule| &rule.matches)
            .any(|one| matches!(one, Match::States(..)))
    }

    /// What all tables come to.
    pub(crate) fn decide(&self, packet: &Packet, world: &World) -> Verdict {
        let mut verdicts = self.0.iter().map(|table| table.decide(packet, world));
        verdicts
            .find(|verdict| *verdict != Verdict::Accept)
            .unwrap_or(Verdict::Accept)
    }
}

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
            (0..CHAINS.len()).map(|chain| rules(chain, with_states)).collect()
        };
        let table = move |name: &'static str| {
            (any::<bool>(), chains()).prop_map(move |(drops, chains)| Table {
                name,
                drops,
                chains,
            })
        };
        (prop::option::weighted(0.4, table("mangle")), table("filter"))
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
