// SPDX-License-Identifier: GPL-2.0

//! Which packet it is: the lives of traced packets, from their first record until
//! their buffer is freed.
//!
//! A buffer's address says that two records are of one packet only while that
//! lives: the allocator gives the address to another packet soon. So the address
//! and the time of the first record are the identity. The end of a life is known
//! where the kernel tells of it (its tracepoints `kfree_skb` and `consume_skb`);
//! sockets free what they received without a word, so what was delivered is over,
//! unless it carried another packet, which is then found at the end of the same buffer.
//! Besides, what does not change on a packet's way is compared: it is the same
//! packet, or was put into another one, or taken out of one.
//!
//! The table has a fixed size. A packet that was displaced gets a new identity at
//! its next record.

use ::core::sync::atomic::{AtomicU64, Ordering};

use crate::hook::{Family, Hook};
use crate::packet::{Packet, Protocol, Transport};
use crate::recent::KeyedHash;
use crate::record::Kind;

/// Entries among which an address may stand.
const WAYS: usize = 4;

/// Set in the address of an entry that somebody works on. Buffers are aligned.
const LOCKED: u64 = 1;

/// Room for one packet.
///
/// Whoever has set the lowest bit of the address may use the other words; nobody waits
/// for that. (Who looks for the oldest entry reads when one was seen without; it is a hint.)
#[derive(Default)]
pub struct Entry {
    /// The buffer's address; 0 for none.
    address: AtomicU64,
    birth: AtomicU64,
    /// When it was last seen.
    seen: AtomicU64,
    signature: AtomicU64,
    cookie: AtomicU64,
    /// [`State`] in one word.
    state: AtomicU64,
    inode: AtomicU64,
    end: AtomicU64,
}

/// Where a packet is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The buffer's address.
    pub address: u64,
    /// The namespace's cookie.
    pub cookie: u64,
    /// The namespace's inode number.
    pub inode: u32,
    /// The hook.
    pub hook: Hook,
    /// The family whose hook it is.
    pub family: Family,
    /// Before or behind the hook's other functions.
    pub kind: Kind,
    /// Bytes from the network header on.
    pub len: u32,
    /// Where in memory the packet's data end; only compared.
    pub end: u64,
}

/// Where a packet was when it died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Death {
    /// Its identity.
    pub skb: u64,
    /// What [`signature`] said of it.
    pub signature: u64,
    /// The cookie of the last namespace.
    pub cookie: u64,
    /// The inode number of that.
    pub inode: u32,
    /// The last hook.
    pub hook: Hook,
    /// The family of that.
    pub family: Family,
    /// Bytes from the network header on, there.
    pub len: u32,
}

/// What an entry remembers of the last hook.
#[derive(Clone, Copy)]
struct State {
    hook: u8,
    family: u8,
    protocol: u8,
    len: u32,
}

impl State {
    fn pack(self) -> u64 {
        let low = u32::from_le_bytes([self.hook, self.family, self.protocol, 0]);
        (u64::from(self.len) << 32) | u64::from(low)
    }

    fn unpack(word: u64) -> Self {
        let [hook, family, protocol, _, a, b, c, d] = word.to_le_bytes();
        Self {
            hook,
            family,
            protocol,
            len: u32::from_le_bytes([a, b, c, d]),
        }
    }
}

/// What does not change while a packet is forwarded, also by NAT.
pub fn signature(packet: &Packet) -> u64 {
    let rest = match packet.transport {
        Transport::Tcp(tcp) => {
            (u64::from(tcp.seq) << 32) ^ u64::from(tcp.ack) ^ u64::from(tcp.flags)
        }
        Transport::Icmp(icmp) => u64::from(u16::from_be_bytes([icmp.kind, icmp.code])),
        Transport::None | Transport::Ports(_) => packet
            .fragment
            .map_or(0, |fragment| u64::from(fragment.offset)),
    };
    // Odd factors, so that no information is lost; secrecy is not needed here.
    let id = u64::from(packet.id).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let protocol = u64::from(packet.protocol.0) << 56;
    rest.wrapping_mul(0xff51_afd7_ed55_8ccd) ^ id ^ protocol
}

/// Whether a packet that was last seen so, with its data up to `end`, may be the one
/// that is seen now.
fn goes_on(last: State, end: u64, same: bool, now: &Sighting) -> bool {
    let is_delivered =
        last.hook == Hook::LocalIn.number() && last.family != Family::Bridge.number();
    if is_delivered {
        if now.kind == Kind::Exit && now.hook == Hook::LocalIn {
            return same;
        }
        // Only what carries other packets comes up again: without its outer headers,
        // so that it ends where it ended. Another packet in the same buffer would have
        // to start later by as much as it is shorter.
        return last.protocol != Protocol::TCP.0
            && now.hook == Hook::PreRouting
            && now.len < last.len
            && now.end == end;
    }
    // A tunnel sends what it has wrapped.
    same || (now.hook == Hook::LocalOut && now.len > last.len)
}

/// The lives of the packets that are traced.
pub struct Lives<S, H> {
    entries: S,
    hash: H,
}

impl<S: AsRef<[Entry]>, H: KeyedHash> Lives<S, H> {
    /// A table of these entries, which are new: a power of two of them.
    pub const fn new(entries: S, hash: H) -> Self {
        Self { entries, hash }
    }

    /// The entries among which an address may stand.
    #[inline]
    fn ways(&self, address: u64) -> &[Entry] {
        let entries = self.entries.as_ref();
        // Addresses are no secret of anybody who could choose them: no keyed hash is needed.
        let hash = address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let set = usize::try_from(hash).unwrap_or(0) & (entries.len() / WAYS).wrapping_sub(1);
        let start = set.wrapping_mul(WAYS);
        entries
            .get(start..start.wrapping_add(WAYS))
            .unwrap_or_default()
    }

    /// Has `work` work on the entry of an address; none where there is no entry.
    #[inline]
    fn with<T>(&self, address: u64, work: impl FnOnce(&Entry) -> (T, u64)) -> Option<T> {
        let entry = self
            .ways(address)
            .iter()
            .find(|entry| entry.address.load(Ordering::Relaxed) == address)?;
        entry
            .address
            .compare_exchange(
                address,
                address | LOCKED,
                Ordering::Acquire,
                Ordering::Relaxed,
            )
            .ok()?;
        let (value, left) = work(entry);
        entry.address.store(left, Ordering::Release);
        Some(value)
    }

    /// The identity of the packet at an address, first seen at `birth`.
    pub fn identity(&self, address: u64, birth: u64) -> u64 {
        self.hash.hash(&[address, birth])
    }

    /// The identity of a packet that was traced before and is seen again; none where
    /// it is not known, or is over, so that this is another one. `clock` says
    /// nanoseconds; it is asked only if the packet is known.
    #[inline]
    pub fn again(
        &self,
        now: &Sighting,
        packet: &Packet,
        clock: impl FnOnce() -> u64,
    ) -> Option<u64> {
        let birth = self.with(now.address, |entry| {
            let last = State::unpack(entry.state.load(Ordering::Relaxed));
            let signature = signature(packet);
            let same = entry.signature.load(Ordering::Relaxed) == signature;
            let end = entry.end.load(Ordering::Relaxed);
            if !goes_on(last, end, same, now) {
                return (None, 0);
            }
            Self::write(entry, now, packet, signature, clock());
            (Some(entry.birth.load(Ordering::Relaxed)), now.address)
        })??;
        Some(self.identity(now.address, birth))
    }

    fn write(entry: &Entry, now: &Sighting, packet: &Packet, signature: u64, time: u64) {
        let state = State {
            hook: now.hook.number(),
            family: now.family.number(),
            protocol: packet.protocol.0,
            len: now.len,
        };
        entry.seen.store(time, Ordering::Relaxed);
        entry.signature.store(signature, Ordering::Relaxed);
        entry.cookie.store(now.cookie, Ordering::Relaxed);
        entry.inode.store(now.inode.into(), Ordering::Relaxed);
        entry.end.store(now.end, Ordering::Relaxed);
        entry.state.store(state.pack(), Ordering::Relaxed);
    }

    /// The identity of a packet that is traced for the first time, at `time` in nanoseconds.
    pub fn begin(&self, now: &Sighting, packet: &Packet, time: u64) -> u64 {
        // An empty entry, or else the one that was not used for longest.
        let entry = self
            .ways(now.address)
            .iter()
            .filter(|entry| entry.address.load(Ordering::Relaxed) & LOCKED == 0)
            .min_by_key(|entry| match entry.address.load(Ordering::Relaxed) {
                0 => 0,
                _ => entry.seen.load(Ordering::Relaxed).max(1),
            });
        if let Some(entry) = entry {
            let old = entry.address.load(Ordering::Relaxed);
            let locked = now.address | LOCKED;
            if old & LOCKED == 0
                && entry
                    .address
                    .compare_exchange(old, locked, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
            {
                entry.birth.store(time, Ordering::Relaxed);
                Self::write(entry, now, packet, signature(packet), time);
                entry.address.store(now.address, Ordering::Release);
            }
        }
        self.identity(now.address, time)
    }

    /// Ends the life of a packet whose buffer is freed; what was known of it.
    #[inline]
    pub fn end(&self, address: u64) -> Option<Death> {
        let (birth, signature, state, cookie, inode) = self.with(address, |entry| {
            let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
            let known = (
                load(&entry.birth),
                load(&entry.signature),
                State::unpack(load(&entry.state)),
                load(&entry.cookie),
                load(&entry.inode),
            );
            (known, 0)
        })?;
        Some(Death {
            skb: self.identity(address, birth),
            signature,
            cookie,
            inode: u32::try_from(inode).unwrap_or(0),
            hook: Hook::from_number(state.hook)?,
            family: Family::from_number(state.family)?,
            len: state.len,
        })
    }

    /// Forgets all packets; one that somebody works on stays.
    pub fn clear(&self) {
        for entry in self.entries.as_ref() {
            let address = entry.address.load(Ordering::Relaxed);
            if address & LOCKED == 0 {
                let _ = entry.address.compare_exchange(
                    address,
                    0,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                );
            }
        }
    }
}

#[cfg(test)]
mod tests;
