// SPDX-License-Identifier: GPL-2.0

//! Words that are values: addresses, ports, numbers.

use crate::ast::{AddressRange, Element, PortRange, RangeError};
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::words;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

type Valued<T> = Result<T, Diagnostic>;

/// An element of a set: addresses or ports.
pub(crate) fn element(span: Span, said: &str) -> Valued<Element> {
    if ["container:", "netns:", "pid:"]
        .iter()
        .any(|kind| said.starts_with(kind))
    {
        let error = Diagnostic::error(span, "a set has addresses, not who has them");
        return Err(error.help(format!("name it in the rule: from {{ {said}, @NAME }}")));
    }
    if said.contains(['.', ':', '/']) {
        address_range(span, said).map(Element::Addresses)
    } else if said.starts_with(|first: char| first.is_ascii_digit()) {
        port_range(span, said).map(Element::Ports)
    } else {
        let error = Diagnostic::error(span, format!("`{said}` is neither an address nor a port"));
        Err(match words::service(said) {
            Some(port) => error.help(format!("{said} usually has the port {port}")),
            None => error.help("names of hosts are not looked up; another set is `@NAME`"),
        })
    }
}

/// An address, a prefix or a range.
pub(crate) fn address_range(span: Span, said: &str) -> Valued<AddressRange> {
    if let Ok(address) = IpAddr::from_str(said) {
        return Ok(address.into());
    }
    if let Some((address, length)) = said.split_once('/') {
        return prefix(span, address, length);
    }
    if let Some((first, last)) = said.split_once('-') {
        let (first, last) = (address(span, first)?, address(span, last)?);
        return AddressRange::new(first, last).map_err(|error| match error {
            RangeError::TwoFamilies => {
                Diagnostic::error(span, "the range goes from one family to the other")
            }
            _ => Diagnostic::error(span, "the range is reversed")
                .help(format!("did you mean {last}-{first}?")),
        });
    }
    Ok(address(span, said)?.into())
}

fn address(span: Span, said: &str) -> Valued<IpAddr> {
    IpAddr::from_str(said).map_err(|_| {
        let error = Diagnostic::error(span, format!("`{said}` is no address"));
        let parts: Vec<_> = said.split('.').collect();
        let too_large = parts
            .iter()
            .find(|part| part.len() > 3 || part.parse::<u32>().is_ok_and(|number| number > 255));
        let zero = parts.iter().find(|part| {
            part.len() > 1 && part.starts_with('0') && part.bytes().all(|one| one.is_ascii_digit())
        });
        if let Some(zero) = zero {
            error.help(format!(
                "`{zero}` would be octal for some programs: leave the leading zeroes out"
            ))
        } else if let Some(large) = too_large.filter(|_| parts.len() == 4) {
            error.help(format!("`{large}` is more than 255"))
        } else if said.contains('%') {
            error.help("leave the zone out, and name the device: `iif eth0`")
        } else if said.contains(':') {
            error.help("as in 2001:db8::1")
        } else if said.starts_with(|one: char| one.is_ascii_digit()) {
            error.help("as in 10.1.2.3")
        } else {
            error.help("names are not looked up; a container is `container:NAME`, a set `@NAME`")
        }
    })
}

fn prefix(span: Span, said: &str, length: &str) -> Valued<AddressRange> {
    let address = address(span, said)?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let Ok(bits) = length.parse::<u8>() else {
        let error = Diagnostic::error(span, format!("`{length}` is no length of a prefix"));
        let mask = length.parse::<Ipv4Addr>().ok().map(Ipv4Addr::to_bits);
        let usual = mask.filter(|mask| mask.leading_ones() + mask.trailing_zeros() >= 32);
        return Err(match usual {
            Some(mask) => error.help(format!("did you mean {said}/{}?", mask.leading_ones())),
            None => error.help(format!("it is a number from 0 to {most}")),
        });
    };
    AddressRange::prefix(address, bits).map_err(|error| match error {
        RangeError::TooLong => {
            Diagnostic::error(span, format!("the prefix is longer than {most} bits"))
                .help(format!("it is a number from 0 to {most}"))
        }
        _ => {
            let meant = AddressRange::network(address, bits).unwrap_or(address.into());
            Diagnostic::error(span, "host bits are set")
                .label(format!("bits of this are behind the first {bits}"))
                .help(format!(
                    "did you mean {meant}, or the one address {address}?"
                ))
        }
    })
}

/// A port, or a range of ports.
pub(super) fn port_range(span: Span, said: &str) -> Valued<PortRange> {
    let (first, last) = said.split_once('-').unwrap_or((said, said));
    let (first, last) = (port(span, first)?, port(span, last)?);
    PortRange::new(first, last).map_err(|_| {
        Diagnostic::error(span, "the range is reversed")
            .help(format!("did you mean {last}-{first}?"))
    })
}

fn port(span: Span, said: &str) -> Valued<u16> {
    decimal(said).map_err(|too_large| {
        let error = if too_large {
            return Diagnostic::error(span, format!("`{said}` is more than 65535"))
                .help("a port is a number from 0 to 65535");
        } else {
            Diagnostic::error(span, format!("`{said}` is no port"))
        };
        match words::service(said) {
            Some(port) => error.help(format!("write {port}")),
            None if said.contains(':') => {
                error.help(format!("did you mean {}?", said.replace(':', "-")))
            }
            None => error.help("a port is a number from 0 to 65535"),
        }
    })
}

/// A number without sign, in digits; the error says whether it is one, but too large.
pub(super) fn decimal<T: FromStr>(said: &str) -> Result<T, bool> {
    let is_number = !said.is_empty() && said.bytes().all(|one| one.is_ascii_digit());
    if is_number {
        said.parse().map_err(|_| true)
    } else {
        Err(false)
    }
}

/// A number of 32 bits, decimal or `0x…`.
pub(super) fn number(said: &str) -> Result<u32, bool> {
    match said.strip_prefix("0x") {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|one| one.is_ascii_hexdigit()) => {
            u32::from_str_radix(digits, 16).map_err(|_| true)
        }
        _ => decimal(said),
    }
}
