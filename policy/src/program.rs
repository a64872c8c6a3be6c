// SPDX-License-Identifier: GPL-2.0

//! A policy whose names have become numbers: what the compiler takes.

use crate::ast::{Basic, Bound, Clause, Device, Flags, Limit, NewNamespaces, Place, Verdict};
use crate::ranges::Addresses;
use crate::sets::Set;
use crate::source::Position;
use nftrace_core::policy::layout::{Cgroup, Range32};
use std::sync::Arc;

/// Rules in order, and what holds where none decides.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// The rules.
    pub rules: Vec<ProgramRule>,
    /// The default of each place, by its number.
    pub defaults: [Basic; 10],
    /// For packets that cannot be read.
    pub malformed: Basic,
    /// For later fragments of which a rule would have to know more.
    pub fragments: Basic,
    /// For namespaces that are born later; none: as for all.
    pub new: Option<NewNamespaces>,
    /// Sets that change while it is in force, in the order of their names.
    pub dynamics: Vec<ProgramSet>,
    /// The whole policy as text, a statement a line.
    pub text: String,
}

/// A set that changes while the policy is in force.
#[derive(Clone, Debug, PartialEq)]
pub struct ProgramSet {
    /// Its name.
    pub name: String,
    /// Where that is in [`Program::text`].
    pub name_at: usize,
    /// What it begins with.
    pub addresses: Arc<Addresses>,
}

impl From<(&str, &Set)> for ProgramSet {
    fn from((name, set): (&str, &Set)) -> Self {
        Self {
            name: name.to_string(),
            name_at: 0,
            addresses: Arc::clone(&set.addresses),
        }
    }
}

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct ProgramRule {
    /// The rule in its canonical form, on one line.
    pub text: String,
    /// Where it is in [`Program::text`].
    pub text_at: usize,
    /// Where it was written.
    pub position: Position,
    /// Its name.
    pub name: Option<String>,
    /// By what it is the same rule in another policy: see [`identity`].
    pub identity: u64,
    /// Whether it is not enforced.
    pub shadow: bool,
    /// What it does.
    pub verdict: Verdict,
    /// Where it is asked.
    pub places: Vec<Place>,
    /// [`IPV4`](nftrace_core::policy::layout::IPV4), `IPV6`, both; 0 where what its names
    /// mean now leaves none: it does not match.
    pub families: u8,
    /// What holds for each packet that it matches.
    pub conditions: Vec<Condition>,
    /// How often it matches.
    pub limit: Option<Limit>,
    /// Whether it writes to the kernel's log.
    pub log: bool,
    /// How often.
    pub log_limit: Option<Limit>,
}

/// One condition of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The clause that it comes from.
    pub clause: Clause,
    /// Whether the test has to fail.
    pub not: bool,
    /// What is compared with what.
    pub test: Test,
}

/// What is compared with what.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// Cookies of namespaces, in order.
    Namespace(Vec<u64>),
    /// Numbers of protocols.
    Protocol(Vec<Range32>),
    /// A later fragment.
    Fragment,
    /// 256 times ICMP's type, plus the code.
    Icmp(Range32),
    /// The source port.
    SourcePort(Arc<Vec<Range32>>),
    /// The destination port.
    DestinationPort(Arc<Vec<Range32>>),
    /// One of the two.
    EitherPort(Arc<Vec<Range32>>),
    /// TCP's flags.
    Flags(Flags),
    /// The source address.
    Source(Arc<Addresses>),
    /// The destination address.
    Destination(Arc<Addresses>),
    /// The device through which it came.
    Input(Vec<Device>),
    /// The device through which it leaves.
    Output(Vec<Device>),
    /// The mark: value and mask.
    Mark(u32, u32),
    /// Bits of [`nftrace_core::policy`]'s `STATE_…`.
    State(u32),
    /// The original destination address.
    Original(Arc<Addresses>),
    /// The original destination port.
    OriginalPort(Arc<Vec<Range32>>),
    /// Cgroups by id.
    Cgroup(Vec<Cgroup>),
    /// Classids.
    Classid(Vec<Range32>),
    /// Users.
    Uid(Vec<Range32>),
    /// An end's address: in the dynamic set of this number in [`Program::dynamics`], or one
    /// of those that are named besides.
    Dynamic(Bound, usize, Arc<Addresses>),
}

/// The identity of a rule: FNV-1a, 64 bits, of its canonical text in UTF-8 and of the four
/// bytes, least first, of how many rules with this text stand before it. So the counters
/// of a rule go on when the rules around it change, or what its sets hold.
#[must_use]
pub fn identity(text: &str, equal_before: u32) -> u64 {
    let bytes = text.bytes().chain(equal_before.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
