// SPDX-License-Identifier: GPL-2.0

//! The IPv6 header and the extension headers behind it.

use super::{Error, Fragment, Header, Protocol, Reader, MAX_EXTENSION_HEADERS};
use ::core::net::IpAddr;

/// The greatest payload that the header can announce.
const MAX_PAYLOAD: usize = 65_535;

/// The header without extensions.
const FIXED: usize = 40;

// Extension headers, by the number that announces them.
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;
const HIP: u8 = 139;
const SHIM6: u8 = 140;

/// Reads the header and its extension headers; the reader then stands behind the
/// last of them.
#[inline]
pub(super) fn header(reader: &mut Reader<'_>) -> Result<Header, Error> {
    let [version, _, _, _] = reader.take()?;
    let [announced @ .., next, _] = reader.take::<4>()?;
    let src: [u8; 16] = reader.take()?;
    let dst: [u8; 16] = reader.take()?;
    if version >> 4 != 6 {
        return Err(Error::Malformed);
    }
    let announced = usize::from(u16::from_be_bytes(announced));
    // An offloaded packet or a jumbogram (RFC 2675) may be longer than the field
    // can say, which then is 0. A jumbogram that fits the field is not allowed.
    if announced != 0 || reader.left() <= MAX_PAYLOAD {
        reader.announce(announced.wrapping_add(FIXED), FIXED)?;
    }

    let mut header = Header {
        src: IpAddr::from(src),
        dst: IpAddr::from(dst),
        protocol: Protocol(next),
        fragment: None,
        id: 0,
    };
    extensions(reader, &mut header)?;
    Ok(header)
}

/// Follows the chain of extension headers up to the transport protocol, up to
/// what cannot be read on (ESP, "no next header"), or to the fragment header of a
/// later fragment.
#[inline]
fn extensions(reader: &mut Reader<'_>, header: &mut Header) -> Result<(), Error> {
    let mut fragmented = false;
    for count in 0..=MAX_EXTENSION_HEADERS {
        let kind = header.protocol.0;
        if !is_extension(kind) {
            return Ok(());
        }
        if count == MAX_EXTENSION_HEADERS || (kind == HOP_BY_HOP && count != 0) {
            return Err(Error::Malformed);
        }
        // None of them is shorter than 8 bytes.
        let [next, length, word @ ..] = reader.take::<4>()?;
        let id = reader.take()?;
        header.protocol = Protocol(next);
        match kind {
            FRAGMENT => {
                // Fragments are put together again before one could be cut up.
                if fragmented {
                    return Err(Error::Malformed);
                }
                fragmented = true;
                let word = u16::from_be_bytes(word);
                header.id = u32::from_be_bytes(id);
                header.fragment = Fragment::of(word & 0xfff8, word & 1 != 0);
                if header.is_later_fragment() {
                    return Ok(());
                }
            }
            // Counted in units of 4 bytes less 2, and at least 12 bytes long.
            AUTHENTICATION => {
                let rest = usize::from(length).checked_sub(1).ok_or(Error::Malformed)?;
                reader.skip((rest << 2).wrapping_add(4))?;
            }
            _ => reader.skip(usize::from(length) << 3)?,
        }
    }
    Ok(())
}

/// Whether the number is that of an extension header which tells what follows it.
#[inline]
fn is_extension(protocol: u8) -> bool {
    matches!(
        protocol,
        HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION | MOBILITY | HIP | SHIM6
    )
}
