// SPDX-License-Identifier: GPL-2.0

//! A condition as the clauses of a rule, and what a rule cannot say.

use super::among::{Among, Ranges};
use super::condition::{with_ports, Condition};
use crate::ast::{
    Address, AddressRange, Endpoint, Icmp, IdRange, IpFamily, Operand, Place, Port, PortRange,
    RejectWith, Rule, State, Verdict,
};
use nftrace_core::packet::Protocol;
use nftrace_core::policy::Kind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address that a number is.
pub(super) fn address(family: IpFamily, number: u128) -> Option<IpAddr> {
    Some(match family {
        IpFamily::Ipv4 => Ipv4Addr::from(u32::try_from(number).ok()?).into(),
        IpFamily::Ipv6 => Ipv6Addr::from(number).into(),
    })
}

/// The number that an address is.
pub(super) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

impl Condition {
    fn is_only(&self, number: u8) -> bool {
        let only = Among::one(number);
        self.protocols
            .as_ref()
            .is_some_and(|one| !one.not && one.ranges == only.ranges)
    }

    fn has_ports(&self) -> bool {
        self.protocols
            .as_ref()
            .is_some_and(|one| !one.not && one.ranges.is_within(&with_ports()))
    }

    /// Why a rule at that hook cannot ask for it; none where it can.
    pub(super) fn refusal(&self, place: Place) -> Option<String> {
        let asked = [
            (self.states.is_some(), Kind::State, "the state"),
            (
                self.original.is_some(),
                Kind::OriginalDestination,
                "the original destination",
            ),
            (
                self.original_port.is_some(),
                Kind::OriginalDestinationPort,
                "the original port",
            ),
            (self.iif.is_some(), Kind::Input, "the input device"),
            (self.oif.is_some(), Kind::Output, "the output device"),
            (self.cgroup.is_some(), Kind::Cgroup, "the cgroup"),
            (self.classid.is_some(), Kind::Classid, "the classid"),
            (self.uid.is_some(), Kind::Uid, "the user"),
        ];
        for (is_asked, kind, what) in asked {
            if let Some(unknown) = place.refuses(kind).filter(|_| is_asked) {
                let hook = crate::words::PlaceName(place);
                return Some(format!(
                    "{what} is not known at {hook}, where nftrace runs first: {}",
                    unknown.reason()
                ));
            }
        }
        let asks_for_port = self.either_port.is_some()
            || self.source_port.is_some()
            || self.destination_port.is_some()
            || self.original_port.is_some();
        if asks_for_port && !self.has_ports() {
            return Some("it asks for ports of protocols that may have none".to_string());
        }
        if self.flags.is_some() && !self.is_only(6) {
            return Some("it asks for TCP's flags of other protocols".to_string());
        }
        if self.icmp.is_some_and(|icmp| icmp.kind.is_none()) {
            return Some("it asks for an ICMP code without a type".to_string());
        }
        let foreign = match self.family {
            Some(IpFamily::Ipv4) => self.is_only(58),
            Some(IpFamily::Ipv6) => self.is_only(1),
            None => false,
        };
        foreign.then(|| "it asks for the ICMP of the other family".to_string())
    }

    /// Why a rule at that hook cannot do that with its packets; none where it can.
    pub(super) fn refusal_of(&self, verdict: Verdict, place: Place) -> Option<String> {
        let (unknown, what) = match verdict {
            Verdict::Reject(RejectWith::TcpReset) if !self.is_only(6) => {
                return Some("it answers more than TCP with a reset".to_string());
            }
            Verdict::Reject(_) => (place.refuses_reject(), "reject"),
            Verdict::Queue { .. } => (place.refuses_queue(), "queue"),
            Verdict::Accept | Verdict::Drop => (None, ""),
        };
        let hook = crate::words::PlaceName(place);
        unknown.map(|unknown| format!("{what} is not possible at {hook}: {}", unknown.reason()))
    }

    /// The rule; adds the named sets that it asks for.
    pub(super) fn rule(&self, verdict: Verdict, place: Place, sets: &mut Vec<String>) -> Rule {
        let end = |addresses: &Option<Among>, ports: &Option<Among>, sets: &mut Vec<String>| {
            let end = Endpoint {
                addresses: addresses.as_ref().and_then(|one| self.addresses(one, sets)),
                ports: ports.as_ref().and_then(|one| port_operand(one, sets)),
            };
            (end.addresses.is_some() || end.ports.is_some()).then_some(end)
        };
        let icmp = self.icmp.and_then(|icmp| {
            Some(Icmp {
                family: icmp.family,
                kind: icmp.kind?,
                code: icmp.code,
            })
        });
        let (from, to) = (
            end(&self.source, &self.source_port, sets),
            end(&self.destination, &self.destination_port, sets),
        );
        let original = end(&self.original, &self.original_port, sets);
        let has_addresses = [&from, &to, &original]
            .into_iter()
            .any(|end| end.as_ref().is_some_and(|end| end.addresses.is_some()));
        let tells_family = has_addresses || icmp.is_some() || self.is_only(1) || self.is_only(58);
        let numbers = |among: &Among| operand(among, u32_of);
        Rule {
            verdict,
            states: self.states.map(states).unwrap_or_default(),
            family: self.family.filter(|_| !tells_family),
            protocols: self
                .protocols
                .as_ref()
                .filter(|_| icmp.is_none())
                .and_then(protocols),
            icmp,
            port: self
                .either_port
                .as_ref()
                .and_then(|one| port_operand(one, sets)),
            from,
            to,
            original,
            flags: self.flags,
            iif: self.iif.clone(),
            oif: self.oif.clone(),
            mark: self.mark,
            cgroup: self.cgroup.clone(),
            classid: self.classid.as_ref().and_then(|one| {
                let ranges = numbers(one)?;
                let items = ranges.items.into_iter().flat_map(|(low, high)| low..=high);
                Some(Operand {
                    not: ranges.not,
                    items: items.collect(),
                })
            }),
            uid: self.uid.as_ref().and_then(|one| {
                let ranges = numbers(one)?;
                let range = |(low, high)| IdRange::new(low, high).ok();
                Some(Operand {
                    not: ranges.not,
                    items: ranges.items.into_iter().filter_map(range).collect(),
                })
            }),
            // What is no later fragment is so wherever this is asked: see `flatten`.
            fragment: self.fragment == Some(true),
            hooks: vec![place],
            limit: self.limit,
            ..Rule::default()
        }
    }

    fn addresses(&self, among: &Among, sets: &mut Vec<String>) -> Option<Operand<Address>> {
        if let Some(name) = &among.set {
            return Some(named(among.not, name, sets, Address::Set));
        }
        let family = self.family?;
        let range = |(low, high)| {
            let range = AddressRange::new(address(family, low)?, address(family, high)?);
            range.ok().map(Address::Range)
        };
        operand(among, range)
    }
}

fn named<T>(
    not: bool,
    name: &str,
    sets: &mut Vec<String>,
    item: impl Fn(String) -> T,
) -> Operand<T> {
    if !sets.iter().any(|one| one == name) {
        sets.push(name.to_string());
    }
    Operand {
        not,
        items: vec![item(name.to_string())],
    }
}

fn u32_of((low, high): (u128, u128)) -> Option<(u32, u32)> {
    Some((u32::try_from(low).ok()?, u32::try_from(high).ok()?))
}

/// None where it says nothing.
fn operand<T>(among: &Among, item: impl Fn((u128, u128)) -> Option<T>) -> Option<Operand<T>> {
    if among.not && among.ranges.is_empty() {
        return None;
    }
    Some(Operand {
        not: among.not,
        items: among.ranges.iter().filter_map(item).collect(),
    })
}

fn port_operand(among: &Among, sets: &mut Vec<String>) -> Option<Operand<Port>> {
    if let Some(name) = &among.set {
        return Some(named(among.not, name, sets, Port::Set));
    }
    operand(among, |(low, high)| {
        let (low, high) = (u16::try_from(low).ok()?, u16::try_from(high).ok()?);
        PortRange::new(low, high).ok().map(Port::Range)
    })
}

fn protocols(among: &Among) -> Option<Operand<Protocol>> {
    if among.not && among.ranges.is_empty() {
        return None;
    }
    let is_in =
        |number: &u8| Ranges::of([((*number).into(), (*number).into())]).is_within(&among.ranges);
    Some(Operand {
        not: among.not,
        items: (0..=u8::MAX).filter(is_in).map(Protocol).collect(),
    })
}

fn states(bits: u8) -> Vec<State> {
    let all = State::ALL.into_iter().enumerate();
    all.filter(|(bit, _)| bits & (1 << bit) != 0)
        .map(|(_, state)| state)
        .collect()
}
