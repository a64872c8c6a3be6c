// SPDX-License-Identifier: GPL-2.0

//! The headers of a packet in a hook: found, copied, parsed.

use nftrace_core::hook::Family;
use nftrace_core::packet::{self, Network, Packet, MAX_HEADERS};

use crate::bindings::skb::HookedPacket;

/// Bytes that are copied of each packet: enough for IPv6 with one extension
/// header, or IPv4 with options, and TCP.
pub(super) const WINDOW: usize = 128;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: [u16; 2] = [0x8100, 0x88a8];

/// Where a packet's network header starts, and which it is.
pub(super) struct Start {
    pub(super) network: Network,
    pub(super) offset: u32,
}

/// Finds the network header; none where the packet is neither IPv4 nor IPv6.
#[inline]
pub(super) fn start(hooked: &HookedPacket<'_>) -> Option<Start> {
    let network = match hooked.family() {
        Family::Ipv4 => Network::Ipv4,
        Family::Ipv6 => Network::Ipv6,
        Family::Bridge => return start_of_frame(hooked),
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
fn parse_window<const N: usize>(
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
    parse_window::<MAX_HEADERS>(hooked, start, total)
}

/// Reads the headers of a packet that has `total` bytes from its network header on.
#[inline]
pub(super) fn read(
    hooked: &HookedPacket<'_>,
    start: &Start,
    total: usize,
) -> Result<Packet, packet::Error> {
    match parse_window::<WINDOW>(hooked, start, total) {
        Err(packet::Error::WindowTooSmall) => parse_all_headers(hooked, start, total),
        parsed => parsed,
    }
}
