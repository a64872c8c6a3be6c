// SPDX-License-Identifier: GPL-2.0

//! The two ends of a packet, as text.

use ::core::fmt;
use ::core::net::IpAddr;

use crate::packet::Ports;

/// An address with or without a port: `10.0.0.1:80`, `[2001:db8::1]:80`, `2001:db8::1`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Endpoint {
    pub(super) address: IpAddr,
    pub(super) port: Option<u16>,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, self.port) {
            (address, None) => write!(f, "{address}"),
            (IpAddr::V4(address), Some(port)) => write!(f, "{address}:{port}"),
            (IpAddr::V6(address), Some(port)) => write!(f, "[{address}]:{port}"),
        }
    }
}

/// Both ends of a packet.
pub(super) fn endpoints(src: IpAddr, dst: IpAddr, ports: Option<Ports>) -> (Endpoint, Endpoint) {
    (
        Endpoint {
            address: src,
            port: ports.map(|ports| ports.src),
        },
        Endpoint {
            address: dst,
            port: ports.map(|ports| ports.dst),
        },
    )
}
