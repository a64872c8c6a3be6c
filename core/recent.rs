// SPDX-License-Identifier: GPL-2.0

//! What was traced lately and is to be traced again: fragmented datagrams and flows.
//!
//! Only the first fragment of a datagram has ports, and only one side of a NAT has
//! the addresses that were asked for. A table of fixed size remembers which
//! datagrams had a traced first fragment, and one which other tuples traced packets
//! had. Nothing is guessed: a later fragment that overtakes the first one, or that
//! comes after its entry was displaced, is not traced.

use ::core::net::IpAddr;
use ::core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::packet::{Packet, Ports, Protocol};

/// A hash with a secret key, so that nobody outside can choose what collides:
/// in the kernel its own SipHash.
pub trait KeyedHash {
    /// The hash of these words.
    fn hash(&self, words: &[u64]) -> u64;
}

/// What a table is made of, a power of two of them.
pub type Entry = AtomicU64;

/// How long a datagram's fragments are waited for, in seconds: as long as the
/// kernel's own reassembly (`net.ipv4.ipfrag_time`).
pub const DATAGRAM_LIFETIME: u64 = 30;

/// How long after its last packet a flow is known, in seconds.
pub const FLOW_LIFETIME: u64 = 300;

/// The low bits of an entry hold the second in which it was made.
const TIME_MASK: u64 = 0xffff;

const NSEC_PER_SEC: u64 = 1_000_000_000;

/// What is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key([u64; 6]);

fn words(address: IpAddr) -> [u64; 2] {
    let address = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    zerocopy::transmute!(address.octets())
}

impl Key {
    /// What all fragments of one datagram share, in the namespace with this cookie.
    #[inline]
    pub fn datagram(cookie: u64, packet: &Packet) -> Self {
        // RFC 8200: an IPv6 datagram is told by addresses and identification alone.
        let protocol = if packet.src.is_ipv6() {
            0
        } else {
            packet.protocol.0
        };
        let [src_high, src_low] = words(packet.src);
        let [dst_high, dst_low] = words(packet.dst);
        let id = (u64::from(packet.id) << 8) | u64::from(protocol);
        Self([cookie, src_high, src_low, dst_high, dst_low, id])
    }

    /// What both directions of a flow share, in every namespace.
    #[inline]
    pub fn flow(protocol: Protocol, src: IpAddr, dst: IpAddr, ports: Option<Ports>) -> Self {
        let ports = ports.unwrap_or(Ports { src: 0, dst: 0 });
        let one = (words(src), ports.src);
        let other = (words(dst), ports.dst);
        let (([a, b], first), ([c, d], second)) = if one <= other {
            (one, other)
        } else {
            (other, one)
        };
        let rest = (u64::from(first) << 32) | (u64::from(second) << 16) | u64::from(protocol.0);
        // No namespace has this cookie.
        Self([u64::MAX, a, b, c, d, rest])
    }
}

/// What was remembered lately.
pub struct Recent<S, H> {
    entries: S,
    hash: H,
    lifetime: u64,
    /// Whether anything was remembered since the table was cleared.
    any: AtomicBool,
}

impl<S: AsRef<[Entry]>, H: KeyedHash> Recent<S, H> {
    /// A table of these entries, which are zero, that knows a key for so many seconds.
    pub const fn new(entries: S, hash: H, lifetime: u64) -> Self {
        Self {
            entries,
            hash,
            lifetime,
            any: AtomicBool::new(false),
        }
    }

    /// The place of a key's entry, and the entry it would have now.
    fn find(&self, key: &Key, time: u64) -> Option<(&Entry, u64)> {
        let entries = self.entries.as_ref();
        let hash = self.hash.hash(&key.0);
        // The low bits choose the place, so they need not be kept: they make room for the time.
        let index = usize::try_from(hash).ok()? & entries.len().wrapping_sub(1);
        let entry = (hash & !TIME_MASK) | ((time / NSEC_PER_SEC) & TIME_MASK);
        Some((entries.get(index)?, entry))
    }

    /// Remembers a key. `time` is in nanoseconds.
    pub fn remember(&self, key: &Key, time: u64) {
        if let Some((slot, entry)) = self.find(key, time) {
            slot.store(entry, Ordering::Relaxed);
            self.any.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the key was remembered within the lifetime. `time` is in nanoseconds.
    pub fn knows(&self, key: &Key, time: u64) -> bool {
        let Some((slot, wanted)) = self.find(key, time) else {
            return false;
        };
        let entry = slot.load(Ordering::Relaxed);
        let age = wanted.wrapping_sub(entry) & TIME_MASK;
        entry & !TIME_MASK == wanted & !TIME_MASK && age <= self.lifetime
    }

    /// Whether the table knows nothing at all.
    #[inline]
    pub fn is_empty(&self) -> bool {
        !self.any.load(Ordering::Relaxed)
    }

    /// Forgets everything.
    pub fn clear(&self) {
        for entry in self.entries.as_ref() {
            entry.store(0, Ordering::Relaxed);
        }
        self.any.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Fragment, Transport};
    use ::core::net::Ipv4Addr;
    use std::hash::{Hash as _, Hasher as _};

    const SECOND: u64 = NSEC_PER_SEC;

    struct TestHash;

    impl KeyedHash for TestHash {
        fn hash(&self, words: &[u64]) -> u64 {
            let mut hasher = std::hash::DefaultHasher::new();
            words.hash(&mut hasher);
            hasher.finish()
        }
    }

    struct Table(Recent<Vec<Entry>, TestHash>);

    impl Table {
        fn knows(&self, cookie: u64, packet: &Packet, time: u64) -> bool {
            self.0.knows(&Key::datagram(cookie, packet), time)
        }

        fn remember(&self, cookie: u64, packet: &Packet, time: u64) {
            self.0.remember(&Key::datagram(cookie, packet), time);
        }
    }

    fn table() -> Table {
        let entries = (0..4096).map(|_| Entry::new(0)).collect();
        Table(Recent::new(entries, TestHash, DATAGRAM_LIFETIME))
    }

    fn flow(src: &str, sport: u16, dst: &str, dport: u16) -> Key {
        let ports = Ports {
            src: sport,
            dst: dport,
        };
        Key::flow(
            Protocol::TCP,
            src.parse().unwrap(),
            dst.parse().unwrap(),
            Some(ports),
        )
    }

    #[test]
    fn a_flow_is_known_in_both_directions_until_it_was_silent_for_its_lifetime() {
        let table = Recent::new(
            (0..64).map(|_| Entry::new(0)).collect::<Vec<_>>(),
            TestHash,
            FLOW_LIFETIME,
        );
        assert!(table.is_empty());
        table.remember(&flow("10.0.0.1", 1, "10.0.0.2", 2), 0);
        assert!(!table.is_empty());
        for (time, known) in [(0, true), (300, true), (301, false)] {
            let time = time * SECOND;
            assert_eq!(
                table.knows(&flow("10.0.0.1", 1, "10.0.0.2", 2), time),
                known
            );
            assert_eq!(
                table.knows(&flow("10.0.0.2", 2, "10.0.0.1", 1), time),
                known
            );
        }
        assert!(!table.knows(&flow("10.0.0.1", 2, "10.0.0.2", 1), 0));
        table.clear();
        assert!(table.is_empty() && !table.knows(&flow("10.0.0.1", 1, "10.0.0.2", 2), 0));
    }

    fn fragment(id: u32, offset: u16) -> Packet {
        Packet {
            src: Ipv4Addr::LOCALHOST.into(),
            dst: Ipv4Addr::LOCALHOST.into(),
            protocol: Protocol::UDP,
            fragment: Some(Fragment { offset, more: true }),
            id,
            transport: Transport::None,
        }
    }

    #[test]
    fn a_later_fragment_is_known_by_its_first_one() {
        let table = table();
        assert!(!table.knows(1, &fragment(7, 1480), 5 * SECOND));
        table.remember(1, &fragment(7, 0), 5 * SECOND);
        assert!(table.knows(1, &fragment(7, 1480), 5 * SECOND));
        assert!(table.knows(1, &fragment(7, 2960), 35 * SECOND));
    }

    #[test]
    fn other_datagrams_and_other_namespaces_are_not_confused_with_it() {
        let table = table();
        table.remember(1, &fragment(7, 0), 0);
        assert!(!table.knows(1, &fragment(8, 1480), 0));
        assert!(!table.knows(2, &fragment(7, 1480), 0));
        let mut tcp = fragment(7, 1480);
        tcp.protocol = Protocol::TCP;
        assert!(!table.knows(1, &tcp, 0));
    }

    #[test]
    fn an_entry_expires_with_the_reassembly_of_its_datagram() {
        let table = table();
        table.remember(1, &fragment(7, 0), 5 * SECOND);
        assert!(!table.knows(1, &fragment(7, 1480), 36 * SECOND));
        // Also across the wrap of the time that an entry holds.
        table.remember(1, &fragment(7, 0), 65_535 * SECOND);
        assert!(table.knows(1, &fragment(7, 1480), 65_540 * SECOND));
        assert!(!table.knows(1, &fragment(7, 1480), 65_600 * SECOND));
    }

    #[test]
    fn an_empty_entry_matches_nothing() {
        let table = table();
        let known = (0..100_000)
            .filter(|id| table.knows(1, &fragment(*id, 8), 0))
            .count();
        assert_eq!(known, 0);
    }
}
