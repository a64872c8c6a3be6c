// SPDX-License-Identifier: GPL-2.0

//! What a policy says about a packet.

use ::core::net::IpAddr;

use super::condition::{Kind, Place};
use super::layout::{
    Answer, Cgroup, Condition, New, Pattern, Pool, Range128, Range32, Rule, ELSE_ACCEPT, IPV4,
    IPV6, SHADOW,
};
use super::tables::Tables;
use crate::packet::{Icmp, Packet, Tcp, Transport};
use crate::record::{Socket, Verdict};

/// What is to become of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It goes on to the next hook function.
    Accept,
    /// It is gone.
    Drop,
    /// It is gone, and its sender is told.
    Reject(Answer),
    /// A program in this namespace decides.
    Queue {
        /// The number of the queue.
        number: u16,
        /// Whether it goes on when no program does.
        else_accept: bool,
    },
}

impl Action {
    /// What of it a record says.
    #[inline]
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::Accept => Verdict::Accept,
            Self::Drop => Verdict::Drop,
            Self::Reject(_) => Verdict::Reject,
            Self::Queue { .. } => Verdict::Queue,
        }
    }

    #[inline]
    fn of(rule: &Rule) -> Self {
        match rule.verdict {
            0 => Self::Accept,
            2 => Self::Reject(Answer::from_number(rule.answer).unwrap_or(Answer::Fitting)),
            3 => Self::Queue {
                number: rule.queue,
                else_accept: rule.flags & ELSE_ACCEPT != 0,
            },
            _ => Self::Drop,
        }
    }

    #[inline]
    const fn of_default(number: u8) -> Self {
        if number == Verdict::Accept as u8 {
            Self::Accept
        } else {
            Self::Drop
        }
    }
}

/// What decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The rule of this number, from 0.
    Rule(u32),
    /// No rule: the default of the hook.
    Default,
    /// No rule: the default of namespaces that are new.
    New,
    /// The packet cannot be read.
    Malformed,
    /// A later fragment, and this rule would have to know more of it.
    Fragment(u32),
}

/// What a policy says about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What is to become of it.
    pub action: Action,
    /// What decided.
    pub by: By,
}

/// What surrounds a packet. Only what is asked for is found out.
pub trait Subject {
    /// The cookie of the namespace.
    fn cookie(&self) -> u64;
    /// Whether the namespace was made after the policy was loaded.
    fn is_in_new_namespace(&self) -> bool;
    /// The name of the device through which it came, padded with zeroes.
    fn input(&self) -> [u8; 16];
    /// The name of the device through which it will leave, padded with zeroes.
    fn output(&self) -> [u8; 16];
    /// The firewall mark.
    fn mark(&self) -> u32;
    /// How conntrack sees it: one of the `STATE_…` bits.
    fn state(&self) -> u32;
    /// Where its connection's first packet went, before NAT: address and port.
    fn original_destination(&self) -> Option<(IpAddr, Option<u16>)>;
    /// The local socket.
    fn socket(&self) -> Option<Socket>;
    /// Whether the local socket is of this cgroup or of one below it.
    fn is_of(&self, cgroup: &Cgroup) -> bool;
}

/// What came of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is for the other family.
    OtherFamily,
    /// Its condition of this number, from 0, is not met.
    NotMet(u16),
    /// Its condition of this number cannot be known of a later fragment.
    Unknown(u16),
    /// All conditions are met, but it matched as often as it may.
    OverLimit,
    /// It matches.
    Matched,
}

/// Is told what rules come to, and keeps their limits.
pub trait Observer {
    /// A rule was asked.
    #[inline]
    fn tried(&mut self, _number: u32, _rule: &Rule, _outcome: Outcome) {}
    /// Whether a rule with a limit, all of whose conditions are met, may match once more.
    fn is_within_limit(&mut self, number: u32, rule: &Rule) -> bool;
    /// A rule matches that is not enforced.
    fn shadowed(&mut self, number: u32, rule: &Rule);
}

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

/// How many elements of a sorted set come before the first that `is_behind`.
#[inline]
fn partition<T>(set: &[T], is_before: impl Fn(&T) -> bool) -> usize {
    let (mut low, mut high) = (0_usize, set.len());
    while low < high {
        let middle = low.wrapping_add(high.wrapping_sub(low) >> 1);
        if set.get(middle).is_some_and(&is_before) {
            low = middle.wrapping_add(1);
        } else {
            high = middle;
        }
    }
    low
}

#[inline]
fn holds32(set: &[Range32], value: u32) -> bool {
    let at = partition(set, |range| range.high < value);
    set.get(at).is_some_and(|range| range.low <= value)
}

#[inline]
fn holds128(set: &[Range128], value: [u64; 2]) -> bool {
    let at = partition(set, |range| range.high < value);
    set.get(at).is_some_and(|range| range.low <= value)
}

/// The two halves of an IPv6 address, the upper one first.
#[inline]
fn halves(octets: [u8; 16]) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = octets;
    [
        u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        u64::from_be_bytes(rest),
    ]
}

/// One question about one packet.
struct Question<'a, S> {
    tables: &'a Tables<'a>,
    packet: &'a Packet,
    subject: &'a S,
    /// All but the first fragment lack the transport header.
    is_later_fragment: bool,
}

impl<S: Subject> Question<'_, S> {
    #[inline]
    fn in32(&self, condition: &Condition, value: u32) -> bool {
        let set = self
            .tables
            .set(Pool::Ranges32, self.tables.ranges32, condition.first);
        holds32(set, value)
    }

    #[inline]
    fn has_address(&self, condition: &Condition, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.in32(condition, address.to_bits()),
            IpAddr::V6(address) => {
                let set = self
                    .tables
                    .set(Pool::Ranges128, self.tables.ranges128, condition.second);
                holds128(set, halves(address.octets()))
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
    fn outcome(&self, rule: &Rule, family: u8) -> Outcome {
        if rule.families & family == 0 {
            return Outcome::OtherFamily;
        }
        let first = rule.first_condition as usize;
        let end = first.wrapping_add(usize::from(rule.conditions));
        let conditions = self.tables.conditions.get(first..end).unwrap_or_default();
        let mut unknown = None;
        for (number, condition) in (0_u16..=u16::MAX).zip(conditions) {
            match self.is_met(condition) {
                Met::Yes => {}
                Met::No => return Outcome::NotMet(number),
                Met::Unknown => unknown = unknown.or(Some(number)),
            }
        }
        unknown.map_or(Outcome::Matched, Outcome::Unknown)
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
    let family = if packet.src.is_ipv4() { IPV4 } else { IPV6 };
    let question = Question {
        tables,
        packet,
        subject,
        is_later_fragment: packet.fragment.is_some_and(|fragment| fragment.offset != 0),
    };
    for number in tables.chain(place) {
        let Some(rule) = tables.rules.get(*number as usize) else {
            continue;
        };
        let mut outcome = question.outcome(rule, family);
        if outcome == Outcome::Matched
            && rule.limit.events != 0
            && !observer.is_within_limit(*number, rule)
        {
            outcome = Outcome::OverLimit;
        }
        observer.tried(*number, rule, outcome);
        match outcome {
            Outcome::OtherFamily | Outcome::NotMet(_) | Outcome::OverLimit => {}
            _ if rule.flags & SHADOW != 0 => {
                if outcome == Outcome::Matched {
                    observer.shadowed(*number, rule);
                }
            }
            Outcome::Unknown(_) => {
                return Decision {
                    action: Action::of_default(header.fragments),
                    by: By::Fragment(*number),
                };
            }
            Outcome::Matched => {
                return Decision {
                    action: Action::of(rule),
                    by: By::Rule(*number),
                };
            }
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
