// SPDX-License-Identifier: GPL-2.0

//! Any statements that the language has.

use nftrace_core::packet::Protocol;
use nftrace_policy::ast::*;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(crate) fn policy() -> impl Strategy<Value = Policy> {
    vec(statement(), 0..8).prop_map(|statements| Policy { statements })
}

fn statement() -> impl Strategy<Value = Statement> {
    prop_oneof![
        text().prop_map(|path| Statement::Include(Include {
            path,
            ..Include::default()
        })),
        (set_name(), any::<bool>(), source()).prop_map(|(name, dynamic, source)| {
            let at = Spans::default();
            Statement::Set(Set {
                name,
                dynamic,
                source,
                at,
            })
        }),
        default_for().prop_map(|what| {
            let at = Spans::default();
            Statement::Default(Default { what, at })
        }),
        rule().prop_map(|rule| Statement::Rule(Box::new(rule))),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z./]{1,9}", any::<String>()]
}

fn set_name() -> impl Strategy<Value = String> {
    "[a-zA-Z][a-zA-Z0-9_.-]{0,8}"
}

fn source() -> impl Strategy<Value = SetSource> {
    let element = prop_oneof![
        address_range().prop_map(Element::Addresses),
        port_range().prop_map(Element::Ports),
        set_name().prop_map(Element::Set),
    ];
    prop_oneof![
        vec(element, 0..5).prop_map(SetSource::List),
        text().prop_map(SetSource::File),
    ]
}

fn basic() -> impl Strategy<Value = Basic> {
    select(vec![Basic::Accept, Basic::Drop])
}

fn hooks() -> impl Strategy<Value = Vec<Place>> {
    subsequence(Place::all().collect::<Vec<_>>(), 0..5).prop_shuffle()
}

fn default_for() -> impl Strategy<Value = DefaultFor> {
    use NewNamespaces::{Accept, AcceptUntilKnown, Drop};
    prop_oneof![
        (basic(), hooks()).prop_map(|(verdict, hooks)| DefaultFor::Hooks(verdict, hooks)),
        basic().prop_map(DefaultFor::Malformed),
        basic().prop_map(DefaultFor::Fragments),
        select(vec![Accept, Drop, AcceptUntilKnown]).prop_map(DefaultFor::New),
    ]
}

fn operand<T: std::fmt::Debug + Clone + 'static>(
    item: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Option<Operand<T>>> {
    let list = (any::<bool>(), vec(item, 0..4));
    of(list.prop_map(|(not, items)| Operand { not, items })).boxed()
}

fn address() -> impl Strategy<Value = Address> {
    prop_oneof![
        address_range().prop_map(Address::Range),
        set_name().prop_map(Address::Set),
        name().prop_map(Address::Container),
        name().prop_map(Address::Netns),
        any::<u32>().prop_map(Address::Pid),
    ]
}

pub(crate) fn address_range() -> impl Strategy<Value = AddressRange> {
    let v4 = || any::<u32>().prop_map(|bits| IpAddr::from(Ipv4Addr::from(bits)));
    let v6 = || any::<u128>().prop_map(|bits| IpAddr::from(Ipv6Addr::from(bits)));
    let range = |ends: (IpAddr, IpAddr)| {
        let (first, last) = (ends.0.min(ends.1), ends.0.max(ends.1));
        AddressRange::new(first, last).expect("in order and of one family")
    };
    let network = |(address, length): (IpAddr, u8)| {
        let length = length % if address.is_ipv4() { 33 } else { 129 };
        AddressRange::network(address, length).expect("not too long")
    };
    prop_oneof![
        (v4(), v4()).prop_map(range),
        (v6(), v6()).prop_map(range),
        (v4(), any::<u8>()).prop_map(network),
        (v6(), any::<u8>()).prop_map(network),
        prop_oneof![v4(), v6()].prop_map(AddressRange::from),
    ]
}

fn port_range() -> impl Strategy<Value = PortRange> {
    (any::<u16>(), any::<u16>())
        .prop_map(|(a, b)| PortRange::new(a.min(b), a.max(b)).expect("in order"))
}

fn port() -> impl Strategy<Value = Port> {
    prop_oneof![
        port_range().prop_map(Port::Range),
        any::<u16>().prop_map(|port| Port::Range(port.into())),
        set_name().prop_map(Port::Set),
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z][a-z0-9_.-]{0,9}",
        "\\PC{1,9}",
        Just("not".to_string())
    ]
}

fn endpoint() -> impl Strategy<Value = Option<Endpoint>> {
    let ends = (operand(address()), operand(port()));
    of(ends.prop_map(|(addresses, ports)| Endpoint { addresses, ports }))
}

fn device() -> impl Strategy<Value = Device> {
    let name = prop_oneof!["[a-z][a-z0-9.-]{0,9}", "[!-.0-~]{1,15}", Just("not".into())];
    (name, any::<bool>()).prop_map(|(name, any_end)| Device { name, any_end })
}

fn namespace() -> impl Strategy<Value = NamespaceSpec> {
    prop_oneof![
        Just(NamespaceSpec::Host),
        Just(NamespaceSpec::All),
        name().prop_map(NamespaceSpec::Container),
        name().prop_map(NamespaceSpec::Netns),
        any::<u32>().prop_map(NamespaceSpec::Pid),
        text().prop_map(NamespaceSpec::Path),
        any::<u64>().prop_map(NamespaceSpec::Cookie),
        any::<u64>().prop_map(NamespaceSpec::Inode),
    ]
}

fn limit() -> impl Strategy<Value = Limit> {
    let per = select(Unit::ALL.to_vec());
    (1..=u32::MAX, per, of(1..=u32::MAX)).prop_map(|(count, per, burst)| Limit {
        count,
        per,
        burst,
    })
}

fn verdict() -> impl Strategy<Value = Verdict> {
    let with = [RejectWith::Usual].into_iter().chain(RejectWith::NAMED);
    prop_oneof![
        Just(Verdict::Accept),
        Just(Verdict::Drop),
        select(with.collect::<Vec<_>>()).prop_map(Verdict::Reject),
        (any::<u16>(), basic()).prop_map(|(number, verdict)| Verdict::Queue {
            number,
            otherwise: Otherwise(verdict),
        }),
    ]
}

fn icmp() -> impl Strategy<Value = Icmp> {
    let family = select(vec![IcmpFamily::Icmp, IcmpFamily::Icmpv6]);
    (family, any::<u8>(), of(any::<u8>())).prop_map(|(family, kind, code)| Icmp {
        family,
        kind,
        code,
    })
}

pub(crate) fn rule() -> impl Strategy<Value = Rule> {
    let id = (any::<u32>(), any::<u32>())
        .prop_map(|(a, b)| IdRange::new(a.min(b), a.max(b)).expect("in order"));
    let mark = (any::<bool>(), any::<u32>(), any::<u32>()).prop_map(|(not, value, mask)| Mark {
        not,
        value: value & mask,
        mask,
    });
    let flags = (any::<u8>(), 1..=u8::MAX).prop_map(|(value, mask)| Flags {
        value: value & mask,
        mask,
    });
    let states = subsequence(State::ALL.to_vec(), 0..=5).prop_shuffle();
    let family = select(vec![IpFamily::Ipv4, IpFamily::Ipv6]);
    let packet = (
        states,
        of(family),
        operand(any::<u8>().prop_map(Protocol)),
        of(icmp()),
        operand(port()),
        endpoint(),
        endpoint(),
        endpoint(),
        of(flags),
    );
    let context = (
        operand(device()),
        operand(device()),
        of(mark),
        operand("/[a-z \"\\\\]{0,6}"),
        operand(any::<u32>()),
        operand(id),
        any::<bool>(),
        hooks(),
        operand(namespace()),
    );
    let rest = (
        any::<bool>(),
        verdict(),
        of(limit()),
        of(of(limit()).prop_map(|limit| Log { limit })),
        of(text()),
    );
    (packet, context, rest).prop_map(|(packet, context, rest)| Rule {
        states: packet.0,
        family: packet.1,
        protocols: packet.2,
        icmp: packet.3,
        port: packet.4,
        from: packet.5,
        to: packet.6,
        original: packet.7,
        flags: packet.8,
        iif: context.0,
        oif: context.1,
        mark: context.2,
        cgroup: context.3,
        classid: context.4,
        uid: context.5,
        fragment: context.6,
        hooks: context.7,
        namespaces: context.8,
        shadow: rest.0,
        verdict: rest.1,
        limit: rest.2,
        log: rest.3,
        name: rest.4,
        at: Spans::default(),
    })
}
