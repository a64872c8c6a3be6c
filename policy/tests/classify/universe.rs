// SPDX-License-Identifier: GPL-2.0

//! A universe so small that random rules meet random packets.

use etherparse::{PacketBuilder, TcpHeader};
use nftrace_core::packet::{Fragment, Icmp as IcmpHeader, Packet, Ports, Protocol, Tcp, Transport};
use nftrace_core::policy::dynamic::Elements;
use nftrace_core::policy::layout::{Cgroup, Range128, Range32};
use nftrace_core::policy::{self, Subject};
use nftrace_core::record::Socket;
use nftrace_policy::ast::*;
use nftrace_policy::Resolver;
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::select;
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
set banned dynamic = { 10.0.0.1, 10.0.0.4, fd00::3 }
set known dynamic = {}
";

/// The dynamic sets by their numbers.
pub(crate) const DYNAMIC: [&str; 2] = ["banned", "known"];

const fn v4_range(low: u32, high: u32) -> Range32 {
    Range32 {
        low: 0x0a00_0000 + low,
        high: 0x0a00_0000 + high,
    }
}

const fn v6_range(low: u64, high: u64) -> Range128 {
    const NET: u64 = 0xfd00 << 48;
    Range128 {
        low: [NET, low],
        high: [NET, high],
    }
}

/// What may be in one of them, besides what it begins with.
const LIVE: [Elements<'static>; 4] = [
    Elements { v4: &[], v6: &[] },
    Elements {
        v4: &[v4_range(0, 1), v4_range(3, 3)],
        v6: &[],
    },
    Elements {
        v4: &[v4_range(2, 4)],
        v6: &[v6_range(0, 2), v6_range(4, 4)],
    },
    Elements {
        v4: &[Range32 {
            low: 0,
            high: u32::MAX,
        }],
        v6: &[Range128 {
            low: [0; 2],
            high: [u64::MAX; 2],
        }],
    },
];

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
    /// What has become of dynamic sets, of those that have changed.
    pub(crate) live: [Option<Elements<'static>>; 2],
}

/// Whose socket it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) classid: u32,
    pub(crate) cgroup: &'static str,
}

/// Path, id, level.
pub(crate) const CGROUPS: [(&str, u64, u32); 4] =
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
        // A damaged policy may name one that there is not.
        let mut all = CGROUPS.iter();
        let found = all.find(|(_, id, level)| (*id, *level) == (cgroup.id, cgroup.level));
        found.is_some_and(|(above, ..)| path == *above || path.starts_with(&format!("{above}/")))
    }

    fn elements(&self, number: u16) -> Option<Elements<'_>> {
        self.live.get(usize::from(number)).copied().flatten()
    }
}

fn padded(name: &str) -> [u8; 16] {
    let mut padded = [0; 16];
    padded[..name.len()].copy_from_slice(name.as_bytes());
    padded
}

pub(crate) fn v4(host: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, host).into()
}

pub(crate) fn v6(host: u8) -> IpAddr {
    Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, host.into()).into()
}

fn addresses() -> impl Strategy<Value = (IpAddr, IpAddr)> {
    (any::<bool>(), 0_u8..5, 0_u8..5).prop_map(|(is_v4, src, dst)| match is_v4 {
        true => (v4(src), v4(dst)),
        false => (v6(src), v6(dst)),
    })
}

pub(crate) fn protocol() -> impl Strategy<Value = Protocol> {
    select([6, 6, 17, 132, 1, 58, 47].map(Protocol).to_vec())
}

pub(crate) fn small<T: From<u8> + std::fmt::Debug>() -> impl Strategy<Value = T> {
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

/// A packet on the wire, if it has TCP or UDP in it and is no fragment.
pub(crate) fn bytes(packet: &Packet) -> Option<Vec<u8>> {
    if packet.fragment.is_some() {
        return None;
    }
    let builder = match (packet.src, packet.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => PacketBuilder::ipv4(src.octets(), dst.octets(), 64),
        (IpAddr::V6(src), IpAddr::V6(dst)) => PacketBuilder::ipv6(src.octets(), dst.octets(), 64),
        _ => panic!("a packet of two families"),
    };
    let Ports { src, dst } = packet.ports()?;
    let mut bytes = Vec::new();
    match packet.transport {
        Transport::Tcp(tcp) => {
            let mut header = TcpHeader::new(src, dst, tcp.seq, 0);
            header.fin = tcp.flags & 1 != 0;
            header.syn = tcp.flags & 2 != 0;
            header.rst = tcp.flags & 4 != 0;
            header.psh = tcp.flags & 8 != 0;
            header.ack = tcp.flags & 16 != 0;
            builder.tcp_header(header).write(&mut bytes, &[])
        }
        _ if packet.protocol == Protocol::UDP => builder.udp(src, dst).write(&mut bytes, &[]),
        _ => return None,
    }
    .expect("it is small");
    Some(bytes)
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
    let live = || of(select(LIVE.to_vec()));
    let live = [live(), live()];
    let rest = (
        small(),
        select(State::ALL.to_vec()),
        original,
        of(owner),
        live,
    );
    (
        1_u64..6,
        prop::bool::weighted(0.2),
        device(),
        device(),
        rest,
    )
        .prop_map(
            |(cookie, is_new, input, output, (mark, state, original, socket, live))| World {
                cookie,
                is_new,
                input,
                output,
                mark,
                state,
                original,
                socket,
                live,
            },
        )
}
