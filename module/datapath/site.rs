// SPDX-License-Identifier: GPL-2.0

//! Where a packet is, as those want to know it who write it down.

use nftrace_core::lives::Sighting;
use nftrace_core::record::Site;

use super::super::rings::Turn;
use crate::bindings::skb::HookedPacket;

/// Where a packet is, for who knows where it was.
#[inline]
pub(super) fn sighting(hooked: &HookedPacket<'_>, len: u32) -> Sighting {
    Sighting {
        address: hooked.address(),
        cookie: hooked.cookie(),
        inode: hooked.inode(),
        hook: hooked.hook(),
        family: hooked.family(),
        kind: hooked.kind(),
        len,
        end: hooked.end(),
    }
}

/// Where and when a packet is, and what surrounds its headers, but for its connection
/// and its socket.
#[inline(always)]
pub(super) fn site(
    hooked: &HookedPacket<'_>,
    len: u32,
    skb: u64,
    logged: bool,
    turn: &Turn<'_>,
) -> Site {
    let [dev, input, output] = hooked.devices();
    Site {
        kind: hooked.kind(),
        hook: hooked.hook(),
        family: hooked.family(),
        time: turn.time,
        cookie: hooked.cookie(),
        inode: hooked.inode(),
        dev,
        input,
        output,
        skb,
        len,
        mark: hooked.mark(),
        gso_segs: hooked.gso_segs(),
        cpu: turn.cpu,
        conntrack: None,
        socket: None,
        logged,
    }
}
