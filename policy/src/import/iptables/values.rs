// SPDX-License-Identifier: GPL-2.0

//! The values of iptables' options.

use super::super::among::{Among, Ranges};
use super::super::condition::{Condition, IcmpParts};
use super::super::emit;
use crate::ast::{Device, Flags, IcmpFamily, IpFamily, Mark, Operand, State, Unit};
use crate::words;
use std::net::IpAddr;

/// A value, or why it is none.
pub(super) type Read<T> = Result<T, String>;

/// `--syn`
pub(super) const SYN: Flags = Flags {
    value: 0x02,
    mask: Flags::USUAL_MASK,
};

pub(super) fn number<T: std::str::FromStr>(text: &str) -> Read<T> {
    text.parse()
        .map_err(|_| format!("{text:?} is no number that fits"))
}

pub(super) fn hexadecimal(text: &str) -> Read<u32> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|_| format!("{text:?} is no number that fits"))
}

pub(super) fn protocol(text: &str) -> Read<u8> {
    if let Some(known) = words::protocol(text) {
        return Ok(known.0);
    }
    match text {
        "ipv6-icmp" | "icmp6" => Ok(58),
        "ipencap" => Ok(4),
        "ipv6" => Ok(41),
        "ipcomp" => Ok(108),
        "l2tp" => Ok(115),
        _ => text
            .parse()
            .map_err(|_| format!("the protocol {text} is not known by that name")),
    }
}

pub(super) fn ip(text: &str, family: IpFamily) -> Read<IpAddr> {
    let address: IpAddr = text
        .parse()
        .map_err(|_| format!("{text:?} is no address"))?;
    if address.is_ipv4() == (family == IpFamily::Ipv4) {
        Ok(address)
    } else {
        Err(format!("{text} is of the other family"))
    }
}

pub(super) fn range(text: &str, family: IpFamily) -> Read<Among> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (
        emit::number(ip(first, family)?),
        emit::number(ip(last, family)?),
    );
    if first > last {
        return Err(format!("{text} ends before it begins"));
    }
    Ok(Among::of(false, Ranges::of([(first, last)])))
}

/// `ADDRESS`, `ADDRESS/LENGTH`, `ADDRESS/MASK`.
pub(super) fn prefix(text: &str, family: IpFamily) -> Read<Among> {
    let (address, length) = text.split_once('/').unwrap_or((text, ""));
    let address = emit::number(ip(address, family)?);
    let (width, all) = match family {
        IpFamily::Ipv4 => (32, u128::from(u32::MAX)),
        IpFamily::Ipv6 => (128, u128::MAX),
    };
    let host = if length.is_empty() {
        0
    } else if let Ok(length) = length.parse::<u32>() {
        if length > width {
            return Err(format!("{text}: no prefix is so long"));
        }
        u128::MAX.checked_shr(128 - (width - length)).unwrap_or(0)
    } else {
        !emit::number(ip(length, family)?) & all
    };
    // The bits that count come first.
    if host & host.wrapping_add(1) != 0 {
        return Err(format!("{text}: the mask is no prefix"));
    }
    Ok(Among::of(
        false,
        Ranges::of([(address & !host, address | host)]),
    ))
}

pub(super) fn device(text: &str, not: bool) -> Read<Operand<Device>> {
    let device = match text.strip_suffix('+') {
        Some(name) => Device {
            name: name.to_string(),
            any_end: true,
        },
        None => Device {
            name: text.to_string(),
            any_end: false,
        },
    };
    if device.name.is_empty() {
        return Err("`+` means any device: it says nothing, or with `!` none".to_string());
    }
    if let Some((problem, _)) = Device::problem(&device.name) {
        return Err(format!("{text:?}: {problem}"));
    }
    Ok(Operand {
        not,
        items: vec![device],
    })
}

/// `80`, `80,443`, `8000:8999`, `:1023`
pub(super) fn ports(text: &str) -> Read<Among> {
    let range = |item: &str| -> Read<(u128, u128)> {
        let (first, last) = match item.split_once(':') {
            None => (item, item),
            Some((first, last)) => (
                if first.is_empty() { "0" } else { first },
                if last.is_empty() { "65535" } else { last },
            ),
        };
        let (first, last): (u16, u16) = (number(first)?, number(last)?);
        if first > last {
            return Err(format!("the ports {item} end before they begin"));
        }
        Ok((first.into(), last.into()))
    };
    let ranges: Read<Vec<_>> = text.split(',').map(range).collect();
    Ok(Among::of(false, Ranges::of(ranges?)))
}

pub(super) fn states(text: &str, not: bool) -> Read<u8> {
    let mut bits = 0;
    for name in text.split(',') {
        let wanted = name.to_ascii_lowercase();
        let bit = State::ALL.iter().position(|state| state.name() == wanted);
        bits |= 1 << bit.ok_or_else(|| format!("the state {name} is not known here"))?;
    }
    Ok(if not { !bits & 0x1f } else { bits })
}

pub(super) fn flags(text: &str) -> Read<u8> {
    let mut bits = 0;
    for name in text.split(',') {
        let wanted = name.to_ascii_lowercase();
        bits |= match wanted.as_str() {
            "all" => 0x3f,
            "none" => 0,
            _ => {
                let bit = Flags::NAMES.iter().position(|one| *one == wanted);
                1 << bit.ok_or_else(|| format!("the flag {name} is not known"))?
            }
        };
    }
    Ok(bits)
}

pub(super) fn mark(text: &str, not: bool) -> Read<Mark> {
    let (value, mask) = text.split_once('/').unwrap_or((text, "0xffffffff"));
    let (value, mask) = (hexadecimal(value)?, hexadecimal(mask)?);
    if value & !mask != 0 {
        return Err("the mark has bits that it does not look at: it never matches".to_string());
    }
    Ok(Mark { not, value, mask })
}

pub(super) fn rate(text: &str) -> Read<(u32, Unit)> {
    let (count, unit) = text.split_once('/').unwrap_or((text, "sec"));
    let per = match unit {
        "s" | "sec" | "second" => Unit::Second,
        "m" | "min" | "minute" => Unit::Minute,
        "h" | "hour" => Unit::Hour,
        _ => {
            return Err(format!(
                "a limit per {unit} is not known here: second, minute, hour are"
            ))
        }
    };
    Ok((number(count)?, per))
}

/// `8`, `3/1`, a name.
pub(super) fn icmp(family: IcmpFamily, text: &str, not: bool) -> Read<Vec<Condition>> {
    if text == "any" && !not {
        return Ok(vec![Condition::default()]);
    }
    if not {
        return Err("types of ICMP are not negated here".to_string());
    }
    let (kind, code) = match text.split_once('/') {
        Some((kind, code)) => (kind, Some(number(code)?)),
        None => (text, None),
    };
    let (kind, code) = match kind.parse() {
        Ok(kind) => (kind, code),
        Err(_) => {
            let usual = match kind {
                "ping" => "echo-request",
                "pong" => "echo-reply",
                "neighbour-solicitation" | "neighbor-solicitation" => "nd-neighbor-solicit",
                "neighbour-advertisement" | "neighbor-advertisement" => "nd-neighbor-advert",
                "router-solicitation" if family == IcmpFamily::Icmpv6 => "nd-router-solicit",
                "router-advertisement" if family == IcmpFamily::Icmpv6 => "nd-router-advert",
                "ttl-exceeded" => "time-exceeded",
                other => other,
            };
            let mut named = words::icmp_types(family).iter();
            let found = named.find(|(name, _)| *name == usual);
            match (found, kind) {
                (Some(_), "ttl-exceeded") => (11, Some(code.unwrap_or(0))),
                (Some((_, number)), _) => (*number, code),
                (None, _) => return Err(format!("the ICMP type {kind} is not known by that name")),
            }
        }
    };
    let parts = IcmpParts {
        family,
        kind: Some(kind),
        code,
    };
    Ok(vec![Condition {
        icmp: Some(parts),
        ..Condition::default()
    }])
}
