// SPDX-License-Identifier: GPL-2.0

//! Rules of the small universe.

use crate::universe::{protocol, small, v4, v6, CGROUPS};
use nftrace_policy::ast::*;
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

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
        select(vec!["four", "six", "both", "none", "banned", "known"])
            .prop_map(|name| Address::Set(name.into())),
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
