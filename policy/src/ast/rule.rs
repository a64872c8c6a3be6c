// SPDX-License-Identifier: GPL-2.0

//! Rules.

use super::operand::{Address, Device, IdRange, NamespaceSpec, Operand, Port};
use super::{Basic, Place, Spans};
use nftrace_core::packet::Protocol;

/// A rule: what it does with the packets for which all of its clauses hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    /// `shadow`: counted and logged, never enforced; the next rules go on.
    pub shadow: bool,
    /// What happens to the packet.
    pub verdict: Verdict,
    /// Conntrack's states, one of which the packet has; none: any.
    pub states: Vec<State>,
    /// `ipv4`, `ipv6`.
    pub family: Option<IpFamily>,
    /// `[not] tcp, …`
    pub protocols: Option<Operand<Protocol>>,
    /// `icmp type T [code C]`
    pub icmp: Option<Icmp>,
    /// `port P`: source or destination port.
    pub port: Option<Operand<Port>>,
    /// `from X [port P]`
    pub from: Option<Endpoint>,
    /// `to X [port P]`
    pub to: Option<Endpoint>,
    /// `original to X [port P]`: where the connection's first packet went, before DNAT.
    pub original: Option<Endpoint>,
    /// `flags V/M`: TCP's.
    pub flags: Option<Flags>,
    /// `iif DEVICE, …`
    pub iif: Option<Operand<Device>>,
    /// `oif DEVICE, …`
    pub oif: Option<Operand<Device>>,
    /// `mark V/M`
    pub mark: Option<Mark>,
    /// `cgroup "PATH"`: of the local socket; with all that is below it.
    pub cgroup: Option<Operand<String>>,
    /// `classid N`: of the local socket (`net_cls`).
    pub classid: Option<Operand<u32>>,
    /// `uid N`: who owns the local socket.
    pub uid: Option<Operand<IdRange>>,
    /// `fragment`: later fragments only.
    pub fragment: bool,
    /// `at HOOK, …`; none: the five IP hooks.
    pub hooks: Vec<Place>,
    /// `in NS, …`; none: all namespaces.
    pub namespaces: Option<Operand<NamespaceSpec>>,
    /// `limit N/UNIT`: the rule matches no more often.
    pub limit: Option<Limit>,
    /// `log`
    pub log: Option<Log>,
    /// `name "TEXT"`
    pub name: Option<String>,
    /// Where it stands.
    pub at: Spans,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Let other netfilter rules decide.
    #[default]
    Accept,
    /// Drop.
    Drop,
    /// Drop, and tell the sender.
    Reject(RejectWith),
    /// Let a program in user space decide.
    Queue {
        /// The NFQUEUE number.
        number: u16,
        /// What happens when no program listens.
        otherwise: Otherwise,
    },
}

/// What happens to a packet for whose queue no program listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Otherwise(pub Basic);

/// What the sender of a rejected packet is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RejectWith {
    /// `tcp-reset` for TCP, `port-unreachable` for the others.
    #[default]
    Usual,
    /// A TCP reset.
    TcpReset,
    /// ICMP port unreachable.
    PortUnreachable,
    /// ICMP host unreachable; ICMPv6 address unreachable.
    HostUnreachable,
    /// ICMP network unreachable; ICMPv6 no route.
    NetUnreachable,
    /// ICMP administratively prohibited.
    AdminProhibited,
}

impl RejectWith {
    /// Those that have a name.
    pub const NAMED: [Self; 5] = [
        Self::TcpReset,
        Self::PortUnreachable,
        Self::HostUnreachable,
        Self::NetUnreachable,
        Self::AdminProhibited,
    ];

    /// The name, as in `tcp-reset`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Usual => "",
            Self::TcpReset => "tcp-reset",
            Self::PortUnreachable => "port-unreachable",
            Self::HostUnreachable => "host-unreachable",
            Self::NetUnreachable => "net-unreachable",
            Self::AdminProhibited => "admin-prohibited",
        }
    }
}

/// Conntrack's state of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Of a connection that has had an answer.
    Established,
    /// A new connection that belongs to another one, or an ICMP error.
    Related,
    /// The first of a connection.
    New,
    /// Of no connection, against the protocol.
    Invalid,
    /// Conntrack was told to leave it alone, or is not loaded.
    Untracked,
}

impl State {
    /// All states.
    pub const ALL: [Self; 5] = [
        Self::Established,
        Self::Related,
        Self::New,
        Self::Invalid,
        Self::Untracked,
    ];

    /// The name, as in `established`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Established => "established",
            Self::Related => "related",
            Self::New => "new",
            Self::Invalid => "invalid",
            Self::Untracked => "untracked",
        }
    }
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IpFamily {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// `from`, `to`: addresses and ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Endpoint {
    /// The addresses; none: `any`.
    pub addresses: Option<Operand<Address>>,
    /// The ports; none: any, and protocols without ports, too.
    pub ports: Option<Operand<Port>>,
}

/// Of which ICMP a type is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IcmpFamily {
    /// ICMP.
    Icmp,
    /// ICMPv6.
    Icmpv6,
}

/// `icmp type T [code C]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Icmp {
    /// Which ICMP.
    pub family: IcmpFamily,
    /// The type.
    pub kind: u8,
    /// The code; none: any.
    pub code: Option<u8>,
}

/// `flags V/M`: of TCP's flags in `mask`, those in `value` are set, the others are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flags {
    /// The flags that are set.
    pub value: u8,
    /// The flags that are looked at.
    pub mask: u8,
}

impl Flags {
    /// TCP's flags by bit, from 0.
    pub const NAMES: [&'static str; 8] = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"];
    /// What is looked at where no mask is said: fin, syn, rst, ack.
    pub const USUAL_MASK: u8 = 0x17;
}

/// `mark [not] V[/M]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mark {
    /// Whether the mark is another one.
    pub not: bool,
    /// The value.
    pub value: u32,
    /// The bits that are looked at; all by default.
    pub mask: u32,
}

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Second.
    Second,
    /// Minute.
    Minute,
    /// Hour.
    Hour,
}

impl Unit {
    /// All units.
    pub const ALL: [Self; 3] = [Self::Second, Self::Minute, Self::Hour];

    /// The name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
        }
    }

    /// So many nanoseconds.
    #[must_use]
    pub fn nanoseconds(self) -> u64 {
        1_000_000_000
            * match self {
                Self::Second => 1,
                Self::Minute => 60,
                Self::Hour => 3600,
            }
    }
}

/// `limit N/UNIT [burst B]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limit {
    /// So many.
    pub count: u32,
    /// In this time.
    pub per: Unit,
    /// So many at once; none: as many as `count`.
    pub burst: Option<u32>,
}

/// `log [limit …]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Log {
    /// No more often than that.
    pub limit: Option<Limit>,
}

/// Which end of a packet a clause is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bound {
    /// `from`
    From,
    /// `to`
    To,
    /// `original to`
    Original,
}

/// The parts of a statement that an error can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Clause {
    /// `drop`
    Verdict,
    /// `established`
    States,
    /// `ipv4`
    Family,
    /// `tcp`
    Protocols,
    /// `icmp type …`
    Icmp,
    /// `port …` of either end
    Port,
    /// Addresses of an end.
    Addresses(Bound),
    /// Ports of an end.
    Ports(Bound),
    /// `flags …`
    Flags,
    /// `iif …`
    Iif,
    /// `oif …`
    Oif,
    /// `mark …`
    Mark,
    /// `cgroup …`
    Cgroup,
    /// `classid …`
    Classid,
    /// `uid …`
    Uid,
    /// `fragment`
    Fragment,
    /// `at …`
    Hooks,
    /// `in …`
    Namespaces,
    /// `limit …`
    Limit,
    /// `log …`
    Log,
    /// `name …`
    Name,
    /// The name of a set, the file of an include
    Subject,
}
