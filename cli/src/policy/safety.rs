// SPDX-License-Identifier: GPL-2.0

//! What a policy would cut that lives now: the caller's own SSH connection, and the
//! connections that conntrack knows.

use std::collections::HashSet;
use std::fs::{self, File};
use std::net::IpAddr;

use nftrace_core::hook::Hook;
use nftrace_core::packet::{Packet, Ports, Protocol, Tcp, Transport};
use nftrace_core::policy::{Action, By, Place, Tables};
use nftrace_policy::ast::State;
use nftrace_policy::explain::{decide, Circumstances, Described};
use nftrace_policy::Program;

use super::connections::{connections, device_to, Connection, Tuple};
use super::resolver::addresses_here;
use crate::names::enter::inside;
use crate::names::{Names, Namespace};

fn packet(protocol: Protocol, tuple: &Tuple) -> Packet {
    const ACK: u8 = 0x10;
    let ports = tuple.ports.map(|(src, dst)| Ports { src, dst });
    Packet {
        src: tuple.src,
        dst: tuple.dst,
        protocol,
        fragment: None,
        id: 0,
        transport: match ports {
            Some(ports) if protocol == Protocol::TCP => Transport::Tcp(Tcp {
                ports,
                seq: 0,
                ack: 0,
                flags: ACK,
            }),
            Some(ports) => Transport::Ports(ports),
            None => Transport::None,
        },
    }
}

/// Where and as what packets of a connection are seen in a namespace with these
/// addresses, as its NAT shows.
fn sightings(connection: &Connection, is_local: impl Fn(IpAddr) -> bool) -> Vec<(Hook, Tuple)> {
    let Connection {
        original, reply, ..
    } = *connection;
    let reversed = |ports: Option<(u16, u16)>| ports.map(|(src, dst)| (dst, src));
    // Behind DNAT; and back, with SNAT undone.
    let there = Tuple {
        src: original.src,
        dst: reply.src,
        ports: original.ports.zip(reply.ports).map(|(a, b)| (a.0, b.0)),
    };
    let back = Tuple {
        src: there.dst,
        dst: there.src,
        ports: reversed(there.ports),
    };
    let mut all = Vec::new();
    for (first, then) in [(original, there), (reply, back)] {
        let (from_here, to_here) = (is_local(first.src), is_local(then.dst));
        if from_here {
            all.push((Hook::LocalOut, first));
        } else {
            all.push((Hook::PreRouting, first));
        }
        if to_here && !from_here {
            all.push((Hook::LocalIn, then));
        } else {
            if !from_here {
                all.push((Hook::Forward, then));
            }
            all.push((Hook::PostRouting, then));
        }
    }
    all
}

/// The first hook at which a policy does not let a packet of the connection pass,
/// and by which rule, from 1. Limits are taken as not reached.
fn cut_at(
    tables: &Tables<'_>,
    connection: &Connection,
    cookie: u64,
    device: Option<&str>,
    is_local: impl Fn(IpAddr) -> bool,
) -> Option<(Hook, Option<u32>)> {
    let Connection {
        protocol, original, ..
    } = *connection;
    let around = Circumstances {
        state: State::Established,
        original: Some((original.dst, original.ports.map(|(_, dst)| dst))),
        ..Circumstances::new(cookie, "")
    };
    sightings(connection, is_local)
        .into_iter()
        .find_map(|(hook, tuple)| {
            let place = Place {
                hook,
                is_bridge: false,
            };
            let seen = Described {
                packet: Some(packet(protocol, &tuple)),
                input: device.map(str::to_owned),
                output: device.map(str::to_owned),
                has_flags: true,
            };
            let decision = decide(tables, place, &seen, &around);
            let rule = match decision.by {
                By::Rule(number) => Some(number + 1),
                _ => None,
            };
            // What a queue does with it nobody knows.
            matches!(decision.action, Action::Drop | Action::Reject(_)).then_some((hook, rule))
        })
}

/// A connection that a policy would cut.
#[derive(Clone, Debug)]
pub(crate) struct Cut {
    /// The namespace, by name.
    pub(crate) namespace: String,
    /// The connection.
    pub(crate) connection: Connection,
    /// Where.
    pub(crate) hook: Hook,
    /// By which rule, from 1; none: by a default.
    pub(crate) rule: Option<u32>,
}

impl Cut {
    /// Where it is cut, and by what, where `program` is the policy that would do it.
    pub(crate) fn told(&self, program: &Program) -> String {
        let rules = &program.rules;
        let by = match self.rule.and_then(|rule| rules.get(rule as usize - 1)) {
            Some(rule) => format!("{}: {}", rule.position, rule.text),
            None => "the default".to_owned(),
        };
        let (namespace, hook) = (&self.namespace, self.hook.name());
        format!("{} in {namespace}, at {hook} by {by}", self.connection)
    }
}

/// What a policy would cut of what lives.
#[derive(Clone, Debug, Default)]
pub(crate) struct Damage {
    /// The caller's own SSH connection.
    pub(crate) own: Option<Cut>,
    /// Connections that the policy in force lets pass.
    pub(crate) cuts: Vec<Cut>,
}

/// `SSH_CONNECTION` of this process, or of the nearest one above it that has it: sudo
/// takes it away. The process, and the connection.
fn own_ssh() -> Option<(u32, Connection)> {
    let mut pid = std::process::id();
    for _ in 0..64 {
        if let Some(connection) = ssh_of(pid) {
            return Some((pid, connection));
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name of the program may have anything in it.
        let (_, rest) = stat.rsplit_once(") ")?;
        pid = rest.split(' ').nth(1)?.parse().ok()?;
        if pid == 0 {
            return None;
        }
    }
    None
}

fn ssh_of(pid: u32) -> Option<Connection> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let value = environment
        .split(|byte| *byte == 0)
        .find_map(|entry| entry.strip_prefix(b"SSH_CONNECTION="))?;
    parse_ssh(std::str::from_utf8(value).ok()?)
}

/// `SSH_CONNECTION`: the client's address and port, and the server's.
fn parse_ssh(text: &str) -> Option<Connection> {
    let mut words = text.split_ascii_whitespace();
    // Link-local addresses have their device behind them.
    let address = |word: &str| word.split('%').next()?.parse::<IpAddr>().ok();
    let (client, client_port) = (address(words.next()?)?, words.next()?.parse().ok()?);
    let (server, server_port) = (address(words.next()?)?, words.next()?.parse().ok()?);
    Some(Connection {
        protocol: Protocol::TCP,
        original: Tuple {
            src: client,
            dst: server,
            ports: Some((client_port, server_port)),
        },
        reply: Tuple {
            src: server,
            dst: client,
            ports: Some((server_port, client_port)),
        },
    })
}

/// Whether the connection over which this runs has one of these addresses at an end.
pub(crate) fn concerns_own(has: impl Fn(IpAddr) -> bool) -> bool {
    own_ssh().is_some_and(|(_, own)| has(own.original.src) || has(own.original.dst))
}

/// Whether the policy would cut the connection over which it is loaded.
fn own_cut(tables: &Tables<'_>, names: &Names) -> Option<Cut> {
    let (pid, connection) = own_ssh()?;
    let file = File::open(format!("/proc/{pid}/ns/net")).ok()?;
    let inode = u32::try_from(nftrace_device::netns::inode(&file).ok()?).ok()?;
    let namespace = names.lookup(None, Some(inode))?;
    let client = connection.original.src;
    let device = inside(&file, || device_to(client)).ok()?.ok()?;
    let server = connection.original.dst;
    let (hook, rule) = cut_at(
        tables,
        &connection,
        namespace.cookie?,
        Some(&device),
        |address| address == server,
    )?;
    Some(Cut {
        namespace: shown(names, namespace),
        connection,
        hook,
        rule,
    })
}

/// The same, for those whom nobody reaches over SSH: they need no look around.
pub(crate) fn own_cut_now(tables: &Tables<'_>) -> Option<Cut> {
    own_ssh().and_then(|_| own_cut(tables, &Names::snapshot()))
}

fn shown(names: &Names, namespace: &Namespace) -> String {
    names
        .display(namespace)
        .unwrap_or_else(|| namespace.unique())
}

/// What `new` would cut of what lives and what `old` lets pass. Devices and marks of
/// connections are not known: rules that ask for them are taken as not met.
pub(crate) fn damage(new: &Tables<'_>, old: Option<&Tables<'_>>, names: &Names) -> Damage {
    let mut damage = Damage {
        own: own_cut(new, names),
        cuts: Vec::new(),
    };
    for namespace in names.namespaces.iter().filter(|one| !one.gone) {
        let (Some(cookie), Some(path)) = (namespace.cookie, namespace.path()) else {
            continue;
        };
        let Ok(file) = File::open(path) else {
            continue;
        };
        let found = inside(&file, || (connections(), addresses_here()));
        let Ok((Ok(connections), Ok(addresses))) = found else {
            continue;
        };
        let local: HashSet<IpAddr> = addresses.into_iter().collect();
        let is_local = |address: IpAddr| local.contains(&address) || address.is_loopback();
        for connection in connections {
            let cut = |tables| cut_at(tables, &connection, cookie, None, is_local);
            if old.is_some_and(|old| cut(old).is_some()) {
                continue;
            }
            if let Some((hook, rule)) = cut(new) {
                damage.cuts.push(Cut {
                    namespace: shown(names, namespace),
                    connection,
                    hook,
                    rule,
                });
            }
        }
    }
    damage
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published() -> Connection {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        Connection {
            protocol: Protocol::TCP,
            original: Tuple {
                src: address("10.0.0.3"),
                dst: address("10.0.0.2"),
                ports: Some((4000, 8081)),
            },
            reply: Tuple {
                src: address("172.17.0.2"),
                dst: address("10.0.0.3"),
                ports: Some((8080, 4000)),
            },
        }
    }

    #[test]
    fn a_published_port_is_seen_with_its_port_first_and_with_the_containers_behind() {
        let local: IpAddr = "10.0.0.2".parse().unwrap();
        let seen: Vec<String> = sightings(&published(), |address| address == local)
            .into_iter()
            .map(|(hook, tuple)| format!("{} {tuple}", hook.name()))
            .collect();
        assert_eq!(
            seen,
            [
                "PRE_ROUTING 10.0.0.3:4000 > 10.0.0.2:8081",
                "FORWARD 10.0.0.3:4000 > 172.17.0.2:8080",
                "POST_ROUTING 10.0.0.3:4000 > 172.17.0.2:8080",
                "PRE_ROUTING 172.17.0.2:8080 > 10.0.0.3:4000",
                "FORWARD 172.17.0.2:8080 > 10.0.0.3:4000",
                "POST_ROUTING 172.17.0.2:8080 > 10.0.0.3:4000",
            ]
        );
    }

    #[test]
    fn an_ssh_connection_is_read_whatever_its_family() {
        let found = parse_ssh("fe80::1%eth0 50000 fe80::2%eth0 22").unwrap();
        assert_eq!(found.to_string(), "tcp [fe80::1]:50000 > [fe80::2]:22");
        assert!(parse_ssh("10.0.0.1 50000").is_none());
    }

    #[test]
    fn a_connection_to_this_machine_is_seen_coming_in_and_going_out() {
        let ssh = parse_ssh("10.0.0.3 50000 10.0.0.2 22").unwrap();
        let server = ssh.original.dst;
        let hooks: Vec<&str> = sightings(&ssh, |address| address == server)
            .into_iter()
            .map(|(hook, _)| hook.name())
            .collect();
        assert_eq!(
            hooks,
            ["PRE_ROUTING", "LOCAL_IN", "LOCAL_OUT", "POST_ROUTING"]
        );
    }
}
