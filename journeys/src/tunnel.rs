// SPDX-License-Identifier: GPL-2.0

//! Which packets carry other packets.

use nftrace_core::packet::{Packet, Protocol};

use crate::model::Tunnel;

const VXLAN_PORT: u16 = 4789;
const GENEVE_PORT: u16 = 6081;

impl Tunnel {
    /// The tunnel of which this may be an outer packet. Any UDP packet may be one of
    /// WireGuard, or of another tunnel: see [`Self::is_certain`].
    pub(crate) fn of(packet: &Packet) -> Option<Self> {
        match packet.protocol {
            Protocol(4 | 41) => Some(Self::Ip),
            Protocol(47) => Some(Self::Gre),
            Protocol(50 | 51) => Some(Self::Esp),
            Protocol::UDP => Some(match packet.ports().map(|ports| ports.dst) {
                Some(VXLAN_PORT) => Self::Vxlan,
                Some(GENEVE_PORT) => Self::Geneve,
                _ => Self::Udp,
            }),
            _ => None,
        }
    }

    /// Whether the outer packet alone tells that it carries another.
    pub(crate) const fn is_certain(self) -> bool {
        !matches!(self, Self::Udp)
    }
}
