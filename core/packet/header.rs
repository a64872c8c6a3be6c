// SPDX-License-Identifier: GPL-2.0

//! What the network headers of both versions have in common.

use super::{ipv4, ipv6, Error, Fragment, Network, Protocol, Reader};
use ::core::net::IpAddr;

/// A network header with its options or extension headers. The fields are those
/// of [`Packet`](super::Packet).
pub(super) struct Header {
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) protocol: Protocol,
    pub(super) fragment: Option<Fragment>,
    pub(super) id: u32,
}

impl Header {
    /// Reads a header; the reader then stands at what `protocol` names.
    #[inline]
    pub(super) fn read(network: Network, reader: &mut Reader<'_>) -> Result<Self, Error> {
        match network {
            Network::Ipv4 => ipv4::header(reader),
            Network::Ipv6 => ipv6::header(reader),
        }
    }

    /// Whether the transport header went with another fragment.
    #[inline]
    pub(super) fn is_later_fragment(&self) -> bool {
        self.fragment.is_some_and(|fragment| fragment.offset != 0)
    }
}

impl Fragment {
    /// None where these fields say that the datagram is whole.
    #[inline]
    pub(super) fn of(offset: u16, more: bool) -> Option<Self> {
        (offset != 0 || more).then_some(Self { offset, more })
    }
}
