// SPDX-License-Identifier: GPL-2.0

//! Rulesets of iptables in a universe so small that rules meet packets: as text, and as
//! the kernel walks them.

use nftrace_core::packet::{Packet, Ports, Transport};
use nftrace_core::policy::layout::Cgroup;
use nftrace_core::policy::{self, Subject};
use nftrace_core::record::Socket;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

pub(crate) const HOST: u64 = 1;

/// What surrounds a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct World {
    pub(crate) cookie: u64,
    pub(crate) input: &'static str,
    pub(crate) mark: u32,
    pub(crate) state: usize,
}

pub(crate) const STATES: [(&str, u32); 5] = [
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
pub(crate) enum Match {
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
pub(crate) enum Target {
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
pub(crate) struct Rule {
    pub(crate) matches: Vec<Match>,
    pub(crate) target: Target,
}

/// A table at INPUT: the first chain is the hook's, others lead to those behind them.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) drops: bool,
    pub(crate) chains: Vec<Vec<Rule>>,
}

/// All tables in the order of the hook.
#[derive(Clone, Debug)]
pub(crate) struct Tables(pub(crate) Vec<Table>);

pub(crate) const CHAINS: [&str; 4] = ["INPUT", "first", "second", "third"];
const NAMES: [&str; 6] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG"];

pub(crate) fn address(host: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, host).into()
}

fn flags(bits: u8) -> String {
    let set = (0..6).filter(|bit| bits & (1 << bit) != 0);
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
            Self::Source(not, low, length) => {
                write!(f, "{}-s {}/{length}", bang(not), address(*low))
            }
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
            writeln!(
                f,
                "# Generated by iptables-save\n*{}\n:INPUT {policy} [0:0]",
                table.name
            )?;
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
        let rules = self
            .0
            .iter()
            .flat_map(|table| table.chains.iter().flatten());
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
