// SPDX-License-Identifier: GPL-2.0

//! What happens to a packet in a hook: copy its headers, parse them, ask the
//! policy and the filter, and write a record where one of them says so.
//!
//! Nothing here sleeps, allocates, prints or takes a lock.

use core::sync::atomic::Ordering;

use kernel::prelude::*;
use kernel::sync::{rcu, Arc};
use kernel::time::{ClockSource as _, Monotonic};

use nftrace_core::hook::Hook;
use nftrace_core::lives::{self, Death, Lives, Sighting};
use nftrace_core::packet::{self, Icmp, Network, Packet, Transport};
use nftrace_core::recent::{self, Key, Recent, DATAGRAM_LIFETIME, FLOW_LIFETIME};
use nftrace_core::record::{Conntrack, DropSite, Kind, Record, Site};
use nftrace_core::trace::Surroundings;

use super::control::COUNTERS;
use super::dmesg::Printer;
use super::headers::{self, WINDOW};
use super::policy::{self, Judgement, Keeper, Read};
use super::rings::{Rings, Storage};
use super::tracing::{Tracing, TRACING};
use crate::bindings::netfilter::{Handler, Verdict};
use crate::bindings::skb::HookedPacket;
use crate::bindings::tracepoint::{FreedPacket, Reason};
use crate::bindings::work::Worker;
use crate::bindings::SipHash;

/// Entries of the tables of fragmented datagrams and of flows: 32 KiB each.
const RECENT: usize = 4096;

/// Entries of the table of packets that are under way: 448 KiB.
const LIVES: usize = 8192;

/// Nanoseconds of the monotonic clock.
pub(crate) fn now() -> u64 {
    u64::try_from(Monotonic::ktime_get()).unwrap_or(0)
}

/// What the hooks need.
pub(crate) struct Datapath {
    rings: Arc<Rings>,
    printer: Arc<Worker<Printer>>,
    keeper: Arc<Worker<Keeper>>,
    /// Datagrams whose first fragment was traced.
    fragments: Recent<Storage<recent::Entry>, SipHash>,
    /// Flows that are traced though they are not what is asked for by themselves.
    flows: Recent<Storage<recent::Entry>, SipHash>,
    lives: Lives<Storage<lives::Entry>, SipHash>,
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
        let entries = Storage::new(LIVES, lives::Entry::default)?;
        Ok(Self {
            rings,
            printer,
            keeper,
            fragments: recent(DATAGRAM_LIFETIME)?,
            flows: recent(FLOW_LIFETIME)?,
            lives: Lives::new(entries, SipHash::new()),
        })
    }

    /// Writes a record of the packet if it is traced; whether it did.
    fn trace(
        &self,
        hooked: &HookedPacket<'_>,
        packet: &Packet,
        len: u32,
        offset: u32,
        judgement: Option<&Judgement>,
    ) -> bool {
        let critical_section = rcu::read_lock();
        let Some(tracing) = TRACING.read(&critical_section) else {
            return false;
        };
        let sighting = Sighting {
            address: hooked.address(),
            cookie: hooked.cookie(),
            inode: hooked.inode(),
            hook: hooked.hook(),
            family: hooked.family(),
            kind: hooked.kind(),
            len,
            end: hooked.end(),
        };
        let conntrack = hooked.conntrack();
        let mut clock = None;
        let known = self.lives.again(&sighting, packet, || *clock.insert(now()));
        let why = match known {
            Some(_) => Some(self.matches(tracing, hooked, packet, None, offset)),
            None => self.is_traced(tracing, hooked, packet, conntrack.as_ref(), offset),
        };
        let Some(by_itself) = why else {
            return false;
        };
        let time = clock.unwrap_or_else(now);
        self.remember(tracing, hooked, packet, conntrack.as_ref(), by_itself, time);
        let skb = known.unwrap_or_else(|| self.lives.begin(&sighting, packet, time));
        let is_logged = tracing.is_logged || judgement.is_some_and(|judged| judged.by.is_logged);
        self.write(is_logged, |time, cpu| {
            let mut record = Record::new(
                &Site {
                    conntrack,
                    ..site(hooked, len, skb, is_logged, time, cpu)
                },
                packet,
            );
            if let Some(judged) = judgement {
                judged.note(judged.main(), &mut record);
            }
            record
        });
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
        self.write(true, |time, cpu| {
            // An identity of its own: nobody follows the packet.
            let skb = self.lives.identity(hooked.address(), time);
            let mut record = Record::new(
                &Site {
                    conntrack: hooked.conntrack(),
                    ..site(hooked, len, skb, true, time, cpu)
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
        let is_traced = TRACING.is_some() && self.trace(hooked, packet, len, offset, judgement);
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
    #[inline]
    fn write(&self, is_logged: bool, make: impl FnOnce(u64, u16) -> Record) {
        self.rings.produce(make);
        if is_logged {
            self.printer.kick();
        }
    }

    /// Whether a packet that is not known yet is traced, and if so, whether by what
    /// it has itself, and not by what its connection or its datagram has.
    #[inline]
    fn is_traced(
        &self,
        tracing: &Tracing,
        hooked: &HookedPacket<'_>,
        packet: &Packet,
        conntrack: Option<&Conntrack>,
        offset: u32,
    ) -> Option<bool> {
        if packet.fragment.is_some_and(|fragment| fragment.offset != 0) {
            let datagram = Key::datagram(hooked.cookie(), packet);
            return self.fragments.knows(&datagram, now()).then_some(true);
        }
        if self.matches(tracing, hooked, packet, None, offset) {
            return Some(true);
        }
        if !tracing.follows_flows {
            return None;
        }
        // NAT has given the packet another tuple than the one that is asked for.
        let is_traced = (conntrack.is_some_and(is_translated)
            && self.matches(tracing, hooked, packet, conntrack, offset))
            || (!self.flows.is_empty() && self.knows_flow(packet));
        is_traced.then_some(false)
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
    fn remember(
        &self,
        tracing: &Tracing,
        hooked: &HookedPacket<'_>,
        packet: &Packet,
        conntrack: Option<&Conntrack>,
        by_itself: bool,
        time: u64,
    ) {
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
        if let Some(original) = conntrack.filter(|conntrack| is_translated(conntrack)) {
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

    /// Reads the headers of a packet that is about to be freed; how long it is.
    fn read_freed(freed: &FreedPacket) -> Option<(Packet, u32)> {
        let mut buffer = [0; WINDOW];
        let total = freed.copy_network(&mut buffer)?;
        let window = buffer.get(..total.min(WINDOW))?;
        let network = match window.first()? >> 4 {
            4 => Network::Ipv4,
            6 => Network::Ipv6,
            _ => return None,
        };
        let packet = packet::parse(network, window, total).ok()?;
        Some((packet, u32::try_from(total).ok()?))
    }

    /// Writes a record of a traced packet's death.
    #[cold]
    #[inline(never)]
    fn record_drop(&self, death: Death, freed: &FreedPacket, reason: &Reason) {
        // A socket had it, and was closed: the packet arrived.
        if death.hook == Hook::LocalIn && reason.is_purge() {
            return;
        }
        let critical_section = rcu::read_lock();
        let Some(tracing) = TRACING.read(&critical_section) else {
            return;
        };
        // An address may have been freed without a word, and be another packet's now.
        let Some((packet, len)) = Self::read_freed(freed) else {
            return;
        };
        let is_delivered = death.hook == Hook::LocalIn;
        if lives::signature(&packet) != death.signature || (is_delivered && len != death.len) {
            return;
        }
        let (name, location) = (reason.name(), reason.location());
        self.write(tracing.is_logged, |time, cpu| {
            let site = DropSite {
                time,
                death,
                len,
                cpu,
                reason: reason.number,
                name: until_zero(&name),
                location: until_zero(&location),
                logged: tracing.is_logged,
            };
            Record::of_drop(&site, &packet)
        });
    }
}

/// Where and when a packet is, and what surrounds its headers, but for its connection:
/// who traces it has asked for that already.
fn site(hooked: &HookedPacket<'_>, len: u32, skb: u64, logged: bool, time: u64, cpu: u16) -> Site {
    Site {
        kind: hooked.kind(),
        hook: hooked.hook(),
        family: hooked.family(),
        time,
        cookie: hooked.cookie(),
        inode: hooked.inode(),
        dev: hooked.dev(),
        input: hooked.input(),
        output: hooked.output(),
        skb,
        len,
        mark: hooked.mark(),
        gso_segs: hooked.gso_segs(),
        cpu,
        conntrack: None,
        socket: hooked.socket(),
        logged,
    }
}

fn until_zero(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Whether NAT changes the connection's addresses or ports.
fn is_translated(conntrack: &Conntrack) -> bool {
    /// `IPS_SRC_NAT` and `IPS_DST_NAT`.
    const NAT: u32 = 1 << 4 | 1 << 5;
    conntrack.status & NAT != 0
}

fn flow(packet: &Packet) -> Key {
    Key::flow(packet.protocol, packet.src, packet.dst, packet.ports())
}

impl Handler for Datapath {
    #[inline]
    fn is_active(&self) -> bool {
        TRACING.is_some() || policy::is_active()
    }

    #[inline]
    fn packet(&self, hooked: &HookedPacket<'_>) -> Verdict {
        if hooked.is_second_pass() {
            return Verdict::Accept;
        }
        let Some(start) = headers::start(hooked) else {
            return Verdict::Accept;
        };
        let len = hooked.len().saturating_sub(start.offset);
        let total = len as usize;
        let headers = match headers::read(hooked, &start, total) {
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
        let headers = headers.as_ref();
        // The end of a hook is only watched.
        let judgement = if hooked.kind() == Kind::Entry {
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
