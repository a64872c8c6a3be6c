// SPDX-License-Identifier: GPL-2.0

//! What nft compares with, as numbers.

use super::super::among::{Among, Ranges};
use super::super::emit;
use super::sets::Sets;
use crate::ast::{IcmpFamily, IpFamily};
use crate::words;
use serde_json::Value;

pub(super) type Read<T> = Result<T, String>;

/// What kind of number is compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Type {
    Address(IpFamily),
    Port,
    Protocol,
    Icmp(IcmpFamily),
    Number,
}

/// One value as a number.
pub(super) fn number(value: &Value, of: Type) -> Read<u128> {
    if let Some(number) = value.as_u64() {
        return match of {
            Type::Address(_) => Err(format!("{number} is no address")),
            _ => Ok(number.into()),
        };
    }
    let Some(text) = value.as_str() else {
        return Err(format!(
            "{value} is no value that a rule here compares with"
        ));
    };
    let unknown = || format!("{text:?} is not known as a number: list with `nft -j -nn`");
    match of {
        Type::Address(family) => {
            let address = text
                .parse()
                .map_err(|_| format!("{text:?} is no address"))?;
            let wanted: std::net::IpAddr = address;
            if wanted.is_ipv4() == (family == IpFamily::Ipv4) {
                Ok(emit::number(wanted))
            } else {
                Err(format!("{text} is of the other family"))
            }
        }
        Type::Protocol => match text {
            "ipv6-icmp" => Ok(58),
            "comp" => Ok(108),
            _ => words::protocol(text)
                .map(|one| one.0.into())
                .ok_or_else(unknown),
        },
        Type::Icmp(family) => {
            let text = match text {
                "mld-listener-reduction" => "mld-listener-done",
                other => other,
            };
            let mut named = words::icmp_types(family).iter();
            let found = named.find(|(name, _)| *name == text);
            found
                .map(|(_, number)| (*number).into())
                .ok_or_else(unknown)
        }
        Type::Port | Type::Number => match text {
            "root" => Ok(0),
            _ => match text.strip_prefix("0x") {
                Some(digits) => u128::from_str_radix(digits, 16).map_err(|_| unknown()),
                None => text.parse().map_err(|_| unknown()),
            },
        },
    }
}

/// One element: a value, a prefix, a range.
pub(super) fn element(value: &Value, of: Type) -> Read<(u128, u128)> {
    // An element of a set can have a timeout, a comment, counters.
    if let Some(inner) = value.get("elem").and_then(|elem| elem.get("val")) {
        return element(inner, of);
    }
    if let Some(prefix) = value.get("prefix") {
        let length = prefix.get("len").and_then(Value::as_u64);
        let address = number(prefix.get("addr").unwrap_or(&Value::Null), of)?;
        let width = match of {
            Type::Address(IpFamily::Ipv4) => 32,
            Type::Address(IpFamily::Ipv6) => 128,
            _ => return Err(format!("{value}: only addresses have prefixes here")),
        };
        let bits = length
            .and_then(|length| width_of(width, length))
            .ok_or_else(|| format!("{value} is no prefix"))?;
        let host = u128::MAX.checked_shr(128 - bits).unwrap_or(0);
        return Ok((address & !host, address | host));
    }
    if let Some(range) = value.get("range").and_then(Value::as_array) {
        let [first, last] = &range[..] else {
            return Err(format!("{value} is no range"));
        };
        let (first, last) = (number(first, of)?, number(last, of)?);
        return if first <= last {
            Ok((first, last))
        } else {
            Err(format!("{value} ends before it begins"))
        };
    }
    let number = number(value, of)?;
    Ok((number, number))
}

fn width_of(width: u32, length: u64) -> Option<u32> {
    width.checked_sub(u32::try_from(length).ok()?)
}

/// The right side of a match: a value, a set, the name of a set.
pub(super) fn among(value: &Value, of: Type, sets: &Sets, table: &str) -> Read<Among> {
    if let Some(name) = value.as_str().and_then(|text| text.strip_prefix('@')) {
        let (ranges, known) = sets.named(table, name, of)?;
        let mut among = Among::of(false, ranges);
        among.set = known;
        return Ok(among);
    }
    let elements = match (value.get("set"), value) {
        (Some(Value::Array(elements)), _) | (None, Value::Array(elements)) => elements.as_slice(),
        (Some(one), _) => std::slice::from_ref(one),
        (None, one) => std::slice::from_ref(one),
    };
    let ranges: Read<Vec<_>> = elements.iter().map(|one| element(one, of)).collect();
    Ok(Among::of(false, Ranges::of(ranges?)))
}
