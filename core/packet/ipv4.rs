// SPDX-License-Identifier: GPL-2.0

//! The IPv4 header.

use super::{Error, Fragment, Header, Protocol, Reader};
use ::core::net::IpAddr;

/// The header without its options.
const FIXED: usize = 20;

/// The greatest length that the header can announce.
const MAX_LENGTH: usize = 65_535;

/// Reads the header and its options; the reader then stands at the payload.
#[inline]
pub(super) fn header(reader: &mut Reader<'_>) -> Result<Header, Error> {
    let packet = reader.left();
    let [version_ihl, _, announced @ ..] = reader.take::<4>()?;
    let [id @ .., word_hi, word_lo] = reader.take::<4>()?;
    let [_, protocol, _, _] = reader.take()?;
    let src: [u8; 4] = reader.take()?;
    let dst: [u8; 4] = reader.take()?;

    let length = usize::from(version_ihl & 0x0f) << 2;
    let options = length.checked_sub(FIXED).ok_or(Error::Malformed)?;
    if version_ihl >> 4 != 4 {
        return Err(Error::Malformed);
    }
    let announced = usize::from(u16::from_be_bytes(announced));
    // An offloaded packet may be longer than the field can say, which then is 0.
    if announced != 0 || packet <= MAX_LENGTH {
        reader.announce(announced, length)?;
    }
    reader.skip(options)?;

    let word = u16::from_be_bytes([word_hi, word_lo]);
    Ok(Header {
        src: IpAddr::from(src),
        dst: IpAddr::from(dst),
        protocol: Protocol(protocol),
        fragment: Fragment::of((word & 0x1fff) << 3, word & 0x2000 != 0),
        id: u32::from(u16::from_be_bytes(id)),
    })
}
