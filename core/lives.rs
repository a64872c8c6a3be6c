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

use ::core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::hook::{Family, Hook};
use crate::packet::{Packet, Protocol, Transport};
use crate::record::Kind;

/// Places among which an address may stand.
const WAYS: usize = 4;

/// Set in the address of an entry that somebody works on. Buffers are aligned.
const LOCKED: u64 = 1;

/// Room for the packets of a few addresses.
///
/// Whoever has set the lowest bit of an address may use the room beside it; nobody waits
/// for that. (Who looks for the oldest one reads when one was seen without; it is a hint.)
#[derive(Default)]
#[repr(C, align(64))]
pub struct Set {
    /// The buffers' addresses; 0 for none. All in one cache line.
    addresses: [AtomicU64; WAYS],
    lives: [Life; WAYS],
}

/// What is remembered of a packet.
#[derive(Default)]
struct Life {
    skb: AtomicU64,
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
    #[inline]
    fn pack(self) -> u64 {
        let low = u32::from_le_bytes([self.hook, self.family, self.protocol, 0]);
        (u64::from(self.len) << 32) | u64::from(low)
    }

    #[inline]
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
#[inline(always)]
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
#[inline(always)]
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

/// Locks the place of `old` for an address.
#[inline(always)]
fn lock(word: &AtomicU64, old: u64, address: u64) -> bool {
    old & LOCKED == 0
        && word
            .compare_exchange(old, address | LOCKED, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
}

impl Set {
    #[inline(always)]
    fn ways(&self) -> impl Iterator<Item = (&AtomicU64, &Life)> {
        self.addresses.iter().zip(&self.lives)
    }

    /// The life at an address, locked.
    #[inline(always)]
    fn lock(&self, address: u64) -> Option<(&AtomicU64, &Life)> {
        self.ways()
            .find(|(word, _)| word.load(Ordering::Relaxed) == address)
            .filter(|(word, _)| lock(word, address, address))
    }

    /// The life that was not seen for longest.
    #[cold]
    #[inline(never)]
    fn oldest(&self) -> Option<(&AtomicU64, &Life)> {
        // A loop: `Iterator::min_by_key` of zipped arrays leaves a way to panic.
        let (mut oldest, mut least) = (None, u64::MAX);
        for (word, life) in self.ways() {
            let seen = life.seen.load(Ordering::Relaxed);
            let is_locked = word.load(Ordering::Relaxed) & LOCKED != 0;
            if !is_locked && (oldest.is_none() || seen < least) {
                (oldest, least) = (Some((word, life)), seen);
            }
        }
        oldest
    }
}

impl Life {
    /// Whether it may be that of the packet that is seen now.
    #[inline(always)]
    fn goes_on(&self, now: &Sighting, signature: u64) -> bool {
        let last = State::unpack(self.state.load(Ordering::Relaxed));
        let same = self.signature.load(Ordering::Relaxed) == signature;
        goes_on(last, self.end.load(Ordering::Relaxed), same, now)
    }

    #[inline(always)]
    fn write(&self, now: &Sighting, packet: &Packet, signature: u64, time: u64) {
        let state = State {
            hook: now.hook.number(),
            family: now.family.number(),
            protocol: packet.protocol.0,
            len: now.len,
        };
        self.seen.store(time, Ordering::Relaxed);
        self.signature.store(signature, Ordering::Relaxed);
        self.cookie.store(now.cookie, Ordering::Relaxed);
        self.inode.store(now.inode.into(), Ordering::Relaxed);
        self.end.store(now.end, Ordering::Relaxed);
        self.state.store(state.pack(), Ordering::Relaxed);
    }
}

/// The lives of the packets that are traced.
pub struct Lives<S> {
    sets: S,
    /// Whether any packet was traced since the table was cleared.
    any: AtomicBool,
}

impl<S: AsRef<[Set]>> Lives<S> {
    /// A table of these sets, which are new: a power of two of them.
    pub const fn new(sets: S) -> Self {
        Self {
            sets,
            any: AtomicBool::new(false),
        }
    }

    /// The set in which an address may stand.
    #[inline(always)]
    fn set(&self, address: u64) -> Option<&Set> {
        let sets = self.sets.as_ref();
        // Addresses are no secret of anybody who could choose them: no keyed hash is needed.
        let hash = address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        #[allow(
            clippy::cast_possible_truncation,
            reason = "only the low bits are wanted"
        )]
        sets.get(hash as usize & sets.len().wrapping_sub(1))
    }

    /// Whether a packet at this address may be known: the cheapest question.
    #[inline]
    pub fn may_know(&self, address: u64) -> bool {
        self.any.load(Ordering::Relaxed)
            && self.set(address).is_some_and(|set| {
                set.addresses
                    .iter()
                    .any(|word| word.load(Ordering::Relaxed) == address)
            })
    }

    /// The identity of a packet that was traced before and is seen again; none where
    /// it is not known, or is over, so that this is another one. `clock` says
    /// nanoseconds; it is asked only if the packet is known.
    pub fn again(
        &self,
        now: &Sighting,
        packet: &Packet,
        clock: impl FnOnce() -> u64,
    ) -> Option<u64> {
        let signature = signature(packet);
        let (word, life) = self.set(now.address)?.lock(now.address)?;
        let known = life.goes_on(now, signature).then(|| {
            life.write(now, packet, signature, clock());
            life.skb.load(Ordering::Relaxed)
        });
        word.store(known.map_or(0, |_| now.address), Ordering::Release);
        known
    }

    /// The identity of a packet that is traced, at `time` in nanoseconds: `new`, which
    /// no other packet has, where it is not known.
    #[inline(always)]
    pub fn see(&self, now: &Sighting, packet: &Packet, time: u64, new: u64) -> u64 {
        let Some(set) = self.set(now.address) else {
            return new;
        };
        let signature = signature(packet);
        let known = set.lock(now.address);
        let Some((word, life)) = known.or_else(|| self.room(set, now.address)) else {
            return new;
        };
        let skb = if known.is_some() && life.goes_on(now, signature) {
            life.skb.load(Ordering::Relaxed)
        } else {
            life.skb.store(new, Ordering::Relaxed);
            new
        };
        life.write(now, packet, signature, time);
        word.store(now.address, Ordering::Release);
        skb
    }

    /// Room for another packet, locked for its address.
    #[inline(always)]
    fn room<'a>(&self, set: &'a Set, address: u64) -> Option<(&'a AtomicU64, &'a Life)> {
        self.any.store(true, Ordering::Relaxed);
        let empty = set
            .ways()
            .find(|(word, _)| word.load(Ordering::Relaxed) == 0);
        let (word, life) = empty.or_else(|| set.oldest())?;
        let old = word.load(Ordering::Relaxed);
        lock(word, old, address).then_some((word, life))
    }

    /// Ends the life of a packet whose buffer is freed; what was known of it.
    #[inline]
    pub fn end(&self, address: u64) -> Option<Death> {
        if !self.may_know(address) {
            return None;
        }
        let (word, life) = self.set(address)?.lock(address)?;
        let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let state = State::unpack(load(&life.state));
        let (skb, signature) = (load(&life.skb), load(&life.signature));
        let (cookie, inode) = (load(&life.cookie), load(&life.inode));
        word.store(0, Ordering::Release);
        Some(Death {
            skb,
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
        self.any.store(false, Ordering::Relaxed);
        for word in self.sets.as_ref().iter().flat_map(|set| &set.addresses) {
            let address = word.load(Ordering::Relaxed);
            if address & LOCKED == 0 {
                let _ = word.compare_exchange(address, 0, Ordering::Relaxed, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests;
