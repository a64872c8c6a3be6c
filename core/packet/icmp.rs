// SPDX-License-Identifier: GPL-2.0

//! ICMP and ICMPv6, with the packet that an error message quotes.

use super::{transport, Error, Header, Icmp, Network, Quoted, Reader};

/// Reads a message; both protocols have the same header.
#[inline]
pub(super) fn parse(network: Network, reader: &mut Reader<'_>) -> Result<Icmp, Error> {
    let [kind, code, _, _, _, _, _, _] = reader.take()?;
    let quoted = if is_error(network, kind) {
        quotation(network, reader.quotation())?
    } else {
        None
    };
    Ok(Icmp { kind, code, quoted })
}

/// Whether messages of this type tell of trouble with another packet.
#[inline]
fn is_error(network: Network, kind: u8) -> bool {
    match network {
        // Destination unreachable, source quench, redirect, time exceeded,
        // parameter problem.
        Network::Ipv4 => matches!(kind, 3 | 4 | 5 | 11 | 12),
        // RFC 4443 gives the lower half of the numbers to errors.
        Network::Ipv6 => matches!(kind, 1..=127),
    }
}

/// Reads the quoted packet as far as it goes.
///
/// Quotations are cut where their sender pleased, so one that ends early or makes
/// no sense is no fault of the message: only the window can be.
fn quotation(network: Network, mut reader: Reader<'_>) -> Result<Option<Quoted>, Error> {
    let Some(header) = readable(Header::read(network, &mut reader))? else {
        return Ok(None);
    };
    let ports = readable(transport::quoted_ports(&header, &mut reader))?.flatten();
    Ok(Some(Quoted {
        src: header.src,
        dst: header.dst,
        protocol: header.protocol,
        ports,
    }))
}

/// Turns "cannot be read" into none, unless a larger window can help.
#[inline]
fn readable<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::WindowTooSmall) => Err(Error::WindowTooSmall),
        Err(Error::Truncated | Error::Malformed) => Ok(None),
    }
}
