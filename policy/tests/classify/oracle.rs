// SPDX-License-Identifier: GPL-2.0

//! What a policy means, as simply as it can be said: over the statements themselves,
//! without an index, without compiled sets.

use crate::universe::{World, DYNAMIC, HOST};
use nftrace_core::packet::{Packet, Protocol, Transport};
use nftrace_core::policy::{layout::Answer, Action, By};
use nftrace_policy::ast::*;
use std::net::IpAddr;

/// What is to become of a packet, what decided, and the `shadow` rules that matched.
pub(crate) type Decision = (Action, By, Vec<u32>);

/// No rule may match again whose number is a multiple of three.
pub(crate) fn is_within_limit(number: u32) -> bool {
    number % 3 != 0
}

pub(crate) fn decide(
    policy: &Policy,
    world: &World,
    place: Place,
    packet: Option<&Packet>,
) -> Decision {
    let defaults: Vec<&DefaultFor> = policy
        .statements
        .iter()
        .filter_map(|one| match one {
            Statement::Default(default) => Some(&default.what),
            _ => None,
        })
        .collect();
    let new = defaults.iter().find_map(|what| match what {
        DefaultFor::New(new) if world.is_new => Some(*new),
        _ => None,
    });
    let mut shadowed = Vec::new();
    if new == Some(NewNamespaces::AcceptUntilKnown) {
        return (Action::Accept, By::New, shadowed);
    }
    let Some(packet) = packet else {
        let malformed = defaults.iter().find_map(|what| match what {
            DefaultFor::Malformed(verdict) => Some(*verdict),
            _ => None,
        });
        let action = basic(malformed.unwrap_or(Basic::Drop));
        return (action, By::Malformed, shadowed);
    };
    for (number, rule) in (0..).zip(policy.rules()) {
        let is_here = if rule.hooks.is_empty() {
            !place.is_bridge
        } else {
            rule.hooks.contains(&place)
        };
        if !is_here {
            continue;
        }
        let facts = facts(policy, rule, world, packet);
        if facts.contains(&Some(false)) {
            continue;
        }
        if facts.contains(&None) {
            if rule.shadow {
                continue;
            }
            let fragments = defaults.iter().find_map(|what| match what {
                DefaultFor::Fragments(verdict) => Some(*verdict),
                _ => None,
            });
            let action = basic(fragments.unwrap_or(Basic::Accept));
            return (action, By::Fragment(number), shadowed);
        }
        if rule.limit.is_some() && !is_within_limit(number) {
            continue;
        }
        if rule.shadow {
            shadowed.push(number);
            continue;
        }
        return (action(rule.verdict), By::Rule(number), shadowed);
    }
    let (action, by) = match new {
        Some(NewNamespaces::Accept) => (Action::Accept, By::New),
        Some(_) => (Action::Drop, By::New),
        None => (basic(default_at(&defaults, place)), By::Default),
    };
    (action, by, shadowed)
}

fn default_at(defaults: &[&DefaultFor], place: Place) -> Basic {
    let of_hook = defaults.iter().find_map(|what| match what {
        DefaultFor::Hooks(verdict, hooks) if hooks.contains(&place) => Some(*verdict),
        _ => None,
    });
    let of_all = defaults.iter().find_map(|what| match what {
        DefaultFor::Hooks(verdict, hooks) if hooks.is_empty() && !place.is_bridge => Some(*verdict),
        _ => None,
    });
    of_hook.or(of_all).unwrap_or(Basic::Accept)
}

fn basic(verdict: Basic) -> Action {
    match verdict {
        Basic::Accept => Action::Accept,
        Basic::Drop => Action::Drop,
    }
}

fn action(verdict: Verdict) -> Action {
    match verdict {
        Verdict::Accept => Action::Accept,
        Verdict::Drop => Action::Drop,
        Verdict::Reject(with) => Action::Reject(match with {
            RejectWith::Usual => Answer::Fitting,
            RejectWith::TcpReset => Answer::TcpReset,
            RejectWith::PortUnreachable => Answer::PortUnreachable,
            RejectWith::HostUnreachable => Answer::HostUnreachable,
            RejectWith::NetUnreachable => Answer::NetUnreachable,
            RejectWith::AdminProhibited => Answer::AdminProhibited,
        }),
        Verdict::Queue { number, otherwise } => Action::Queue {
            number,
            else_accept: otherwise.0 == Basic::Accept,
        },
    }
}

/// Whether each clause holds; none: only the first fragment could tell.
fn facts(policy: &Policy, rule: &Rule, world: &World, packet: &Packet) -> Vec<Option<bool>> {
    let mut facts = Vec::new();
    let mut say = |fact: Option<bool>| facts.push(fact);
    let is_v4 = packet.src.is_ipv4();
    let later = packet.fragment.is_some_and(|fragment| fragment.offset > 0);
    let protocol = packet.protocol;
    // What the first fragment alone has: unknown of a later one, absent from others.
    let first_has = |known: Option<bool>| known.or(if later { None } else { Some(false) });

    say(Some(match rule.family {
        None => true,
        Some(IpFamily::Ipv4) => is_v4,
        Some(IpFamily::Ipv6) => !is_v4,
    }));
    if let Some(protocols) = &rule.protocols {
        say(Some(one_of(protocols, |one| *one == protocol)));
        let only = |protocol| {
            let is_only = protocols.items.iter().all(|one| *one == protocol);
            is_only && !protocols.not && !protocols.items.is_empty()
        };
        say(Some(is_v4 || !only(Protocol::ICMP)));
        say(Some(!is_v4 || !only(Protocol::ICMPV6)));
    }
    if let Some(icmp) = rule.icmp {
        let is_v6 = icmp.family == IcmpFamily::Icmpv6;
        let wanted = if is_v6 {
            Protocol::ICMPV6
        } else {
            Protocol::ICMP
        };
        say(Some(protocol == wanted && is_v4 != is_v6));
        say(first_has(match packet.transport {
            Transport::Icmp(has) => {
                Some(has.kind == icmp.kind && icmp.code.is_none_or(|code| has.code == code))
            }
            _ => None,
        }));
    }
    let with_ports = [6, 17, 33, 132, 136].contains(&protocol.0);
    let ports = packet.ports();
    if let Some(wanted) = &rule.port {
        say(Some(with_ports));
        say(first_has(ports.map(|ports| {
            one_of(wanted, |one| {
                is_port(policy, one, ports.src) || is_port(policy, one, ports.dst)
            })
        })));
    }
    let ends = [
        (&rule.from, packet.src, ports.map(|ports| ports.src)),
        (&rule.to, packet.dst, ports.map(|ports| ports.dst)),
    ];
    for (end, address, port) in ends {
        let Some(end) = end else { continue };
        if let Some(addresses) = &end.addresses {
            say(Some(has_address(policy, world, addresses, address)));
        }
        if let Some(wanted) = &end.ports {
            say(Some(with_ports));
            say(first_has(port.map(|port| {
                one_of(wanted, |one| is_port(policy, one, port))
            })));
        }
    }
    if let Some(end) = &rule.original {
        let original = world.original;
        if let Some(addresses) = &end.addresses {
            let has = |(address, _)| has_address(policy, world, addresses, address);
            say(Some(original.is_some_and(has)));
        }
        if let Some(wanted) = &end.ports {
            say(Some(with_ports));
            let port = original.and_then(|(_, port)| port);
            say(Some(port.is_some_and(|port| {
                one_of(wanted, |one| is_port(policy, one, port))
            })));
        }
    }
    if let Some(flags) = rule.flags {
        say(Some(protocol == Protocol::TCP));
        say(first_has(match packet.transport {
            Transport::Tcp(tcp) => Some(tcp.flags & flags.mask == flags.value),
            _ => None,
        }));
    }
    if let Some(devices) = &rule.iif {
        say(Some(one_of(devices, |one| is_device(one, world.input))));
    }
    if let Some(devices) = &rule.oif {
        say(Some(one_of(devices, |one| is_device(one, world.output))));
    }
    if let Some(mark) = rule.mark {
        say(Some((world.mark & mark.mask == mark.value) != mark.not));
    }
    if !rule.states.is_empty() {
        say(Some(rule.states.contains(&world.state)));
    }
    let socket = world.socket;
    if let Some(paths) = &rule.cgroup {
        let is_in = |path: &str, of: &str| of == path || of.starts_with(&format!("{path}/"));
        let is = |of: &str| one_of(paths, |path| is_in(path, of));
        say(Some(socket.is_some_and(|socket| is(socket.cgroup))));
    }
    if let Some(classids) = &rule.classid {
        say(Some(socket.is_some_and(|socket| {
            one_of(classids, |one| *one == socket.classid)
        })));
    }
    if let Some(users) = &rule.uid {
        let is = |uid: u32| one_of(users, |one| (one.first()..=one.last()).contains(&uid));
        say(Some(socket.is_some_and(|socket| is(socket.uid))));
    }
    if rule.fragment {
        say(Some(later));
    }
    if let Some(namespaces) = &rule.namespaces {
        say(Some(one_of(namespaces, |one| match one {
            NamespaceSpec::All => true,
            NamespaceSpec::Host => world.cookie == HOST,
            NamespaceSpec::Cookie(cookie) => world.cookie == *cookie,
            NamespaceSpec::Container(name) => world.cookie == World::container(name).0,
            other => panic!("the universe has no {other}"),
        })));
    }
    facts
}

fn one_of<T>(operand: &Operand<T>, is: impl Fn(&T) -> bool) -> bool {
    operand.items.iter().any(is) != operand.not
}

fn is_device(device: &Device, name: &str) -> bool {
    name == device.name || device.any_end && name.starts_with(&device.name)
}

/// The elements of a set, with those of the sets in it.
fn elements(policy: &Policy, name: &str) -> Vec<Element> {
    let set = policy.statements.iter().find_map(|one| match one {
        Statement::Set(set) if set.name == name => Some(&set.source),
        _ => None,
    });
    let Some(SetSource::List(list)) = set else {
        panic!("the universe has no set {name}");
    };
    list.iter()
        .flat_map(|element| match element {
            Element::Set(inner) => elements(policy, inner),
            other => vec![other.clone()],
        })
        .collect()
}

fn is_port(policy: &Policy, wanted: &Port, port: u16) -> bool {
    let holds = |range: &PortRange| (range.first()..=range.last()).contains(&port);
    match wanted {
        Port::Range(range) => holds(range),
        Port::Set(name) => elements(policy, name)
            .iter()
            .any(|element| matches!(element, Element::Ports(range) if holds(range))),
    }
}

/// What is in a dynamic set that has changed.
fn changed(world: &World, name: &str, address: IpAddr) -> Option<bool> {
    let number = DYNAMIC.iter().position(|one| *one == name)?;
    let live = world.live[number]?;
    Some(match address {
        IpAddr::V4(address) => live.v4.iter().any(|range| range.holds(address.to_bits())),
        IpAddr::V6(address) => live.v6.iter().any(|range| {
            let whole = |[upper, lower]: [u64; 2]| (u128::from(upper) << 64) | u128::from(lower);
            (whole(range.low)..=whole(range.high)).contains(&address.to_bits())
        }),
    })
}

/// Whether an address is meant. An operand with addresses of one family is about that
/// family only, negated or not, unless there is a dynamic set among them.
fn has_address(
    policy: &Policy,
    world: &World,
    operand: &Operand<Address>,
    address: IpAddr,
) -> bool {
    let is_dynamic =
        |item: &&Address| matches!(item, Address::Set(name) if DYNAMIC.contains(&&**name));
    let has_dynamic = operand.items.iter().any(|item| is_dynamic(&item));
    let by_change = operand.items.iter().any(|item| match item {
        Address::Set(name) => changed(world, name, address) == Some(true),
        _ => false,
    });
    let ranges: Vec<AddressRange> = operand
        .items
        .iter()
        .flat_map(|item| match item {
            Address::Range(range) => vec![*range],
            Address::Set(name) if changed(world, name, address).is_some() => vec![],
            Address::Set(name) => elements(policy, name)
                .iter()
                .filter_map(|element| match element {
                    Element::Addresses(range) => Some(*range),
                    _ => None,
                })
                .collect(),
            Address::Container(name) => {
                let addresses = World::container(name).1;
                addresses.into_iter().map(AddressRange::from).collect()
            }
            other => panic!("the universe has no {other}"),
        })
        .collect();
    let of_family = |v4: bool| ranges.iter().any(|range| range.first().is_ipv4() == v4);
    if !has_dynamic && of_family(!address.is_ipv4()) && !of_family(address.is_ipv4()) {
        return false;
    }
    let holds = |range: &AddressRange| {
        range.first().is_ipv4() == address.is_ipv4()
            && (range.first()..=range.last()).contains(&address)
    };
    (by_change || ranges.iter().any(holds)) != operand.not
}
