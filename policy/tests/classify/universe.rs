// SPDX-License-Identifier: GPL-2.0

//! A universe so small that random rules meet random packets.

use nftrace_core::packet::{Fragment, Icmp as IcmpHeader, Packet, Ports, Protocol, Tcp, Transport};
use nftrace_core::policy::layout::Cgroup;
use nftrace_core::policy::{self, Subject};
use nftrace_core::record::Socket;
use nftrace_policy::ast::*;
use nftrace_policy::Resolver;
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(crate) const HOST: u64 = 1;

/// The sets of all policies.
pub(crate) const SETS: &str = "\
set four = { 10.0.0.1, 10.0.0.3-10.0.0.4 }
set six = { fd00::2/127 }
set both = { @four, fd00::1 }
set none = {}
set some = { 1, 3-4 }
set more = { @some, 2 }
";

/// What surrounds a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct World {
    pub(crate) cookie: u64,
    pub(crate) is_new: bool,
    pub(crate) input: &'static str,
    pub(crate) output: &'static str,
    pub(crate) mark: u32,
    pub(crate) state: State,
    pub(crate) original: Option<(IpAddr, Option<u16>)>,
    pub(crate) socket: Option<Owner>,
}

/// Whose socket it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) classid: u32,
    pub(crate) cgroup: &'static str,
}

/// Path, id, level.
const CGROUPS: [(&str, u64, u32); 4] =
    [("/a", 9, 1), ("/a/b", 7, 2), ("/a/b/c", 8, 3), ("/d", 3, 1)];

impl World {
    /// The cookie and the addresses of a container.
    pub(crate) fn container(name: &str) -> (u64, Vec<IpAddr>) {
        match name {
            "web" => (2, vec![v4(2), v4(3), v6(2)]),
            "db" => (3, vec![v4(1)]),
            "bare" => (4, vec![]),
            _ => panic!("the universe has no {name}"),
        }
    }
}

pub(crate) struct Names;

impl Resolver for Names {
    fn addresses(&self, of: &NamespaceSpec) -> Result<Vec<IpAddr>, String> {
        match of {
            NamespaceSpec::Container(name) => Ok(World::container(name).1),
            _ => Err(format!("there is no {of}")),
        }
    }

    fn namespace(&self, spec: &NamespaceSpec) -> Result<u64, String> {
        match spec {
            NamespaceSpec::Container(name) => Ok(World::container(name).0),
            _ => Err(format!("there is no {spec}")),
        }
    }

    fn cgroup(&self, path: &str) -> Result<(u64, u32), String> {
        let found = CGROUPS.iter().find(|(one, ..)| *one == path);
        let found = found.map(|(_, id, level)| (*id, *level));
        found.ok_or_else(|| format!("there is no cgroup {path}"))
    }

    fn host(&self) -> Result<u64, String> {
        Ok(HOST)
    }
}

impl Subject for World {
    fn cookie(&self) -> u64 {
        self.cookie
    }

    fn is_in_new_namespace(&self) -> bool {
        self.is_new
    }

    fn input(&self) -> [u8; 16] {
        padded(self.input)
    }

    fn output(&self) -> [u8; 16] {
        padded(self.output)
    }

    fn mark(&self) -> u32 {
        self.mark
    }

    fn state(&self) -> u32 {
        match self.state {
            State::Established => policy::STATE_ESTABLISHED,
            State::Related => policy::STATE_RELATED,
            State::New => policy::STATE_NEW,
            State::Invalid => policy::STATE_INVALID,
            State::Untracked => policy::STATE_UNTRACKED,
        }
    }

    fn original_destination(&self) -> Option<(IpAddr, Option<u16>)> {
        self.original
    }

    fn socket(&self) -> Option<Socket> {
        self.socket.map(|owner| Socket {
            uid: owner.uid,
            classid: owner.classid,
            cgroup: 0,
        })
    }

    fn is_of(&self, cgroup: &Cgroup) -> bool {
        let path = self.socket.map_or("", |owner| owner.cgroup);
        let (above, ..) = CGROUPS
            .iter()
            .find(|(_, id, level)| (*id, *level) == (cgroup.id, cgroup.level))
            .expect("the resolver said so");
        path == *above || path.starts_with(&format!("{above}/"))
    }
}

fn padded(name: &str) -> [u8; 16] {
    let mut padded = [0; 16];
    padded[..name.len()].copy_from_slice(name.as_bytes());
    padded
}

fn v4(host: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, host).into()
}

fn v6(host: u8) -> IpAddr {
    Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, host.into()).into()
}

fn addresses() -> impl Strategy<Value = (IpAddr, IpAddr)> {
    (any::<bool>(), 0_u8..5, 0_u8..5).prop_map(|(is_v4, src, dst)| match is_v4 {
        true => (v4(src), v4(dst)),
        false => (v6(src), v6(dst)),
    })
}

fn protocol() -> impl Strategy<Value = Protocol> {
    select([6, 6, 17, 132, 1, 58, 47].map(Protocol).to_vec())
}

fn small<T: From<u8> + std::fmt::Debug>() -> impl Strategy<Value = T> {
    (0_u8..6).prop_map(T::from)
}

pub(crate) fn packet() -> impl Strategy<Value = Option<Packet>> {
    let fragment = of((any::<bool>(), any::<bool>())).prop_map(|fragment| {
        let (is_later, more) = fragment?;
        let offset = if is_later { 8 } else { 0 };
        (is_later || more).then_some(Fragment { offset, more })
    });
    let numbers = (
        small::<u16>(),
        small::<u16>(),
        small::<u8>(),
        0_u8..2,
        0_u8..0x20,
    );
    let packet = (addresses(), protocol(), fragment, numbers).prop_map(
        |((src, dst), protocol, fragment, (sport, dport, kind, code, flags))| {
            let ports = Ports {
                src: sport,
                dst: dport,
            };
            let is_later = fragment.is_some_and(|one: Fragment| one.offset > 0);
            let transport = match protocol.0 {
                _ if is_later => Transport::None,
                6 => Transport::Tcp(Tcp {
                    ports,
                    seq: 0,
                    ack: 0,
                    flags,
                }),
                17 | 132 => Transport::Ports(ports),
                1 | 58 => Transport::Icmp(IcmpHeader {
                    kind,
                    code,
                    quoted: None,
                }),
                _ => Transport::None,
            };
            Packet {
                src,
                dst,
                protocol,
                fragment,
                id: 0,
                transport,
            }
        },
    );
    weighted(0.95, packet)
}

pub(crate) fn world() -> impl Strategy<Value = World> {
    let device = || select(vec!["eth0", "eth1", "veth0", "eth*"]);
    let cgroup = select(CGROUPS.map(|(path, ..)| path).to_vec());
    let owner = (small(), small(), cgroup).prop_map(|(uid, classid, cgroup)| Owner {
        uid,
        classid,
        cgroup,
    });
    let original = of((addresses(), of(small())).prop_map(|((address, _), port)| (address, port)));
    let rest = (small(), select(State::ALL.to_vec()), original, of(owner));
    (
        1_u64..6,
        prop::bool::weighted(0.2),
        device(),
        device(),
        rest,
    )
        .prop_map(
            |(cookie, is_new, input, output, (mark, state, original, socket))| World {
                cookie,
                is_new,
                input,
                output,
                mark,
                state,
                original,
                socket,
            },
        )
}

fn operand<T: Clone + std::fmt::Debug + 'static>(
    item: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Operand<T>> {
    (prop::bool::weighted(0.3), prop::collection::vec(item, 0..3))
        .prop_map(|(not, items)| Operand { not, items })
        .boxed()
}

fn ports() -> BoxedStrategy<Operand<Port>> {
    operand(prop_oneof![
        small::<u16>().prop_map(|port| Port::Range(port.into())),
        (0_u16..4, 0_u16..3).prop_map(|(low, more)| Port::Range(
            PortRange::new(low, low + more).expect("in order")
        )),
        select(vec!["some", "more", "none"]).prop_map(|name| Port::Set(name.into())),
    ])
}

fn endpoint() -> impl Strategy<Value = Option<Endpoint>> {
    let range = |(low, high, is_v4): (u8, u8, bool)| {
        let of = |host| if is_v4 { v4(host) } else { v6(host) };
        let range = AddressRange::new(of(low.min(high)), of(low.max(high)));
        Address::Range(range.expect("in order"))
    };
    let address = prop_oneof![
        (0_u8..5, 0_u8..5, any::<bool>()).prop_map(range),
        select(vec!["four", "six", "both", "none"]).prop_map(|name| Address::Set(name.into())),
        select(vec!["web", "db", "bare"]).prop_map(|name| Address::Container(name.into())),
    ];
    let ends = (weighted(0.8, operand(address)), weighted(0.2, ports()));
    weighted(
        0.4,
        ends.prop_map(|(addresses, ports)| Endpoint { addresses, ports }),
    )
}

fn seldom<T: std::fmt::Debug>(what: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    weighted(0.12, what)
}

fn verdict() -> impl Strategy<Value = Verdict> {
    let with = [RejectWith::Usual].into_iter().chain(RejectWith::NAMED);
    prop_oneof![
        Just(Verdict::Accept),
        Just(Verdict::Drop),
        select(with.collect::<Vec<_>>()).prop_map(Verdict::Reject),
        (0_u16..3, any::<bool>()).prop_map(|(number, accepts)| Verdict::Queue {
            number,
            otherwise: Otherwise(if accepts { Basic::Accept } else { Basic::Drop }),
        }),
    ]
}

/// Rules, some of which are refused.
pub(crate) fn rule() -> impl Strategy<Value = Rule> {
    let icmp = (any::<bool>(), small(), of(0_u8..2)).prop_map(|(is_v4, kind, code)| Icmp {
        family: if is_v4 {
            IcmpFamily::Icmp
        } else {
            IcmpFamily::Icmpv6
        },
        kind,
        code,
    });
    let flags = (0_u8..0x20, select(vec![0x17_u8, 2, 0x12])).prop_map(|(value, mask)| Flags {
        value: value & mask,
        mask,
    });
    let devices = || {
        let name = select(vec!["eth0", "eth", "eth*", "veth0"]);
        operand((name, any::<bool>()).prop_map(|(name, any_end)| Device {
            name: name.to_string(),
            any_end,
        }))
    };
    let mark =
        (any::<bool>(), 0_u32..4, select(vec![1, 3, u32::MAX])).prop_map(|(not, value, mask)| {
            Mark {
                not,
                value: value & mask,
                mask,
            }
        });
    let cgroup = select(CGROUPS.map(|(path, ..)| path.to_string()).to_vec());
    let user = (0_u32..4, 0_u32..2)
        .prop_map(|(first, more)| IdRange::new(first, first + more).expect("in order"));
    let namespace = prop_oneof![
        Just(NamespaceSpec::Host),
        Just(NamespaceSpec::All),
        (1_u64..6).prop_map(NamespaceSpec::Cookie),
        select(vec!["web", "db"]).prop_map(|name| NamespaceSpec::Container(name.into())),
    ];
    let packet = (
        weighted(0.1, subsequence(State::ALL.to_vec(), 1..4)),
        seldom(select(vec![IpFamily::Ipv4, IpFamily::Ipv6])),
        weighted(0.4, operand(protocol())),
        seldom(icmp),
        seldom(ports()),
        (endpoint(), endpoint()),
        weighted(0.05, endpoint()),
        seldom(flags),
    );
    let context = (
        weighted(0.06, devices()),
        weighted(0.06, devices()),
        seldom(mark),
        weighted(0.06, operand(cgroup)),
        weighted(0.06, operand(small::<u32>())),
        weighted(0.06, operand(user)),
        prop::bool::weighted(0.1),
        select(Place::all().collect::<Vec<_>>()),
        weighted(0.3, operand(namespace)),
    );
    let rest = (
        prop::bool::weighted(0.2),
        verdict(),
        prop::bool::weighted(0.2),
    );
    (packet, context, rest).prop_map(|(packet, context, rest)| Rule {
        states: packet.0.unwrap_or_default(),
        family: packet.1,
        protocols: packet.2,
        icmp: packet.3,
        port: packet.4,
        from: packet.5 .0,
        to: packet.5 .1,
        original: packet.6.flatten(),
        flags: packet.7,
        iif: context.0,
        oif: context.1,
        mark: context.2,
        cgroup: context.3,
        classid: context.4,
        uid: context.5,
        fragment: context.6,
        hooks: vec![context.7],
        namespaces: context.8,
        shadow: rest.0,
        verdict: rest.1,
        limit: rest.2.then_some(Limit {
            count: 1,
            per: Unit::Hour,
            burst: None,
        }),
        ..Rule::default()
    })
}

/// Defaults, one for each thing.
pub(crate) fn defaults() -> impl Strategy<Value = Vec<DefaultFor>> {
    let basic = || select(vec![Basic::Accept, Basic::Drop]);
    let hooks = subsequence(Place::all().collect::<Vec<_>>(), 1..10);
    let new = select(vec![
        NewNamespaces::Accept,
        NewNamespaces::Drop,
        NewNamespaces::AcceptUntilKnown,
    ]);
    (
        of((basic(), hooks)),
        of(basic()),
        of(basic()),
        of(basic()),
        of(new),
    )
        .prop_map(|(hooks, all, malformed, fragments, new)| {
            [
                hooks.map(|(verdict, hooks)| DefaultFor::Hooks(verdict, hooks)),
                all.map(|verdict| DefaultFor::Hooks(verdict, vec![])),
                malformed.map(DefaultFor::Malformed),
                fragments.map(DefaultFor::Fragments),
                new.map(DefaultFor::New),
            ]
            .into_iter()
            .flatten()
            .collect()
        })
}
