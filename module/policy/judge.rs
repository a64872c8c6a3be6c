// SPDX-License-Identifier: GPL-2.0

//! What the policy in force says about a packet in a hook.
//!
//! Nothing here sleeps, allocates, prints or takes a lock.

use core::cell::OnceCell;
use core::net::IpAddr;

use kernel::prelude::*;

use nftrace_core::hook::{Family, Hook};
use nftrace_core::packet::{self, Plain};
use nftrace_core::policy::control::slot;
use nftrace_core::policy::dynamic::Elements;
use nftrace_core::policy::layout::{Answer, Cgroup, Rule, LOG};
use nftrace_core::policy::{
    classify, glance, outcome, Action, By, Observer, Outcome, Place, Subject, STATE_ESTABLISHED,
    STATE_INVALID, STATE_NEW, STATE_RELATED, STATE_UNTRACKED,
};
use nftrace_core::record::{Conntrack, ConntrackState, Decision, Record, Socket};

use super::loaded::Loaded;
use super::{Enforced, ENFORCED};
use crate::bindings::errno;
use crate::bindings::hook::Verdict;
use crate::bindings::skb::HookedPacket;
use crate::module::datapath::now;

/// The interface index of `lo`, in every namespace.
const LOOPBACK: u32 = 1;

/// A packet's headers, or none where they cannot be read, and its length.
pub(crate) struct Packet<'a> {
    pub(crate) headers: Option<&'a packet::Packet>,
    /// Bytes from the network header on.
    pub(crate) len: u32,
}

/// A rule that is to be written down.
#[derive(Clone, Copy)]
pub(crate) struct Read {
    /// Its number, from 1; 0 for none.
    pub(crate) rule: u32,
    /// Whether it is not enforced.
    pub(crate) is_shadow: bool,
    /// Whether the kernel's log gets it.
    pub(crate) is_logged: bool,
}

/// What was decided.
#[derive(Clone, Copy)]
pub(crate) struct Judgement {
    /// What is to become of the packet.
    pub(crate) action: Action,
    /// The generation that decided; 0 for none.
    pub(crate) generation: u32,
    /// By which rule.
    pub(crate) by: Read,
    /// The first rule that would have decided, were it enforced.
    pub(crate) shadow: Option<Read>,
}

impl Judgement {
    /// Without a policy.
    const fn without(action: Action) -> Self {
        Self {
            action,
            generation: 0,
            by: Read {
                rule: 0,
                is_shadow: false,
                is_logged: false,
            },
            shadow: None,
        }
    }

    /// What the one record of a packet says: which rule decided, or else which one
    /// would have.
    pub(crate) fn main(&self) -> Read {
        match self.shadow {
            Some(shadow) if self.by.rule == 0 => shadow,
            _ => self.by,
        }
    }

    /// What a record of the packet says was decided.
    #[inline]
    pub(crate) fn decision(&self) -> Decision {
        let read = self.main();
        Decision {
            verdict: self.action.verdict(),
            rule: read.rule,
            generation: self.generation,
            is_shadow: read.is_shadow,
        }
    }

    /// Writes into a record what was decided.
    pub(crate) fn note(&self, read: Read, record: &mut Record) {
        record.set_verdict(self.action.verdict());
        record.rule = read.rule;
        record.generation = self.generation;
        if read.is_shadow {
            record.set_shadow();
        }
    }

    /// What the hook is to do.
    #[inline]
    pub(crate) fn verdict(&self, hook: Hook, packet: Option<&packet::Packet>) -> Verdict {
        match self.action {
            Action::Accept => Verdict::Accept,
            Action::Drop => Verdict::Drop(EPERM),
            Action::Queue {
                number,
                else_accept,
            } => Verdict::Queue {
                number,
                else_accept,
            },
            Action::Reject(answer) => reject(answer, hook, packet),
        }
    }
}

/// A packet that is rejected where it is sent: who connects is told at once, and no
/// packet is needed for it. What is established already gets its answer.
fn reject(answer: Answer, hook: Hook, packet: Option<&packet::Packet>) -> Verdict {
    /// Of SYN and ACK, only SYN.
    const OPENS: (u8, u8) = (0x02, 0x12);
    let Some(packet) = packet else {
        return Verdict::Drop(EPERM);
    };
    let tcp = match packet.transport {
        packet::Transport::Tcp(tcp) => Some(tcp),
        _ => None,
    };
    if hook == Hook::LocalOut && tcp.is_none_or(|tcp| tcp.flags & OPENS.1 == OPENS.0) {
        return Verdict::Drop(errno::connection_refused());
    }
    Verdict::Reject(match answer {
        Answer::Fitting if tcp.is_some() => Answer::TcpReset,
        Answer::Fitting => Answer::PortUnreachable,
        answer => answer,
    })
}

/// A packet in a hook, and what was found out about it.
struct Hooked<'a, 'b> {
    hooked: &'a HookedPacket<'b>,
    loaded: &'a Loaded,
    conntrack: OnceCell<Option<Conntrack>>,
    socket: OnceCell<Option<Socket>>,
}

/// What is found out when it is first asked for. `OnceCell::get_or_init()` would panic
/// if `find` asked for it itself.
#[inline]
fn once<T>(cell: &OnceCell<T>, find: impl FnOnce() -> T) -> Option<&T> {
    if cell.get().is_none() {
        let _ = cell.set(find());
    }
    cell.get()
}

impl<'a, 'b> Hooked<'a, 'b> {
    fn new(hooked: &'a HookedPacket<'b>, loaded: &'a Loaded) -> Self {
        Self {
            hooked,
            loaded,
            conntrack: OnceCell::new(),
            socket: OnceCell::new(),
        }
    }

    fn conntrack(&self) -> Option<&Conntrack> {
        once(&self.conntrack, || self.hooked.conntrack())?.as_ref()
    }
}

impl Subject for Hooked<'_, '_> {
    #[inline]
    fn cookie(&self) -> u64 {
        self.hooked.cookie()
    }

    #[inline]
    fn is_in_new_namespace(&self) -> bool {
        self.hooked.namespace_birth() >= self.loaded.epoch
    }

    fn input(&self) -> [u8; 16] {
        self.hooked.input().name
    }

    fn output(&self) -> [u8; 16] {
        self.hooked.output().name
    }

    fn mark(&self) -> u32 {
        self.hooked.mark()
    }

    fn state(&self) -> u32 {
        match self.conntrack() {
            Some(conntrack) => match conntrack.state {
                ConntrackState::Established => STATE_ESTABLISHED,
                ConntrackState::Related => STATE_RELATED,
                ConntrackState::New => STATE_NEW,
                ConntrackState::Untracked => STATE_UNTRACKED,
            },
            None if self.hooked.is_untracked() => STATE_UNTRACKED,
            None => STATE_INVALID,
        }
    }

    fn original_destination(&self) -> Option<(IpAddr, Option<u16>)> {
        let conntrack = self.conntrack()?;
        Some((conntrack.dst, conntrack.ports.map(|ports| ports.dst)))
    }

    fn socket(&self) -> Option<Socket> {
        *once(&self.socket, || self.hooked.socket())?
    }

    fn is_of(&self, cgroup: &Cgroup) -> bool {
        // Nothing is below a cgroup that there is not.
        cgroup.id != 0 && self.hooked.cgroup_ancestor(cgroup.level) == cgroup.id
    }

    fn elements(&self, number: u16) -> Option<Elements<'_>> {
        self.loaded.sets.read_in(number, self.hooked)
    }
}

/// Counts what is not enforced, and keeps limits.
struct Watch<'a, 'b> {
    loaded: &'a Loaded,
    hooked: &'a HookedPacket<'b>,
    len: u32,
    shadow: Option<Read>,
}

/// Counts a packet of so many bytes.
#[inline(always)]
fn count(loaded: &Loaded, hooked: &HookedPacket<'_>, len: u32, slot: u32) {
    let counters = &loaded.counters;
    counters.count(slot, hooked.cookie(), hooked.inode(), len);
}

impl Watch<'_, '_> {
    fn count(&self, slot: u32) {
        count(self.loaded, self.hooked, self.len, slot);
    }

    /// Whether a rule that matches writes to the log, this time.
    fn logs(&self, number: u32, rule: &Rule) -> bool {
        let limit = rule.log_limit;
        rule.flags & LOG != 0
            && (limit.events == 0
                || self
                    .loaded
                    .log_limits
                    .as_ref()
                    .get(number as usize)
                    .is_some_and(|bucket| {
                        bucket.take(now(), limit.events, limit.seconds, limit.events)
                    }))
    }
}

impl Observer for Watch<'_, '_> {
    fn is_within_limit(&mut self, number: u32, rule: &Rule) -> bool {
        self.loaded
            .limits
            .as_ref()
            .get(number as usize)
            .is_some_and(|bucket| {
                let limit = rule.limit;
                bucket.take(now(), limit.events, limit.seconds, rule.burst)
            })
    }

    fn shadowed(&mut self, number: u32, rule: &Rule) {
        self.count(number);
        let is_logged = self.logs(number, rule);
        let read = self.shadow.get_or_insert(Read {
            rule: number.wrapping_add(1),
            is_shadow: true,
            is_logged,
        });
        if is_logged && !read.is_logged {
            *read = Read {
                rule: number.wrapping_add(1),
                is_shadow: true,
                is_logged,
            };
        }
    }
}

#[inline(always)]
fn place(hooked: &HookedPacket<'_>) -> Place {
    Place {
        hook: hooked.hook(),
        is_bridge: hooked.family() == Family::Bridge,
    }
}

fn judge_by(loaded: &Loaded, hooked: &HookedPacket<'_>, packet: &Packet<'_>) -> Judgement {
    let tables = loaded.tables();
    let place = place(hooked);
    let subject = Hooked::new(hooked, loaded);
    let mut watch = Watch {
        loaded,
        hooked,
        len: packet.len,
        shadow: None,
    };
    let decision = classify(tables, place, packet.headers, &subject, &mut watch);
    watch.count(slot::of(decision.by, place, loaded.len()));
    let (rule, is_logged) = match decision.by {
        By::Rule(number) => {
            let rule = tables.rules.get(number as usize);
            let is_logged = rule.is_some_and(|rule| watch.logs(number, rule));
            (number.wrapping_add(1), is_logged)
        }
        // It did not decide, but it is why nothing further was asked.
        By::Fragment(number) => (number.wrapping_add(1), false),
        By::Default | By::New | By::Malformed => (0, false),
    };
    Judgement {
        action: decision.action,
        generation: loaded.generation,
        by: Read {
            rule,
            is_shadow: false,
            is_logged,
        },
        shadow: watch.shadow,
    }
}

/// What is to become of a packet; none where nothing decides about any.
#[inline]
pub(crate) fn judge(hooked: &HookedPacket<'_>, packet: &Packet<'_>) -> Option<Judgement> {
    match ENFORCED.read_in(hooked)? {
        Enforced::Policy(loaded) => Some(judge_by(loaded, hooked, packet)),
        Enforced::DropAll => {
            let is_local = |index| index == LOOPBACK;
            let stays = is_local(hooked.input().index) || is_local(hooked.output().index);
            Some(Judgement::without(if stays {
                Action::Accept
            } else {
                Action::Drop
            }))
        }
    }
}

/// The same for a packet as most are, of `len` bytes from its network header on, that
/// nobody traces: none where it takes more than a glance.
#[inline(always)]
pub(crate) fn judge_plain(
    hooked: &HookedPacket<'_>,
    plain: &Plain<'_>,
    len: u32,
) -> Option<Verdict> {
    let Enforced::Policy(loaded) = ENFORCED.read_in(hooked)? else {
        return None;
    };
    let place = Place {
        hook: hooked.hook(),
        is_bridge: false,
    };
    let decision = glance(
        loaded.tables(),
        place,
        plain,
        || hooked.cookie(),
        |number| ask(loaded, *hooked, *plain, number),
    )?;
    count(
        loaded,
        hooked,
        len,
        slot::of(decision.by, place, loaded.len()),
    );
    Some(match decision.action {
        Action::Accept => Verdict::Accept,
        _ => Verdict::Drop(EPERM),
    })
}

/// What comes of a rule that asks for more than the index knows.
#[cold]
#[inline(never)]
fn ask(loaded: &Loaded, hooked: HookedPacket<'_>, plain: Plain<'_>, number: u32) -> Outcome {
    let subject = Hooked::new(&hooked, loaded);
    outcome(loaded.tables(), number, &plain.packet(), &subject)
}
