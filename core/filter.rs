// SPDX-License-Identifier: GPL-2.0

//! Which packets are traced.

use ::core::sync::atomic::{AtomicU32, AtomicU64, AtomicU8, AtomicUsize, Ordering};

use crate::packet::{Packet, Ports, Transport};
use crate::ports::{PortList, PortRange, MAX_RANGES};

const WORDS: usize = 65536 / 64;

/// A list of ports, ready to be asked for one of them: 8 KiB.
struct Bitmap {
    words: [AtomicU64; WORDS],
    /// The list as it was written, `first << 16 | last` each.
    ranges: [AtomicU32; MAX_RANGES],
    len: AtomicUsize,
}

impl Bitmap {
    const fn new() -> Self {
        Self {
            words: [const { AtomicU64::new(0) }; WORDS],
            ranges: [const { AtomicU32::new(0) }; MAX_RANGES],
            len: AtomicUsize::new(0),
        }
    }

    #[inline]
    fn has(&self, port: u16) -> bool {
        self.words
            .get(usize::from(port >> 6))
            .is_some_and(|word| word.load(Ordering::Relaxed) & bit(port) != 0)
    }

    #[inline]
    fn has_either(&self, ports: Ports) -> bool {
        self.has(ports.src) || self.has(ports.dst)
    }

    fn fill(&self, list: &PortList) {
        for word in &self.words {
            word.store(0, Ordering::Relaxed);
        }
        for (slot, range) in self.ranges.iter().zip(list.ranges()) {
            let both = (u32::from(range.first) << 16) | u32::from(range.last);
            slot.store(both, Ordering::Relaxed);
            for port in range.first..=range.last {
                if let Some(word) = self.words.get(usize::from(port >> 6)) {
                    word.fetch_or(bit(port), Ordering::Relaxed);
                }
            }
        }
        self.len.store(list.ranges().len(), Ordering::Relaxed);
    }

    fn list(&self) -> PortList {
        let len = self.len.load(Ordering::Relaxed);
        PortList::from_ranges(self.ranges.iter().take(len).map(|slot| {
            let [a, b, c, d] = slot.load(Ordering::Relaxed).to_be_bytes();
            PortRange {
                first: u16::from_be_bytes([a, b]),
                last: u16::from_be_bytes([c, d]),
            }
        }))
    }
}

#[inline]
fn bit(port: u16) -> u64 {
    1u64.wrapping_shl(u32::from(port & 63))
}

/// The ports that are traced. Read at every packet, without a lock; changed now and then.
///
/// There are two bitmaps, and `active` says which one is read: 0 for none, else
/// its number from 1. A change fills the other one and then switches over, so
/// that a packet sees either the old list or the new one.
pub struct PortFilter {
    active: AtomicU8,
    bitmaps: [Bitmap; 2],
}

impl PortFilter {
    /// The filter that traces nothing.
    pub const fn new() -> Self {
        Self {
            active: AtomicU8::new(0),
            bitmaps: [const { Bitmap::new() }; 2],
        }
    }

    #[inline]
    fn bitmap(&self) -> Option<&Bitmap> {
        let active = self.active.load(Ordering::Acquire);
        self.bitmaps.get(usize::from(active).wrapping_sub(1))
    }

    /// Whether any packet can match at all.
    #[inline]
    pub fn is_active(&self) -> bool {
        self.active.load(Ordering::Relaxed) != 0
    }

    /// Whether the packet has a traced port, or is an ICMP error about one that has.
    ///
    /// A later fragment has no ports and never matches here: see [`crate::fragments`].
    #[inline]
    pub fn matches(&self, packet: &Packet) -> bool {
        let Some(bitmap) = self.bitmap() else {
            return false;
        };
        match packet.transport {
            Transport::Tcp(tcp) => bitmap.has_either(tcp.ports),
            Transport::Ports(ports) => bitmap.has_either(ports),
            Transport::Icmp(icmp) => icmp
                .quoted
                .and_then(|quoted| quoted.ports)
                .is_some_and(|ports| bitmap.has_either(ports)),
            Transport::None => false,
        }
    }

    /// Makes `list` what is traced from the next packet on.
    ///
    /// `wait_for_readers` returns when no packet that came before its call is
    /// still being looked at: an RCU grace period. Callers must not overlap.
    pub fn replace(&self, list: &PortList, wait_for_readers: impl FnOnce()) {
        let next = if list.is_empty() {
            0
        } else if self.active.load(Ordering::Relaxed) == 1 {
            2
        } else {
            1
        };
        if let Some(bitmap) = self.bitmaps.get(usize::from(next).wrapping_sub(1)) {
            bitmap.fill(list);
        }
        self.active.store(next, Ordering::Release);
        // The bitmap that was just left is free for the next change only when
        // nobody reads it any more.
        wait_for_readers();
    }

    /// What is traced now. Not to be called during [`Self::replace`].
    pub fn list(&self) -> PortList {
        self.bitmap().map_or(PortList::EMPTY, Bitmap::list)
    }
}

impl Default for PortFilter {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Icmp, Protocol, Quoted};
    use ::core::net::Ipv4Addr;

    fn packet(transport: Transport) -> Packet {
        Packet {
            src: Ipv4Addr::LOCALHOST.into(),
            dst: Ipv4Addr::LOCALHOST.into(),
            protocol: Protocol::UDP,
            fragment: None,
            id: 0,
            transport,
        }
    }

    fn ports(src: u16, dst: u16) -> Packet {
        packet(Transport::Ports(Ports { src, dst }))
    }

    fn filter(list: &str) -> PortFilter {
        let filter = PortFilter::new();
        filter.replace(&PortList::parse(list).unwrap(), || {});
        filter
    }

    #[test]
    fn a_packet_matches_by_its_source_or_its_destination_port() {
        let filter = filter("80,9000-9010,65535");
        for port in [80, 9000, 9005, 9010, 65535] {
            assert!(filter.matches(&ports(port, 1)), "{port}");
            assert!(filter.matches(&ports(1, port)), "{port}");
        }
        for port in [79, 81, 8999, 9011, 65534, 1] {
            assert!(!filter.matches(&ports(port, 2)), "{port}");
        }
    }

    #[test]
    fn an_icmp_error_matches_by_the_ports_it_quotes() {
        let icmp = |ports| {
            packet(Transport::Icmp(Icmp {
                kind: 3,
                code: 3,
                quoted: Some(Quoted {
                    src: Ipv4Addr::LOCALHOST.into(),
                    dst: Ipv4Addr::LOCALHOST.into(),
                    protocol: Protocol::UDP,
                    ports,
                }),
            }))
        };
        let filter = filter("80");
        assert!(filter.matches(&icmp(Some(Ports { src: 80, dst: 4 }))));
        assert!(!filter.matches(&icmp(Some(Ports { src: 81, dst: 4 }))));
        assert!(!filter.matches(&icmp(None)));
    }

    #[test]
    fn the_empty_list_matches_nothing_and_makes_the_filter_idle() {
        let filter = filter("80");
        assert!(filter.is_active());
        filter.replace(&PortList::EMPTY, || {});
        assert!(!filter.is_active());
        assert!(!filter.matches(&ports(80, 80)));
        assert!(filter.list().is_empty());
    }

    #[test]
    fn a_change_forgets_the_lists_before_it() {
        let filter = filter("80");
        for list in ["81,100-200", "82", "83-84"] {
            filter.replace(&PortList::parse(list).unwrap(), || {});
            assert_eq!(filter.list().to_string(), list);
        }
        for port in [80, 81, 82, 150] {
            assert!(!filter.matches(&ports(port, 1)), "{port}");
        }
        assert!(filter.matches(&ports(84, 1)));
    }

    #[test]
    fn the_new_list_is_in_force_before_readers_are_waited_for() {
        let filter = filter("80");
        filter.replace(&PortList::parse("81").unwrap(), || {
            assert!(filter.matches(&ports(81, 1)));
            assert!(!filter.matches(&ports(80, 1)));
        });
    }
}
