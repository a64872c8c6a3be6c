// SPDX-License-Identifier: GPL-2.0

//! Why a condition is not met: what the packet has instead.

use super::described::{flag_names, icmp_text};
use super::subject::Asked;
use crate::ast::{Bound, Clause, Rule, Statement};
use crate::words;
use nftrace_core::packet::Transport;
use nftrace_core::policy::layout::{self, Condition};
use nftrace_core::policy::{Kind, Subject as _, Tables};
use std::net::SocketAddr;

/// The condition of a rule that has this number.
pub(super) fn condition<'a>(
    tables: &Tables<'a>,
    rule: &layout::Rule,
    number: u16,
) -> Option<&'a Condition> {
    let first = rule.first_condition as usize;
    tables.conditions.get(first + usize::from(number))
}

/// The text of a rule, taken apart.
pub(super) struct Written {
    text: String,
    rule: Option<Rule>,
}

impl Written {
    pub(super) fn of(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text).into_owned();
        let statements = crate::parse(&text).map(|policy| policy.statements);
        let rule = match statements.ok().and_then(|mut all| all.pop()) {
            Some(Statement::Rule(rule)) => Some(*rule),
            _ => None,
        };
        Self { text, rule }
    }

    pub(super) fn name(&self) -> Option<String> {
        self.rule.as_ref().and_then(|rule| rule.name.clone())
    }

    /// The clause that a condition comes from, as it is written.
    pub(super) fn clause(&self, kind: Kind) -> Option<&str> {
        let at = &self.rule.as_ref()?.at;
        let clauses = clauses(kind);
        let span = clauses.iter().find_map(|clause| at.written(*clause))?;
        self.text.get(span.range()).map(str::trim)
    }
}

/// The clauses that a condition may come from.
fn clauses(kind: Kind) -> &'static [Clause] {
    match kind {
        Kind::Source | Kind::DynamicSource => &[Clause::Addresses(Bound::From)],
        Kind::Destination | Kind::DynamicDestination => &[Clause::Addresses(Bound::To)],
        Kind::OriginalDestination | Kind::DynamicOriginalDestination => {
            &[Clause::Addresses(Bound::Original)]
        }
        Kind::SourcePort => &[Clause::Ports(Bound::From)],
        Kind::DestinationPort => &[Clause::Ports(Bound::To)],
        Kind::OriginalDestinationPort => &[Clause::Ports(Bound::Original)],
        Kind::EitherPort => &[Clause::Port],
        Kind::Protocol => &[
            Clause::Protocols,
            Clause::Icmp,
            Clause::Flags,
            Clause::Port,
            Clause::Ports(Bound::From),
            Clause::Ports(Bound::To),
            Clause::Ports(Bound::Original),
        ],
        Kind::Icmp => &[Clause::Icmp],
        Kind::TcpFlags => &[Clause::Flags],
        Kind::State => &[Clause::States],
        Kind::Mark => &[Clause::Mark],
        Kind::Cgroup => &[Clause::Cgroup],
        Kind::Classid => &[Clause::Classid],
        Kind::Uid => &[Clause::Uid],
        Kind::Input => &[Clause::Iif],
        Kind::Output => &[Clause::Oif],
        Kind::Namespace => &[Clause::Namespaces],
        Kind::Fragment => &[Clause::Fragment],
    }
}

/// Whether nothing meets the condition, because what its rule names is not there.
pub(super) fn is_never(tables: &Tables<'_>, condition: &Condition) -> bool {
    let spans = tables.spans[layout::Pool::Words as usize];
    let set = spans.get(condition.first as usize);
    condition.kind == Kind::Namespace as u8
        && condition.negated == 0
        && set.is_some_and(|set| set.count == 0)
}

/// What the packet has of what a condition asks for.
pub(super) fn fact(kind: Kind, asked: &Asked<'_>) -> String {
    let around = asked.around;
    let Some(packet) = &asked.packet.packet else {
        return "the packet cannot be read".to_string();
    };
    let protocol = words::Proto(packet.protocol);
    let no_ports = || format!("{protocol} has no ports");
    let device = |device: &Option<String>, way: &str, word: &str| match device {
        Some(device) => format!("it {way} {device}"),
        None => format!("no device is given: `{word} DEV`"),
    };
    let socket = |known: Option<String>, option: &str| match known {
        Some(known) => known,
        None if asked.socket_is_known() => format!("nothing is given: {option}"),
        None => format!("no local socket is given: {option}"),
    };
    match kind {
        Kind::Source | Kind::DynamicSource => format!("the source is {}", packet.src),
        Kind::Destination | Kind::DynamicDestination => {
            format!("the destination is {}", packet.dst)
        }
        Kind::OriginalDestination
        | Kind::OriginalDestinationPort
        | Kind::DynamicOriginalDestination => match asked.original_destination() {
            Some((address, Some(port))) => {
                let shown = SocketAddr::new(address, port);
                format!("the connection first went to {shown}")
            }
            Some((address, None)) => format!("the connection first went to {address}"),
            None => "conntrack knows no connection".to_string(),
        },
        Kind::SourcePort => packet.ports().map_or_else(no_ports, |ports| {
            format!("the source port is {}", ports.src)
        }),
        Kind::DestinationPort => packet.ports().map_or_else(no_ports, |ports| {
            format!("the destination port is {}", ports.dst)
        }),
        Kind::EitherPort => packet.ports().map_or_else(no_ports, |ports| {
            format!("the ports are {} and {}", ports.src, ports.dst)
        }),
        Kind::Protocol => format!("it is {protocol}"),
        Kind::Icmp => match &packet.transport {
            Transport::Icmp(icmp) => {
                format!("the type is {}", icmp_text(packet.protocol, icmp))
            }
            _ => format!("{protocol} has no ICMP type"),
        },
        Kind::TcpFlags => match &packet.transport {
            Transport::Tcp(tcp) => format!("the flags are {}", flag_names(tcp.flags)),
            _ => format!("{protocol} has no flags"),
        },
        Kind::State => format!("it is {}", around.state.name()),
        Kind::Mark => format!("the mark is {:#x}", around.mark),
        Kind::Cgroup => {
            let known = around.cgroup.as_ref();
            socket(
                known.map(|(path, _)| format!("the socket's is {path}")),
                "cgroup",
            )
        }
        Kind::Classid => {
            let known = around.classid;
            socket(
                known.map(|known| format!("the socket's is {known:#x}")),
                "classid",
            )
        }
        Kind::Uid => socket(
            around.uid.map(|uid| format!("the socket's is {uid}")),
            "uid",
        ),
        Kind::Input => device(&asked.packet.input, "came through", "in"),
        Kind::Output => device(&asked.packet.output, "leaves through", "out"),
        Kind::Namespace => format!("it is in {}", around.namespace),
        Kind::Fragment => "it is no later fragment".to_string(),
    }
}
