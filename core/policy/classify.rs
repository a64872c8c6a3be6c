// SPDX-License-Identifier: GPL-2.0

//! What a policy says about a packet.

use ::core::net::IpAddr;

use super::condition::{Kind, Place};
use super::decision::{Action, By, Decision, Observer, Outcome, Subject};
use super::forest::{Class, Forest, Found, Key4, Key6, Lookup, Shape};
use super::layout::{Condition, New, Pattern, Pool, Rule, IPV4, IPV6, SHADOW};
use super::ranges::{halves, holds};
use super::tables::{partition, Tables};
use crate::packet::{Icmp, Packet, Tcp, Transport};

/// Whether a condition is met.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Met {
    Yes,
    No,
    /// Only the first fragment knows.
    Unknown,
}

impl From<bool> for Met {
    #[inline]
    fn from(is_met: bool) -> Self {
        if is_met {
            Self::Yes
        } else {
            Self::No
        }
    }
}

/// One question about one packet.
pub(super) struct Question<'a, S> {
    pub(super) tables: &'a Tables<'a>,
    pub(super) packet: &'a Packet,
    pub(super) subject: &'a S,
    /// All but the first fragment lack the transport header.
    pub(super) is_later_fragment: bool,
}

impl<S: Subject> Question<'_, S> {
    #[inline]
    fn in32(&self, condition: &Condition, value: u32) -> bool {
        let set = self
            .tables
            .set(Pool::Ranges32, self.tables.ranges32, condition.first);
        holds(set, value)
    }

    #[inline]
    fn has_address(&self, condition: &Condition, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.in32(condition, address.to_bits()),
            IpAddr::V6(address) => {
                let set = self
                    .tables
                    .set(Pool::Ranges128, self.tables.ranges128, condition.second);
                holds(set, halves(address))
            }
        }
    }

    fn is_on(&self, condition: &Condition, name: &[u8; 16]) -> bool {
        let set: &[Pattern] =
            self.tables
                .set(Pool::Patterns, self.tables.patterns, condition.first);
        set.iter().any(|pattern| pattern.matches(name))
    }

    /// What is known by the transport header: none where the packet has none.
    #[inline]
    fn of_transport(&self, is_met: Option<bool>, negated: bool) -> Met {
        match is_met {
            Some(is_met) => (is_met != negated).into(),
            None if self.is_later_fragment => Met::Unknown,
            // What is not there is neither this nor not this.
            None => Met::No,
        }
    }

    fn original_address(&self, condition: &Condition) -> Option<bool> {
        let (address, _) = self.subject.original_destination()?;
        Some(self.has_address(condition, address))
    }

    /// Whether an address is in a dynamic set, or one of those that are named beside it.
    /// Policies without such sets do not pay for it.
    #[inline(never)]
    fn has_dynamic(&self, condition: &Condition, address: IpAddr) -> bool {
        let number = condition.dynamic.wrapping_sub(1);
        let live = self.subject.elements(number);
        let elements = live.or_else(|| {
            let dynamic = self.tables.dynamics.get(usize::from(number))?;
            Some(self.tables.elements(dynamic))
        });
        elements.is_some_and(|elements| elements.has(address))
            || self.has_address(condition, address)
    }

    fn original_port(&self, condition: &Condition) -> Option<bool> {
        let (_, port) = self.subject.original_destination()?;
        Some(self.in32(condition, port?.into()))
    }

    /// Whether a condition is met that is about the transport header.
    #[inline]
    fn is_met_by_transport(&self, kind: Kind, condition: &Condition) -> Option<bool> {
        let transport = &self.packet.transport;
        match (kind, transport) {
            (Kind::Icmp, Transport::Icmp(Icmp { kind, code, .. })) => {
                let value = (u32::from(*kind) << 8) | u32::from(*code);
                return Some(self.in32(condition, value));
            }
            (Kind::TcpFlags, Transport::Tcp(Tcp { flags, .. })) => {
                return Some(u32::from(*flags) & condition.second == condition.first);
            }
            _ => {}
        }
        let ports = self.packet.ports()?;
        let (src, dst) = (u32::from(ports.src), u32::from(ports.dst));
        match kind {
            Kind::SourcePort => Some(self.in32(condition, src)),
            Kind::DestinationPort => Some(self.in32(condition, dst)),
            Kind::EitherPort => Some(self.in32(condition, src) || self.in32(condition, dst)),
            _ => None,
        }
    }

    #[inline]
    fn is_met(&self, condition: &Condition) -> Met {
        let negated = condition.negated != 0;
        let Some(kind) = Kind::from_number(condition.kind) else {
            return Met::No;
        };
        let is_met = match kind {
            Kind::Source => self.has_address(condition, self.packet.src),
            Kind::Destination => self.has_address(condition, self.packet.dst),
            Kind::Protocol => self.in32(condition, self.packet.protocol.0.into()),
            Kind::SourcePort
            | Kind::DestinationPort
            | Kind::EitherPort
            | Kind::Icmp
            | Kind::TcpFlags => {
                return self.of_transport(self.is_met_by_transport(kind, condition), negated);
            }
            Kind::State => self.subject.state() & condition.first != 0,
            Kind::OriginalDestination => match self.original_address(condition) {
                Some(is_met) => is_met,
                None => return Met::No,
            },
            Kind::OriginalDestinationPort => match self.original_port(condition) {
                Some(is_met) => is_met,
                None => return Met::No,
            },
            Kind::Mark => self.subject.mark() & condition.second == condition.first,
            Kind::Cgroup | Kind::Classid | Kind::Uid => {
                let Some(socket) = self.subject.socket() else {
                    return Met::No;
                };
                match kind {
                    Kind::Classid => self.in32(condition, socket.classid),
                    Kind::Uid => self.in32(condition, socket.uid),
                    _ => self.is_of_cgroup(condition),
                }
            }
            Kind::Input => self.is_on(condition, &self.subject.input()),
            Kind::Output => self.is_on(condition, &self.subject.output()),
            Kind::Namespace => self.is_in_namespace(condition),
            Kind::Fragment => self.is_later_fragment,
            Kind::DynamicSource => self.has_dynamic(condition, self.packet.src),
            Kind::DynamicDestination => self.has_dynamic(condition, self.packet.dst),
            Kind::DynamicOriginalDestination => match self.subject.original_destination() {
                Some((address, _)) => self.has_dynamic(condition, address),
                None => return Met::No,
            },
        };
        (is_met != negated).into()
    }

    fn is_of_cgroup(&self, condition: &Condition) -> bool {
        let set = self
            .tables
            .set(Pool::Cgroups, self.tables.cgroups, condition.first);
        set.iter().any(|cgroup| self.subject.is_of(cgroup))
    }

    #[inline]
    fn is_in_namespace(&self, condition: &Condition) -> bool {
        let set = self
            .tables
            .set(Pool::Words, self.tables.words, condition.first);
        let cookie = self.subject.cookie();
        let at = partition(set, |word| *word < cookie);
        set.get(at) == Some(&cookie)
    }

    #[inline]
    pub(super) fn outcome(&self, rule: &Rule) -> Outcome {
        let mut unknown = None;
        for (number, condition) in (0_u16..=u16::MAX).zip(self.tables.conditions_of(rule)) {
            match self.is_met(condition) {
                Met::Yes => {}
                Met::No => return Outcome::NotMet(number),
                Met::Unknown => unknown = unknown.or(Some(number)),
            }
        }
        unknown.map_or(Outcome::Matched, Outcome::Unknown)
    }

    /// The first rule of a forest that decides, and whether it knows enough to.
    #[inline]
    fn first<T: Shape, O: Observer>(
        &self,
        forest: &Forest,
        lookup: &Lookup<'_, T>,
        observer: &mut O,
    ) -> Found {
        let outcome = |number: u32| match self.tables.rules.get(number as usize) {
            Some(rule) => self.outcome(rule),
            None => Outcome::OtherFamily,
        };
        if forest.is_special == 0 {
            return lookup.first(forest, outcome);
        }
        lookup.each(forest, outcome, |number, outcome| {
            match self.tables.rules.get(number as usize) {
                Some(rule) => decides(number, rule, outcome, observer) == Tried::Decides,
                None => false,
            }
        })
    }

    /// The rule that decides at a place.
    #[inline]
    fn found<O: Observer>(&self, place: Place, observer: &mut O) -> Found {
        let packet = self.packet;
        let (class, ports) = if self.is_later_fragment {
            (Class::Fragment, (0, 0))
        } else {
            match packet.ports() {
                Some(ports) => (Class::Ports, (ports.src, ports.dst)),
                None => (Class::NoPorts, (0, 0)),
            }
        };
        let forest = self
            .tables
            .forest(packet.src.is_ipv6(), class.root(place))?;
        let namespace = if self.tables.namespaces.is_empty() {
            0
        } else {
            self.tables.namespace(self.subject.cookie())
        };
        let protocol = packet.protocol.0;
        let (tables, is_fragment) = (self.tables, self.is_later_fragment);
        match (packet.src, packet.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let key = Key4::new(src.to_bits(), dst.to_bits(), ports, protocol, namespace);
                let lookup = Lookup {
                    tables,
                    boxes: tables.boxes4,
                    key: &key,
                    is_fragment,
                };
                self.first(forest, &lookup, observer)
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let key = Key6::new(src.to_bits(), dst.to_bits(), ports, protocol, namespace);
                let lookup = Lookup {
                    tables,
                    boxes: tables.boxes6,
                    key: &key,
                    is_fragment,
                };
                self.first(forest, &lookup, observer)
            }
            _ => None,
        }
    }
}

/// What a rule that was asked does to the question.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tried {
    /// The next rule is asked.
    GoesOn,
    /// It decides, or says that nobody can.
    Decides,
}

/// Has a rule do what it does besides deciding.
#[inline]
fn decides<O: Observer>(number: u32, rule: &Rule, outcome: Outcome, observer: &mut O) -> Tried {
    let mut outcome = outcome;
    if outcome == Outcome::Matched
        && rule.limit.events != 0
        && !observer.is_within_limit(number, rule)
    {
        outcome = Outcome::OverLimit;
    }
    observer.tried(number, rule, outcome);
    match outcome {
        Outcome::OtherFamily | Outcome::NotMet(_) | Outcome::OverLimit => Tried::GoesOn,
        _ if rule.flags & SHADOW != 0 => {
            if outcome == Outcome::Matched {
                observer.shadowed(number, rule);
            }
            Tried::GoesOn
        }
        Outcome::Unknown(_) | Outcome::Matched => Tried::Decides,
    }
}

/// Asks a policy, which [`super::verify()`] has found sound, about a packet; `packet`
/// is none where it cannot be read.
#[inline]
pub fn classify<S: Subject, O: Observer>(
    tables: &Tables<'_>,
    place: Place,
    packet: Option<&Packet>,
    subject: &S,
    observer: &mut O,
) -> Decision {
    decide(tables, place, packet, subject, |question| {
        question.found(place, observer)
    })
}

/// The same, rule by rule, as it is written down: it tells `observer` of each one. It
/// says what [`classify()`] has to say.
pub fn classify_in_order<S: Subject, O: Observer>(
    tables: &Tables<'_>,
    place: Place,
    packet: Option<&Packet>,
    subject: &S,
    observer: &mut O,
) -> Decision {
    decide(tables, place, packet, subject, |question| {
        let family = if question.packet.src.is_ipv4() {
            IPV4
        } else {
            IPV6
        };
        for (number, rule) in (0_u32..=u32::MAX).zip(tables.rules) {
            if !rule.is_at(place) {
                continue;
            }
            let outcome = if rule.families & family == 0 {
                Outcome::OtherFamily
            } else {
                question.outcome(rule)
            };
            if decides(number, rule, outcome, observer) == Tried::Decides {
                return Some((number, outcome));
            }
        }
        None
    })
}

#[inline]
fn decide<'a, S: Subject>(
    tables: &'a Tables<'a>,
    place: Place,
    packet: Option<&'a Packet>,
    subject: &'a S,
    find: impl FnOnce(&Question<'a, S>) -> Found,
) -> Decision {
    let header = tables.header;
    let new = match New::from_number(header.new) {
        None | Some(New::AsElsewhere) => New::AsElsewhere,
        Some(new) if subject.is_in_new_namespace() => new,
        Some(_) => New::AsElsewhere,
    };
    if new == New::AcceptUntilKnown {
        return Decision {
            action: Action::Accept,
            by: By::New,
        };
    }
    let Some(packet) = packet else {
        return Decision {
            action: Action::of_default(header.malformed),
            by: By::Malformed,
        };
    };
    let question = Question {
        tables,
        packet,
        subject,
        is_later_fragment: packet.fragment.is_some_and(|fragment| fragment.offset != 0),
    };
    if let Some((number, outcome)) = find(&question) {
        if matches!(outcome, Outcome::Unknown(_)) {
            return Decision {
                action: Action::of_default(header.fragments),
                by: By::Fragment(number),
            };
        }
        if let Some(rule) = tables.rules.get(number as usize) {
            return Decision {
                action: Action::of(rule),
                by: By::Rule(number),
            };
        }
    }
    let default = header.defaults.get(place.number()).copied().unwrap_or(0);
    let (action, by) = match new {
        New::Accept => (Action::Accept, By::New),
        New::Drop => (Action::Drop, By::New),
        _ => (Action::of_default(default), By::Default),
    };
    Decision { action, by }
}
