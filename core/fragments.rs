// SPDX-License-Identifier: GPL-2.0

//! Later fragments of datagrams whose first fragment is traced.
//!
//! Only the first fragment of a datagram has ports. A table of fixed size
//! remembers which datagrams had a traced one, so that their later fragments are
//! traced too. Nothing is guessed: a later fragment that overtakes the first one,
//! or that comes after its entry was displaced, is not traced.

use ::core::net::IpAddr;
use ::core::sync::atomic::{AtomicU64, Ordering};

use crate::packet::Packet;

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
const LIFETIME: u64 = 30;

/// The low bits of an entry hold the second in which it was made.
const TIME_MASK: u64 = 0xffff;

const NSEC_PER_SEC: u64 = 1_000_000_000;

/// What all fragments of one datagram share, in the namespace with this cookie.
#[inline]
fn datagram(cookie: u64, packet: &Packet) -> [u64; 6] {
    // RFC 8200: an IPv6 datagram is told by addresses and identification alone.
    let (src, dst, protocol) = match (packet.src, packet.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => (
            src.to_ipv6_mapped(),
            dst.to_ipv6_mapped(),
            packet.protocol.0,
        ),
        (IpAddr::V6(src), IpAddr::V6(dst)) => (src, dst, 0),
        (IpAddr::V4(src), IpAddr::V6(dst)) => (src.to_ipv6_mapped(), dst, 0),
        (IpAddr::V6(src), IpAddr::V4(dst)) => (src, dst.to_ipv6_mapped(), 0),
    };
    let [src_high, src_low]: [u64; 2] = zerocopy::transmute!(src.octets());
    let [dst_high, dst_low]: [u64; 2] = zerocopy::transmute!(dst.octets());
    let id = (u64::from(packet.id) << 8) | u64::from(protocol);
    [cookie, src_high, src_low, dst_high, dst_low, id]
}

/// The datagrams whose later fragments are traced.
pub struct Fragments<S, H> {
    entries: S,
    hash: H,
}

impl<S: AsRef<[Entry]>, H: KeyedHash> Fragments<S, H> {
    /// A table of these entries, which are zero.
    pub const fn new(entries: S, hash: H) -> Self {
        Self { entries, hash }
    }

    /// The place of a datagram's entry, and the entry it would have now.
    fn find(&self, cookie: u64, packet: &Packet, time: u64) -> Option<(&Entry, u64)> {
        let entries = self.entries.as_ref();
        let hash = self.hash.hash(&datagram(cookie, packet));
        // The low bits choose the place, so they need not be kept: they make room for the time.
        let index = usize::try_from(hash).ok()? & entries.len().wrapping_sub(1);
        let entry = (hash & !TIME_MASK) | ((time / NSEC_PER_SEC) & TIME_MASK);
        Some((entries.get(index)?, entry))
    }

    /// Remembers the datagram of a first fragment that is traced.
    pub fn remember(&self, cookie: u64, packet: &Packet, time: u64) {
        if let Some((slot, entry)) = self.find(cookie, packet, time) {
            slot.store(entry, Ordering::Relaxed);
        }
    }

    /// Whether the first fragment of this packet's datagram was traced. `time` is in nanoseconds.
    pub fn knows(&self, cookie: u64, packet: &Packet, time: u64) -> bool {
        let Some((slot, wanted)) = self.find(cookie, packet, time) else {
            return false;
        };
        let entry = slot.load(Ordering::Relaxed);
        let age = wanted.wrapping_sub(entry) & TIME_MASK;
        entry & !TIME_MASK == wanted & !TIME_MASK && age <= LIFETIME
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Fragment, Protocol, Transport};
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

    fn table() -> Fragments<Vec<Entry>, TestHash> {
        Fragments::new((0..4096).map(|_| Entry::new(0)).collect(), TestHash)
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
