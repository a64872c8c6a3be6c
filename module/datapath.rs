// SPDX-License-Identifier: GPL-2.0

//! What happens to a packet in a hook: parse its headers, ask the policy and the
//! filter, and write a record where one of them says so.
//!
//! Nothing here sleeps, allocates, prints or takes a lock.

mod drops;
mod site;

use core::sync::atomic::Ordering;

use kernel::prelude::*;
use kernel::sync::Arc;

use nftrace_core::hook::Family;
use nftrace_core::lives::{self, Lives};
use nftrace_core::packet::{self, Icmp, Packet, Transport};
use nftrace_core::recent::{self, Key, Recent, DATAGRAM_LIFETIME, FLOW_LIFETIME};
use nftrace_core::record::{write, Conntrack, Decision, Record, Site};
use nftrace_core::trace::Surroundings;

use super::control::COUNTERS;
use super::dmesg::Printer;
use super::headers::Start;
use super::policy::{self, Judgement, Keeper, Read};
use super::rings::{Rings, Storage, Turn};
use super::tracing::{Tracing, TRACING};
use crate::bindings::hook::{Glance, Handler, Verdict};
pub(crate) use crate::bindings::now;
use crate::bindings::skb::HookedPacket;
use crate::bindings::tracepoint::{FreedPacket, Reason};
use crate::bindings::work::Worker;
use crate::bindings::SipHash;
use site::{sighting, site};

/// Entries of the tables of fragmented datagrams and of flows: 32 KiB each.
const RECENT: usize = 4096;

/// Sets of the table of packets that are under way, of four each: 512 KiB.
const LIVES: usize = 2048;

/// What the hooks need.
pub(crate) struct Datapath {
    rings: Arc<Rings>,
    printer: Arc<Worker<Printer>>,
    keeper: Arc<Worker<Keeper>>,
    /// Datagrams whose first fragment was traced.
    fragments: Recent<Storage<recent::Entry>, SipHash>,
    /// Flows that are traced though they are not what is asked for by themselves.
    flows: Recent<Storage<recent::Entry>, SipHash>,
    lives: Lives<Storage<lives::Set>>,
}

impl Datapath {
    /// A datapath that writes into `rings` and tells `printer` so, and `keeper` of
    /// namespaces that come.
    pub(crate) fn new(
        rings: Arc<Rings>,
        printer: Arc<Worker<Printer>>,
        keeper: Arc<Worker<Keeper>>,
    ) -> Result<Self> {
        let recent = |lifetime| -> Result<_> {
            let entries = Storage::new(RECENT, || recent::Entry::new(0))?;
            Ok(Recent::new(entries, SipHash::new(), lifetime))
        };
        let lives = Storage::new(LIVES, lives::Set::default)?;
        Ok(Self {
            rings,
            printer,
            keeper,
            fragments: recent(DATAGRAM_LIFETIME)?,
            flows: recent(FLOW_LIFETIME)?,
            lives: Lives::new(lives),
        })
    }

    /// Looks at a packet of a family, as [`Handler::glance`]. (One for each, with all that
    /// depends on it known.)
    #[inline(always)]
    fn glance_at<const IPV6: bool>(&self, hooked: &HookedPacket<'_>) -> Glance {
        let Some((plain, _)) = Start::glance::<IPV6>(hooked) else {
            return Glance::Unclear;
        };
        let Some(tracing) = TRACING.read_in(hooked) else {
            return Glance::Nobodys;
        };
        if !tracing.filter.refuses(plain.ports) {
            return Glance::Traced;
        }
        // Its buffer is no traced packet's, and it has had no other ports that might be
        // asked for.
        if self.lives.may_know(hooked.address())
            || (tracing.follows_flows && (!self.flows.is_empty() || hooked.is_translated()))
        {
            return Glance::Unclear;
        }
        Glance::Nobodys
    }

    /// Writes a record of a packet with ports that are asked for, if nothing else is to
    /// be known of it: the shorter way to what `trace_any` does. Whether it did.
    #[inline(never)]
    fn trace_plain<const IPV6: bool>(&self, hooked: &HookedPacket<'_>) -> bool {
        let Some(tracing) = TRACING.read_in(hooked) else {
            return false;
        };
        if !tracing.is_of_ports()
            || hooked.has_connection()
            || hooked.may_have_socket()
            || hooked.is_second_pass()
        {
            return false;
        }
        let Some((plain, len)) = Start::glance::<IPV6>(hooked) else {
            return false;
        };
        // What is traced may have changed in between.
        if tracing.filter.refuses(plain.ports) {
            return false;
        }
        let packet = plain.packet();
        let is_logged = tracing.is_logged;
        if let Some(mut turn) = self.rings.reserve() {
            let sighting = sighting(hooked, len);
            let (time, new) = (turn.time, turn.identity);
            let skb = self.lives.see(&sighting, &packet, time, new);
            let site = site(hooked, len, skb, is_logged, &turn);
            let decision = Decision::default();
            write(&mut turn.room, &site, &packet, None, None, &decision);
            turn.commit();
        }
        if is_logged {
            self.printer.kick();
        }
        true
    }

    /// Reads the headers of a packet that is not as most are, and goes on.
    #[inline(never)]
    fn read(&self, hooked: &HookedPacket<'_>, start: &Start<'_>) -> Verdict {
        let headers = match start.read(hooked) {
            Ok(packet) => Some(packet),
            Err(packet::Error::Truncated) => {
                COUNTERS.truncated.fetch_add(1, Ordering::Relaxed);
                None
            }
            Err(packet::Error::Malformed | packet::Error::WindowTooSmall) => {
                COUNTERS.malformed.fetch_add(1, Ordering::Relaxed);
                None
            }
        };
        self.look(hooked, start, headers.as_ref())
    }

    /// Asks the policy about a packet, and writes down what is to be.
    #[inline(never)]
    fn look(
        &self,
        hooked: &HookedPacket<'_>,
        start: &Start<'_>,
        headers: Option<&Packet>,
    ) -> Verdict {
        let len = start.len;
        let judgement = if hooked.is_judged() {
            policy::judge(hooked, &policy::Packet { headers, len })
        } else {
            None
        };
        if let Some(packet) = headers {
            self.write_down(hooked, packet, len, start.offset, judgement.as_ref());
        }
        judgement.map_or(Verdict::Accept, |judged| {
            judged.verdict(hooked.hook(), headers)
        })
    }

    /// Writes a record of the packet if it is traced; whether it did.
    #[inline]
    fn trace_any(
        &self,
        hooked: &HookedPacket<'_>,
        packet: &Packet,
        len: u32,
        offset: u32,
        judgement: Option<&Judgement>,
    ) -> bool {
        let Some(tracing) = TRACING.read_in(hooked) else {
            return false;
        };
        let sighting = sighting(hooked, len);
        let conntrack = hooked.conntrack();
        let is_later_fragment = packet.fragment.is_some_and(|fragment| fragment.offset != 0);
        let mut known = None;
        let by_itself = !is_later_fragment && self.matches(tracing, hooked, packet, None, offset);
        if !by_itself {
            known = self.lives.again(&sighting, packet, now);
            if known.is_none()
                && !self.is_related(tracing, hooked, packet, conntrack.as_ref(), offset)
            {
                return false;
            }
        }
        if packet.fragment.is_some()
            || (tracing.follows_flows && (!by_itself || hooked.is_translated()))
        {
            self.remember(tracing, hooked, packet, conntrack.as_ref(), by_itself);
        }
        let is_logged = tracing.is_logged || judgement.is_some_and(|judged| judged.by.is_logged);
        let socket = hooked.socket();
        let decision = judgement.map_or_else(Decision::default, |judged| judged.decision());
        if let Some(mut turn) = self.rings.reserve() {
            let (time, new) = (turn.time, turn.identity);
            let skb = known.unwrap_or_else(|| self.lives.see(&sighting, packet, time, new));
            let site = site(hooked, len, skb, is_logged, &turn);
            let (conntrack, socket) = (conntrack.as_ref(), socket.as_ref());
            write(&mut turn.room, &site, packet, conntrack, socket, &decision);
            turn.commit();
        }
        if is_logged {
            self.printer.kick();
        }
        true
    }

    /// Writes a record for the kernel's log, because a rule says so.
    #[cold]
    #[inline(never)]
    fn log(
        &self,
        hooked: &HookedPacket<'_>,
        packet: &Packet,
        len: u32,
        judged: &Judgement,
        read: Read,
    ) {
        let (conntrack, socket) = (hooked.conntrack(), hooked.socket());
        self.write(true, |turn| {
            // An identity of its own: nobody follows the packet.
            let mut record = Record::new(
                &Site {
                    conntrack,
                    socket,
                    ..site(hooked, len, turn.identity, true, turn)
                },
                packet,
            );
            judged.note(read, &mut record);
            record
        });
    }

    /// Writes what there is to write of a packet.
    #[inline]
    fn write_down(
        &self,
        hooked: &HookedPacket<'_>,
        packet: &Packet,
        len: u32,
        offset: u32,
        judgement: Option<&Judgement>,
    ) {
        let is_traced =
            hooked.is_traced() && self.trace_any(hooked, packet, len, offset, judgement);
        let Some(judged) = judgement else {
            return;
        };
        if judged.by.is_logged && !is_traced {
            self.log(hooked, packet, len, judged, judged.by);
        }
        if let Some(shadow) = judged.shadow.filter(|shadow| shadow.is_logged) {
            self.log(hooked, packet, len, judged, shadow);
        }
    }

    /// Writes a record, and sees to it that the kernel's log gets it where it should.
    fn write(&self, is_logged: bool, make: impl FnOnce(&Turn<'_>) -> Record) {
        if let Some(mut turn) = self.rings.reserve() {
            let record = make(&turn);
            turn.room.put(&record);
            turn.commit();
        }
        if is_logged {
            self.printer.kick();
        }
    }

    /// Whether a packet is traced because of what its connection or its datagram has.
    #[cold]
    #[inline(never)]
    fn is_related(
        &self,
        tracing: &Tracing,
        hooked: &HookedPacket<'_>,
        packet: &Packet,
        conntrack: Option<&Conntrack>,
        offset: u32,
    ) -> bool {
        if packet.fragment.is_some_and(|fragment| fragment.offset != 0) {
            let datagram = Key::datagram(hooked.cookie(), packet);
            return !self.fragments.is_empty() && self.fragments.knows(&datagram, now());
        }
        // NAT has given the packet another tuple than the one that is asked for.
        tracing.follows_flows
            && ((hooked.is_translated()
                && self.matches(tracing, hooked, packet, conntrack, offset))
                || (!self.flows.is_empty() && self.knows_flow(packet)))
    }

    /// Whether the packet meets the conditions, with `conntrack` also by the tuple
    /// that its connection began with.
    #[inline]
    fn matches(
        &self,
        tracing: &Tracing,
        hooked: &HookedPacket<'_>,
        packet: &Packet,
        conntrack: Option<&Conntrack>,
        offset: u32,
    ) -> bool {
        let devices;
        let around = Surroundings {
            cookie: hooked.cookie(),
            devices: if tracing.filter.needs_devices() {
                devices = [hooked.dev(), hooked.input(), hooked.output()];
                &devices
            } else {
                &[]
            },
            conntrack,
        };
        tracing.filter.matches(packet, &around)
            && tracing
                .program
                .as_ref()
                // It takes packets from their network header on.
                .is_none_or(|program| offset == 0 && program.takes(hooked))
    }

    fn knows_flow(&self, packet: &Packet) -> bool {
        let time = now();
        if let Transport::Icmp(Icmp {
            quoted: Some(quoted),
            ..
        }) = packet.transport
        {
            let key = Key::flow(quoted.protocol, quoted.src, quoted.dst, quoted.ports);
            if self.flows.knows(&key, time) {
                return true;
            }
        }
        self.flows.knows(&flow(packet), time)
    }

    /// Remembers by what else the flow and the datagram of a traced packet are known.
    #[cold]
    #[inline(never)]
    fn remember(
        &self,
        tracing: &Tracing,
        hooked: &HookedPacket<'_>,
        packet: &Packet,
        conntrack: Option<&Conntrack>,
        by_itself: bool,
    ) {
        let time = now();
        if let Some(fragment) = packet.fragment {
            if fragment.offset == 0 {
                let datagram = Key::datagram(hooked.cookie(), packet);
                self.fragments.remember(&datagram, time);
            } else {
                // It has no ports that a flow is known by.
                return;
            }
        }
        if !tracing.follows_flows {
            return;
        }
        if !by_itself {
            self.flows.remember(&flow(packet), time);
        }
        if let Some(original) = conntrack.filter(|_| hooked.is_translated()) {
            let key = Key::flow(packet.protocol, original.src, original.dst, original.ports);
            self.flows.remember(&key, time);
        }
    }

    /// Forgets what was traced: something else is from now on.
    pub(crate) fn forget(&self) {
        self.lives.clear();
        self.flows.clear();
        self.fragments.clear();
    }
}

fn flow(packet: &Packet) -> Key {
    Key::flow(packet.protocol, packet.src, packet.dst, packet.ports())
}

impl Handler for Datapath {
    #[inline]
    fn glance(&self, hooked: &HookedPacket<'_>) -> Glance {
        match hooked.family() {
            Family::Ipv4 => self.glance_at::<false>(hooked),
            Family::Ipv6 => self.glance_at::<true>(hooked),
            Family::Bridge => Glance::Unclear,
        }
    }

    #[inline]
    fn trace(&self, hooked: &HookedPacket<'_>) -> bool {
        match hooked.family() {
            Family::Ipv4 => self.trace_plain::<false>(hooked),
            Family::Ipv6 => self.trace_plain::<true>(hooked),
            Family::Bridge => false,
        }
    }

    #[inline(always)]
    fn judge<const IPV6: bool>(hooked: &HookedPacket<'_>) -> Option<Verdict> {
        if hooked.is_second_pass() {
            return None;
        }
        let (plain, len) = Start::glance::<IPV6>(hooked)?;
        policy::judge_plain(hooked, &plain, len)
    }

    #[inline]
    fn packet(&self, hooked: &HookedPacket<'_>) -> Verdict {
        if hooked.is_second_pass() {
            return Verdict::Accept;
        }
        let Some(start) = Start::find(hooked) else {
            return Verdict::Accept;
        };
        match start.plain() {
            Some(plain) => self.look(hooked, &start, Some(&plain.packet())),
            None => self.read(hooked, &start),
        }
    }

    fn namespace_born(&self) {
        self.keeper.kick();
    }

    #[inline]
    fn freed(&self, packet: &FreedPacket, reason: Option<&Reason>) {
        let Some(death) = self.lives.end(packet.address()) else {
            return;
        };
        if let Some(reason) = reason {
            self.record_drop(death, packet, reason);
        }
    }
}
