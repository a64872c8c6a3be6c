// SPDX-License-Identifier: GPL-2.0

//! What happens to a packet in a hook: copy its headers, parse them, ask the
//! filter, and write a record where it says so.
//!
//! Nothing here sleeps, allocates, prints or takes a lock.

use core::sync::atomic::Ordering;

use kernel::prelude::*;
use kernel::sync::{rcu, Arc};
use kernel::time::{ClockSource as _, Monotonic};

use nftrace_core::hook::{Family, Hook};
use nftrace_core::lives::{self, Death, Lives, Sighting};
use nftrace_core::packet::{self, Icmp, Network, Packet, Transport, MAX_HEADERS};
use nftrace_core::recent::{self, Key, Recent, DATAGRAM_LIFETIME, FLOW_LIFETIME};
use nftrace_core::record::{Conntrack, DropSite, Record, Site};
use nftrace_core::trace::Surroundings;

use super::control::COUNTERS;
use super::dmesg::Printer;
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

/// Bytes that are copied of each packet: enough for IPv6 with one extension
/// header, or IPv4 with options, and TCP.
const WINDOW: usize = 128;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: [u16; 2] = [0x8100, 0x88a8];

/// Nanoseconds of the monotonic clock.
pub(crate) fn now() -> u64 {
    u64::try_from(Monotonic::ktime_get()).unwrap_or(0)
}

/// What the hooks need.
pub(crate) struct Datapath {
    rings: Arc<Rings>,
    printer: Arc<Worker<Printer>>,
    /// Datagrams whose first fragment was traced.
    fragments: Recent<Storage<recent::Entry>, SipHash>,
    /// Flows that are traced though they are not what is asked for by themselves.
    flows: Recent<Storage<recent::Entry>, SipHash>,
    lives: Lives<Storage<lives::Entry>, SipHash>,
}

/// Where a packet's network header starts, and which it is.
struct Start {
    network: Network,
    offset: u32,
}

impl Datapath {
    /// A datapath that writes into `rings` and tells `printer` so.
    pub(crate) fn new(rings: Arc<Rings>, printer: Arc<Worker<Printer>>) -> Result<Self> {
        let recent = |lifetime| -> Result<_> {
            let entries = Storage::new(RECENT, || recent::Entry::new(0))?;
            Ok(Recent::new(entries, SipHash::new(), lifetime))
        };
        let entries = Storage::new(LIVES, lives::Entry::default)?;
        Ok(Self {
            rings,
            printer,
            fragments: recent(DATAGRAM_LIFETIME)?,
            flows: recent(FLOW_LIFETIME)?,
            lives: Lives::new(entries, SipHash::new()),
        })
    }

    /// Finds the network header; none where the packet is neither IPv4 nor IPv6.
    #[inline]
    fn start(hooked: &HookedPacket<'_>) -> Option<Start> {
        let network = match hooked.family() {
            Family::Ipv4 => Network::Ipv4,
            Family::Ipv6 => Network::Ipv6,
            Family::Bridge => return Self::start_of_frame(hooked),
        };
        Some(Start {
            network,
            offset: hooked.network_offset()?,
        })
    }

    /// The same for a frame, which starts behind its Ethernet header and may have
    /// up to two VLAN tags.
    fn start_of_frame(hooked: &HookedPacket<'_>) -> Option<Start> {
        let mut ethertype = hooked.ethertype();
        let mut offset = 0;
        while ETHERTYPE_VLAN.contains(&ethertype) && offset < 8 {
            let mut tag = [0; 4];
            if !hooked.copy(offset, &mut tag) {
                return None;
            }
            let [_, _, high, low] = tag;
            ethertype = u16::from_be_bytes([high, low]);
            offset += 4;
        }
        let network = match ethertype {
            ETHERTYPE_IPV4 => Network::Ipv4,
            ETHERTYPE_IPV6 => Network::Ipv6,
            _ => return None,
        };
        Some(Start { network, offset })
    }

    /// Parses a copy of the first `N` bytes.
    #[inline]
    fn parse<const N: usize>(
        hooked: &HookedPacket<'_>,
        start: &Start,
        total: usize,
    ) -> Result<Packet, packet::Error> {
        let mut buffer = [0; N];
        let window = buffer.get_mut(..total.min(N)).unwrap_or_default();
        if !hooked.copy(start.offset, window) {
            return Err(packet::Error::Truncated);
        }
        packet::parse(start.network, window, total)
    }

    /// The same for the packet that has more headers than most; out of line, so
    /// that the large copy costs others no stack.
    #[cold]
    #[inline(never)]
    fn parse_all_headers(
        hooked: &HookedPacket<'_>,
        start: &Start,
        total: usize,
    ) -> Result<Packet, packet::Error> {
        Self::parse::<MAX_HEADERS>(hooked, start, total)
    }

    /// Writes a record of the packet if it is traced.
    fn trace(&self, hooked: &HookedPacket<'_>, packet: &Packet, len: u32, offset: u32) {
        let critical_section = rcu::read_lock();
        let Some(tracing) = TRACING.read(&critical_section) else {
            return;
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
            return;
        };
        let time = clock.unwrap_or_else(now);
        self.remember(tracing, hooked, packet, conntrack.as_ref(), by_itself, time);
        let skb = known.unwrap_or_else(|| self.lives.begin(&sighting, packet, time));
        self.write(tracing, |time, cpu| {
            let site = Site {
                kind: sighting.kind,
                hook: sighting.hook,
                family: sighting.family,
                time,
                cookie: sighting.cookie,
                inode: sighting.inode,
                dev: hooked.dev(),
                input: hooked.input(),
                output: hooked.output(),
                skb,
                len,
                mark: hooked.mark(),
                gso_segs: hooked.gso_segs(),
                cpu,
                conntrack,
                socket: hooked.socket(),
                logged: tracing.is_logged,
            };
            Record::new(&site, packet)
        });
    }

    /// Writes a record, and sees to it that the kernel's log gets it where it should.
    #[inline]
    fn write(&self, tracing: &Tracing, make: impl FnOnce(u64, u16) -> Record) {
        self.rings.produce(make);
        if tracing.is_logged {
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
        self.write(tracing, |time, cpu| {
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
        TRACING.is_some()
    }

    #[inline]
    fn packet(&self, hooked: &HookedPacket<'_>) -> Verdict {
        if hooked.is_second_pass() {
            return Verdict::Accept;
        }
        let Some(start) = Self::start(hooked) else {
            return Verdict::Accept;
        };
        let len = hooked.len().saturating_sub(start.offset);
        let total = len as usize;
        let parsed = match Self::parse::<WINDOW>(hooked, &start, total) {
            Err(packet::Error::WindowTooSmall) => Self::parse_all_headers(hooked, &start, total),
            parsed => parsed,
        };
        match parsed {
            Ok(packet) => self.trace(hooked, &packet, len, start.offset),
            Err(packet::Error::Truncated) => {
                COUNTERS.truncated.fetch_add(1, Ordering::Relaxed);
            }
            Err(packet::Error::Malformed | packet::Error::WindowTooSmall) => {
                COUNTERS.malformed.fetch_add(1, Ordering::Relaxed);
            }
        }
        Verdict::Accept
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
