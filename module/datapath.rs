// SPDX-License-Identifier: GPL-2.0

//! What happens to a packet in a hook: copy its headers, parse them, ask the
//! filter, and write a record where it says so.
//!
//! Nothing here sleeps, allocates, prints or takes a lock.

use core::sync::atomic::Ordering;

use kernel::prelude::*;
use kernel::sync::Arc;
use kernel::time::{ClockSource as _, Monotonic};

use nftrace_core::fragments::{Entry, Fragments, KeyedHash as _};
use nftrace_core::hook::Family;
use nftrace_core::packet::{self, Network, Packet, MAX_HEADERS};
use nftrace_core::record::{Record, Site};

use super::control::{COUNTERS, FILTER};
use super::dmesg::Printer;
use super::rings::{Rings, Storage};
use crate::bindings::netfilter::{Handler, Verdict};
use crate::bindings::skb::HookedPacket;
use crate::bindings::work::Worker;
use crate::bindings::SipHash;

/// Entries of the table of fragmented datagrams: 32 KiB.
const FRAGMENTS: usize = 4096;

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
    fragments: Fragments<Storage<Entry>, SipHash>,
    identity: SipHash,
}

/// Where a packet's network header starts, and which it is.
struct Start {
    network: Network,
    offset: u32,
}

impl Datapath {
    /// A datapath that writes into `rings` and tells `printer` so.
    pub(crate) fn new(rings: Arc<Rings>, printer: Arc<Worker<Printer>>) -> Result<Self> {
        let entries = Storage::new(FRAGMENTS, || Entry::new(0))?;
        Ok(Self {
            rings,
            printer,
            fragments: Fragments::new(entries, SipHash::new()),
            identity: SipHash::new(),
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

    /// Whether the packet is traced.
    #[inline]
    fn is_traced(&self, hooked: &HookedPacket<'_>, packet: &Packet) -> bool {
        let Some(fragment) = packet.fragment else {
            return FILTER.matches(packet);
        };
        if fragment.offset != 0 {
            return self.fragments.knows(hooked.cookie(), packet, now());
        }
        let traced = FILTER.matches(packet);
        if traced {
            self.fragments.remember(hooked.cookie(), packet, now());
        }
        traced
    }

    fn record(&self, hooked: &HookedPacket<'_>, packet: &Packet, len: u32, time: u64) -> Record {
        let site = Site {
            hook: hooked.hook(),
            family: hooked.family(),
            time,
            cookie: hooked.cookie(),
            inode: hooked.inode(),
            dev: hooked.dev(),
            input: hooked.input(),
            output: hooked.output(),
            // 32 bits are what the kernel's own %p shows of a hashed pointer.
            skb: self.identity.hash(&[hooked.address()]) & 0xffff_ffff,
            len,
            mark: hooked.mark(),
        };
        Record::new(&site, packet)
    }
}

impl Handler for Datapath {
    #[inline]
    fn is_active(&self) -> bool {
        FILTER.is_active()
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
            Ok(packet) => {
                if self.is_traced(hooked, &packet) {
                    self.rings
                        .produce(|time| self.record(hooked, &packet, len, time));
                    self.printer.kick();
                }
            }
            Err(packet::Error::Truncated) => {
                COUNTERS.truncated.fetch_add(1, Ordering::Relaxed);
            }
            Err(packet::Error::Malformed | packet::Error::WindowTooSmall) => {
                COUNTERS.malformed.fetch_add(1, Ordering::Relaxed);
            }
        }
        Verdict::Accept
    }
}
