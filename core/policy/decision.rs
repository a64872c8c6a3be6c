// SPDX-License-Identifier: GPL-2.0

//! What a policy is asked, by whom, and what it answers.

use ::core::net::IpAddr;

use super::dynamic::Elements;
use super::layout::{Answer, Cgroup, Rule, ELSE_ACCEPT};
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

    #[inline(always)]
    pub(super) fn of(rule: &Rule) -> Self {
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
    pub(super) const fn of_default(number: u8) -> Self {
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
    /// What is in the dynamic set of this number, from 0, now; none: what the policy was
    /// compiled with.
    #[inline]
    fn elements(&self, _number: u16) -> Option<Elements<'_>> {
        None
    }
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
