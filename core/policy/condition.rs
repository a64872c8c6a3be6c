// SPDX-License-Identifier: GPL-2.0

//! What a condition is about, and at which hooks it can be known.

use super::layout::Pool;
use crate::hook::Hook;

/// What a condition is about, and what its two operands are: the numbers of sets
/// of the pools that `Kind::pools` names, or values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Source address: a set of IPv4 ranges, and one of IPv6 ranges.
    Source = 0,
    /// Destination address: the same.
    Destination = 1,
    /// Destination of the connection's first packet, before NAT: the same.
    OriginalDestination = 2,
    /// Source port: a set.
    SourcePort = 3,
    /// Destination port: a set.
    DestinationPort = 4,
    /// Either port: a set.
    EitherPort = 5,
    /// Destination port of the connection's first packet: a set.
    OriginalDestinationPort = 6,
    /// The protocol's number: a set.
    Protocol = 7,
    /// ICMP or ICMPv6: a set of 256 times the type, plus the code.
    Icmp = 8,
    /// TCP's flags: those that are set, of those that are looked at.
    TcpFlags = 9,
    /// How conntrack sees it: bits, 1 for [`STATE_ESTABLISHED`] and so on.
    State = 10,
    /// The firewall mark: its value, of the bits that are looked at.
    Mark = 11,
    /// The cgroup of the local socket: a set of cgroups.
    Cgroup = 12,
    /// The classid of the local socket: a set.
    Classid = 13,
    /// The user of the local socket: a set.
    Uid = 14,
    /// The device through which it came: a set of patterns.
    Input = 15,
    /// The device through which it will leave: the same.
    Output = 16,
    /// The namespace: a set of cookies.
    Namespace = 17,
    /// A later fragment: no operand.
    Fragment = 18,
    /// Source address: a dynamic set ([`super::layout::Condition::dynamic`]), or one of
    /// IPv4 ranges and one of IPv6 ranges.
    DynamicSource = 19,
    /// Destination address: the same.
    DynamicDestination = 20,
    /// Destination of the connection's first packet, before NAT: the same.
    DynamicOriginalDestination = 21,
}

/// In the operand of [`Kind::State`].
pub const STATE_ESTABLISHED: u32 = 1;
/// In the operand of [`Kind::State`].
pub const STATE_RELATED: u32 = 2;
/// In the operand of [`Kind::State`].
pub const STATE_NEW: u32 = 4;
/// In the operand of [`Kind::State`]: conntrack makes nothing of it.
pub const STATE_INVALID: u32 = 8;
/// In the operand of [`Kind::State`].
pub const STATE_UNTRACKED: u32 = 16;

impl Kind {
    /// All kinds, by number.
    pub const ALL: [Self; 22] = [
        Self::Source,
        Self::Destination,
        Self::OriginalDestination,
        Self::SourcePort,
        Self::DestinationPort,
        Self::EitherPort,
        Self::OriginalDestinationPort,
        Self::Protocol,
        Self::Icmp,
        Self::TcpFlags,
        Self::State,
        Self::Mark,
        Self::Cgroup,
        Self::Classid,
        Self::Uid,
        Self::Input,
        Self::Output,
        Self::Namespace,
        Self::Fragment,
        Self::DynamicSource,
        Self::DynamicDestination,
        Self::DynamicOriginalDestination,
    ];

    /// That of a number in [`super::layout::Condition::kind`].
    #[inline]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Of which pools its operands are sets.
    pub(super) const fn pools(self) -> [Option<Pool>; 2] {
        match self {
            Self::Source
            | Self::Destination
            | Self::OriginalDestination
            | Self::DynamicSource
            | Self::DynamicDestination
            | Self::DynamicOriginalDestination => [Some(Pool::Ranges32), Some(Pool::Ranges128)],
            Self::SourcePort
            | Self::DestinationPort
            | Self::EitherPort
            | Self::OriginalDestinationPort
            | Self::Protocol
            | Self::Icmp
            | Self::Classid
            | Self::Uid => [Some(Pool::Ranges32), None],
            Self::Cgroup => [Some(Pool::Cgroups), None],
            Self::Input | Self::Output => [Some(Pool::Patterns), None],
            Self::Namespace => [Some(Pool::Words), None],
            Self::TcpFlags | Self::State | Self::Mark | Self::Fragment => [None, None],
        }
    }

    /// The greatest number that its set of 32-bit ranges may hold.
    pub(super) const fn most(self) -> u32 {
        match self {
            Self::Protocol => 0xff,
            Self::SourcePort
            | Self::DestinationPort
            | Self::EitherPort
            | Self::OriginalDestinationPort
            | Self::Icmp => 0xffff,
            _ => u32::MAX,
        }
    }

    /// Whether the transport header says it, which later fragments do not have.
    #[inline]
    pub const fn is_of_transport(self) -> bool {
        self.is_of_ports() || matches!(self, Self::Icmp | Self::TcpFlags)
    }

    /// Whether it is about ports.
    #[inline]
    pub const fn is_of_ports(self) -> bool {
        matches!(
            self,
            Self::SourcePort | Self::DestinationPort | Self::EitherPort
        )
    }

    /// Whether conntrack says it.
    #[inline]
    pub const fn needs_conntrack(self) -> bool {
        matches!(
            self,
            Self::State
                | Self::OriginalDestination
                | Self::OriginalDestinationPort
                | Self::DynamicOriginalDestination
        )
    }

    /// Whether it asks a dynamic set. No index knows what is in one, so that no box of a
    /// rule says anything about such a condition: it is asked of each packet.
    #[inline]
    pub const fn is_dynamic(self) -> bool {
        matches!(
            self,
            Self::DynamicSource | Self::DynamicDestination | Self::DynamicOriginalDestination
        )
    }

    /// What it is about: the same kind without a dynamic set.
    pub const fn plain(self) -> Self {
        match self {
            Self::DynamicSource => Self::Source,
            Self::DynamicDestination => Self::Destination,
            Self::DynamicOriginalDestination => Self::OriginalDestination,
            other => other,
        }
    }

    /// Whether the local socket says it.
    #[inline]
    pub const fn needs_socket(self) -> bool {
        matches!(self, Self::Cgroup | Self::Classid | Self::Uid)
    }
}

/// Where a rule is asked: at a hook of the IP families, or of the bridge family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The hook.
    pub hook: Hook,
    /// Whether it is the bridge family's.
    pub is_bridge: bool,
}

impl Place {
    /// All places, by number.
    pub fn all() -> impl Iterator<Item = Self> {
        let of = |is_bridge| Hook::ALL.map(|hook| Self { hook, is_bridge });
        of(false).into_iter().chain(of(true))
    }

    /// Its number, from 0 to 9.
    #[inline]
    pub const fn number(self) -> usize {
        self.bit() as usize
    }

    /// Its number as that of its bit in [`super::layout::Rule::places`].
    #[inline]
    pub const fn bit(self) -> u32 {
        self.hook as u32 + if self.is_bridge { 5 } else { 0 }
    }

    /// Why a condition of this kind cannot be known here; none where it can.
    pub const fn refuses(self, kind: Kind) -> Option<Unknown> {
        if kind.needs_conntrack() {
            if self.is_bridge {
                return Some(Unknown::NoConntrackOnBridges);
            }
            return match self.hook {
                Hook::PreRouting | Hook::LocalOut => Some(Unknown::BeforeConntrack),
                _ => None,
            };
        }
        if kind.needs_socket() {
            if self.is_bridge {
                return Some(Unknown::NoLocalSocket);
            }
            return match self.hook {
                Hook::LocalIn | Hook::LocalOut => None,
                _ => Some(Unknown::NoLocalSocket),
            };
        }
        match (kind, self.hook) {
            (Kind::Input, Hook::LocalOut) => Some(Unknown::NoInput),
            (Kind::Input, Hook::PostRouting) if self.is_bridge => Some(Unknown::InputForgotten),
            (Kind::Output, Hook::PreRouting | Hook::LocalIn) => Some(Unknown::NoOutput),
            _ => None,
        }
    }

    /// Why a packet cannot be answered here; none where it can.
    pub const fn refuses_reject(self) -> Option<Unknown> {
        if self.is_bridge {
            return Some(Unknown::NoAnswerOnBridges);
        }
        match self.hook {
            Hook::PostRouting => Some(Unknown::NoAnswer),
            _ => None,
        }
    }

    /// Why a packet cannot be queued here; none where it can.
    pub const fn refuses_queue(self) -> Option<Unknown> {
        if self.is_bridge {
            Some(Unknown::NoQueueOnBridges)
        } else {
            None
        }
    }
}

/// Why something cannot be at a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// Conntrack comes behind us there.
    BeforeConntrack,
    /// Bridged frames are not tracked.
    NoConntrackOnBridges,
    /// Whose socket it is is known at `LOCAL_OUT` and `LOCAL_IN` only.
    NoLocalSocket,
    /// It came through no device.
    NoInput,
    /// The bridge does not say through which one it came.
    InputForgotten,
    /// Routing has not said yet where it goes.
    NoOutput,
    /// It is on its way out, so nobody could be told.
    NoAnswer,
    /// A bridge has no address to answer from.
    NoAnswerOnBridges,
    /// Queues are those of the IP families.
    NoQueueOnBridges,
}

impl Unknown {
    /// The reason as the end of a sentence.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::BeforeConntrack => "conntrack has not seen the packet there yet",
            Self::NoConntrackOnBridges => "conntrack does not see bridged packets",
            Self::NoLocalSocket => "the local socket is known at local_out and local_in only",
            Self::NoInput => "a packet that is sent from here came through no device",
            Self::InputForgotten => "the bridge does not say any more through which port it came",
            Self::NoOutput => "routing has not chosen the device there yet",
            Self::NoAnswer => "the packet is on its way out there: nobody could be told",
            Self::NoAnswerOnBridges => "a bridge has no address to answer from",
            Self::NoQueueOnBridges => "queues are those of the IP families",
        }
    }
}
