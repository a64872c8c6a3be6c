// SPDX-License-Identifier: GPL-2.0

//! The headers of a packet in a hook: found, and read where they lie.

use nftrace_core::hook::Family;
use nftrace_core::packet::{self, Network, Packet, Plain, MAX_HEADERS};

use crate::bindings::skb::HookedPacket;

/// Bytes that are copied of a packet that does not lie in one piece: enough for IPv6
/// with one extension header, or IPv4 with options, and TCP.
pub(super) const WINDOW: usize = 128;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: [u16; 2] = [0x8100, 0x88a8];

/// Where a packet's headers are.
#[derive(Clone, Copy)]
pub(super) struct Start<'a> {
    pub(super) network: Network,
    /// Of the network header.
    pub(super) offset: u32,
    /// Bytes from the network header on.
    pub(super) len: u32,
    /// The first of them, as far as they lie in one piece.
    window: &'a [u8],
}

impl<'a> Start<'a> {
    /// Finds the network header; none where the packet is neither IPv4 nor IPv6.
    #[inline]
    pub(super) fn find(hooked: &'a HookedPacket<'_>) -> Option<Self> {
        if hooked.family() == Family::Bridge {
            let (network, offset) = start_of_frame(hooked)?;
            return Some(Self::at(hooked, network, offset));
        }
        Self::find_ip(hooked)
    }

    /// The same for a packet of the IP families.
    #[inline]
    pub(super) fn find_ip(hooked: &'a HookedPacket<'_>) -> Option<Self> {
        let network = match hooked.family() {
            Family::Ipv4 => Network::Ipv4,
            Family::Ipv6 => Network::Ipv6,
            Family::Bridge => return None,
        };
        Some(Self::at(hooked, network, hooked.network_offset()?))
    }

    #[inline]
    fn at(hooked: &'a HookedPacket<'_>, network: Network, offset: u32) -> Self {
        Self {
            network,
            offset,
            len: hooked.len().saturating_sub(offset),
            window: hooked.linear(offset).unwrap_or_default(),
        }
    }

    /// The headers of a packet of one family, where they are as most are, and the length
    /// from the network header on: without the way over a `Start`, for who asks nothing else.
    #[inline(always)]
    pub(super) fn glance<const IPV6: bool>(
        hooked: &'a HookedPacket<'_>,
    ) -> Option<(Plain<'a>, u32)> {
        let network = if IPV6 { Network::Ipv6 } else { Network::Ipv4 };
        let offset = hooked.network_offset()?;
        let window = hooked.linear(offset)?;
        // What is linear is part of it.
        let len = hooked.len().wrapping_sub(offset);
        Some((Plain::new(network, window, len as usize)?, len))
    }

    /// The headers, where they are as most are.
    #[inline]
    pub(super) fn plain(&self) -> Option<Plain<'a>> {
        Plain::new(self.network, self.window, self.len as usize)
    }

    /// Reads the headers.
    #[inline]
    pub(super) fn read(&self, hooked: &HookedPacket<'_>) -> Result<Packet, packet::Error> {
        match packet::parse(self.network, self.window, self.len as usize) {
            Err(packet::Error::WindowTooSmall) => self.read_copy(hooked),
            parsed => parsed,
        }
    }

    /// The same where they lie in several pieces.
    #[inline(never)]
    fn read_copy(&self, hooked: &HookedPacket<'_>) -> Result<Packet, packet::Error> {
        match self.parse_copy::<WINDOW>(hooked) {
            Err(packet::Error::WindowTooSmall) => self.read_all(hooked),
            parsed => parsed,
        }
    }

    /// The same for the packet that has more headers than most; out of line, so
    /// that the large copy costs others no stack.
    #[cold]
    #[inline(never)]
    fn read_all(&self, hooked: &HookedPacket<'_>) -> Result<Packet, packet::Error> {
        self.parse_copy::<MAX_HEADERS>(hooked)
    }

    /// Parses a copy of the first `N` bytes.
    #[inline]
    fn parse_copy<const N: usize>(
        &self,
        hooked: &HookedPacket<'_>,
    ) -> Result<Packet, packet::Error> {
        let total = self.len as usize;
        let mut buffer = [0; N];
        let window = buffer.get_mut(..total.min(N)).unwrap_or_default();
        if !hooked.copy(self.offset, window) {
            return Err(packet::Error::Truncated);
        }
        packet::parse(self.network, window, total)
    }
}

/// The same for a frame, which starts behind its Ethernet header and may have
/// up to two VLAN tags.
#[inline(never)]
fn start_of_frame(hooked: &HookedPacket<'_>) -> Option<(Network, u32)> {
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
    Some((network, offset))
}
