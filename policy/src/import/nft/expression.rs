// SPDX-License-Identifier: GPL-2.0

//! What nft asks of a packet, as conditions.

use super::super::among::{Among, Ranges};
use super::super::condition::{Condition, IcmpParts};
use super::sets::Sets;
use super::value::{among, number, Read, Type};
use crate::ast::{Device, Flags, IcmpFamily, IpFamily, Mark, Operand, State};
use serde_json::Value;

/// The conditions under which the left side is the right one: one of them is fulfilled.
pub(super) fn compare(
    left: &Value,
    op: &str,
    right: &Value,
    sets: &Sets,
    table: &str,
) -> Read<Vec<Condition>> {
    let not = op == "!=";
    let is_known = match op {
        "==" | "!=" => true,
        "in" => !has_order(left),
        "<" | "<=" | ">" | ">=" => has_order(left),
        _ => false,
    };
    if !is_known {
        return Err(format!(
            "it compares by `{op}`, which no rule here does of that"
        ));
    }
    if let Some(keys) = left.get("concat").and_then(Value::as_array) {
        return concatenation(keys, not, right, sets, table);
    }
    if let Some(masked) = left.get("&").and_then(Value::as_array) {
        let [inner, mask] = &masked[..] else {
            return Err("a mask has no two sides".to_string());
        };
        return with_mask(inner, mask, not, right);
    }
    let Some((key, what)) = left.as_object().and_then(|object| object.iter().next()) else {
        return Err(format!("{left} is nothing that a rule here asks for"));
    };
    let field = |name: &str| what.get(name).and_then(Value::as_str).unwrap_or_default();
    let value = |of: Type| -> Read<Among> {
        let among = match op {
            "==" | "in" | "!=" => among(right, of, sets, table)?,
            "<" | "<=" | ">" | ">=" => order(op, number(right, of)?, of)?,
            _ => return Err(format!("the comparison {op} is not known")),
        };
        Ok(among.negated(not))
    };
    let mut is = Condition::default();
    match (key.as_str(), field("protocol"), field("field")) {
        ("payload", "ip", "saddr") => is = address(IpFamily::Ipv4, true, &value)?,
        ("payload", "ip", "daddr") => is = address(IpFamily::Ipv4, false, &value)?,
        ("payload", "ip6", "saddr") => is = address(IpFamily::Ipv6, true, &value)?,
        ("payload", "ip6", "daddr") => is = address(IpFamily::Ipv6, false, &value)?,
        ("payload", "ip", "protocol") => {
            is.family = Some(IpFamily::Ipv4);
            is.protocols = Some(value(Type::Protocol)?);
        }
        ("payload", "tcp" | "udp" | "udplite" | "sctp" | "dccp" | "th", "sport" | "dport") => {
            if field("protocol") != "th" {
                let protocol = number(&Value::from(field("protocol")), Type::Protocol)?;
                is.protocols = Some(Among::one(protocol));
            }
            let ports = Some(value(Type::Port)?);
            if field("field") == "sport" {
                is.source_port = ports;
            } else {
                is.destination_port = ports;
            }
        }
        ("payload", "tcp", "flags") => return tcp_flags(op, right, None),
        ("payload", protocol @ ("icmp" | "icmpv6"), part @ ("type" | "code")) => {
            let family = if protocol == "icmp" {
                IcmpFamily::Icmp
            } else {
                IcmpFamily::Icmpv6
            };
            return icmp(family, part == "type", &value);
        }
        ("payload", "ether", "type") => return ether_type(right, not),
        ("payload", protocol, field) => {
            return Err(format!("no rule here asks for {protocol} {field}"));
        }
        ("meta", ..) => return meta(field("key"), right, not, &value),
        ("ct", ..) => return conntrack(what, right, not, &value),
        _ => return Err(format!("no rule here asks for `{key}`")),
    }
    Ok(vec![is])
}

/// Whether it is a number of which one is less than another.
fn has_order(left: &Value) -> bool {
    let part = |of: &str, part: &str| left.get(of)?.get(part)?.as_str();
    let is_number = |name: &str| {
        let numbers = "saddr daddr sport dport protocol l4proto skuid cgroup proto-dst";
        numbers.split(' ').any(|one| one == name)
    };
    let name = part("payload", "field").or_else(|| part("meta", "key"));
    let name = name.or_else(|| part("ct", "key"));
    name.is_some_and(is_number) && part("payload", "protocol") != Some("ether")
}

fn order(op: &str, value: u128, of: Type) -> Read<Among> {
    let most = match of {
        Type::Address(IpFamily::Ipv6) => u128::MAX,
        Type::Address(IpFamily::Ipv4) | Type::Number => u32::MAX.into(),
        Type::Port => u16::MAX.into(),
        Type::Protocol | Type::Icmp(_) => u8::MAX.into(),
    };
    let range = match op {
        "<" => value.checked_sub(1).map(|last| (0, last)),
        "<=" => Some((0, value)),
        ">" => Some((value.saturating_add(1), most)).filter(|_| value < most),
        _ => Some((value, most)),
    };
    let range = range.ok_or("nothing is less than nothing, or more than all")?;
    Ok(Among::of(false, Ranges::of([range])))
}

fn address(
    family: IpFamily,
    is_source: bool,
    value: &dyn Fn(Type) -> Read<Among>,
) -> Read<Condition> {
    let among = Some(value(Type::Address(family))?);
    let (source, destination) = if is_source {
        (among, None)
    } else {
        (None, among)
    };
    Ok(Condition {
        family: Some(family),
        source,
        destination,
        ..Condition::default()
    })
}

fn icmp(
    family: IcmpFamily,
    is_type: bool,
    value: &dyn Fn(Type) -> Read<Among>,
) -> Read<Vec<Condition>> {
    let among = value(if is_type {
        Type::Icmp(family)
    } else {
        Type::Number
    })?;
    if among.not {
        return Err("types and codes of ICMP are not negated here".to_string());
    }
    let numbers = among
        .ranges
        .iter()
        .flat_map(|(low, high)| low..=high.min(255));
    let condition = |number: u128| {
        let number = u8::try_from(number).ok();
        Condition {
            icmp: Some(IcmpParts {
                family,
                kind: number.filter(|_| is_type),
                code: number.filter(|_| !is_type),
            }),
            ..Condition::default()
        }
    };
    Ok(numbers.map(condition).collect())
}

/// `ip`, `ip6` and the like: the family.
fn ether_type(right: &Value, not: bool) -> Read<Vec<Condition>> {
    let family = match right {
        Value::String(name) if name == "ip" || name == "ipv4" => IpFamily::Ipv4,
        Value::String(name) if name == "ip6" || name == "ipv6" => IpFamily::Ipv6,
        Value::Number(number) if number.as_u64() == Some(2) => IpFamily::Ipv4,
        Value::Number(number) if number.as_u64() == Some(10) => IpFamily::Ipv6,
        _ => return Err(format!("{right}: a policy is about IPv4 and IPv6 only")),
    };
    if not {
        return Err("what is not of one family need not be of the other".to_string());
    }
    Ok(vec![Condition {
        family: Some(family),
        ..Condition::default()
    }])
}

fn meta(
    key: &str,
    right: &Value,
    not: bool,
    value: &dyn Fn(Type) -> Read<Among>,
) -> Read<Vec<Condition>> {
    let mut is = Condition::default();
    match key {
        "l4proto" => is.protocols = Some(value(Type::Protocol)?),
        "nfproto" | "protocol" => return ether_type(right, not),
        "iifname" | "iif" => is.iif = Some(devices(right, not)?),
        "oifname" | "oif" => is.oif = Some(devices(right, not)?),
        "skuid" => is.uid = Some(value(Type::Number)?),
        "cgroup" => is.classid = Some(value(Type::Number)?),
        "mark" => {
            let number = number(right, Type::Number)?;
            is.mark = Some(Mark {
                not,
                value: u32::try_from(number).map_err(|_| format!("{right} is no mark"))?,
                mask: u32::MAX,
            });
        }
        _ => return Err(format!("no rule here asks for `meta {key}`")),
    }
    Ok(vec![is])
}

fn devices(right: &Value, not: bool) -> Read<Operand<Device>> {
    let names = match (right.get("set"), right) {
        (Some(Value::Array(names)), _) | (None, Value::Array(names)) => names.as_slice(),
        (Some(one), _) => std::slice::from_ref(one),
        (None, one) => std::slice::from_ref(one),
    };
    let device = |name: &Value| -> Read<Device> {
        let Some(name) = name.as_str().filter(|name| !name.starts_with('@')) else {
            return Err(format!("{name} is no device"));
        };
        let prefix = name.strip_suffix('*').filter(|rest| !rest.ends_with('\\'));
        let device = Device {
            name: prefix.unwrap_or(name).replace("\\*", "*"),
            any_end: prefix.is_some(),
        };
        if device.name.is_empty() {
            return Err("`*` means any device".to_string());
        }
        if let Some((problem, _)) = Device::problem(&device.name) {
            return Err(format!("{name}: {problem}"));
        }
        Ok(device)
    };
    let items: Read<Vec<Device>> = names.iter().map(device).collect();
    Ok(Operand { not, items: items? })
}

fn conntrack(
    what: &Value,
    right: &Value,
    not: bool,
    value: &dyn Fn(Type) -> Read<Among>,
) -> Read<Vec<Condition>> {
    let key = what.get("key").and_then(Value::as_str).unwrap_or_default();
    let is_original = what.get("dir").and_then(Value::as_str) == Some("original");
    let mut is = Condition::default();
    match key {
        "state" => {
            let bits = bits(right, &|name| {
                State::ALL.iter().position(|state| state.name() == name)
            })?;
            // What is not two states at once is not said by the manual.
            let is_one = bits.is_power_of_two() || right.get("set").is_some();
            if not && !is_one {
                return Err("it negates several states that are no set".to_string());
            }
            is.states = Some(if not { !bits & 0x1f } else { bits });
        }
        "ip daddr" | "ip6 daddr" if is_original => {
            let family = if key == "ip daddr" {
                IpFamily::Ipv4
            } else {
                IpFamily::Ipv6
            };
            is.family = Some(family);
            is.original = Some(value(Type::Address(family))?);
        }
        "proto-dst" if is_original => is.original_port = Some(value(Type::Port)?),
        _ => return Err(format!("no rule here asks for `ct {key}`")),
    }
    if is.states == Some(0) {
        return Err("no packet is in none of the states".to_string());
    }
    Ok(vec![is])
}

/// A name, or several as a list, a set, or joined by `|`.
fn bits(value: &Value, bit: &dyn Fn(&str) -> Option<usize>) -> Read<u8> {
    if let Some(name) = value.as_str() {
        let bit = bit(name).ok_or_else(|| format!("{name} is not known here"))?;
        return Ok(1 << bit);
    }
    if value.as_u64() == Some(0) {
        return Ok(0);
    }
    let all = match value {
        Value::Array(all) => Some(all),
        _ => ["set", "|"]
            .iter()
            .find_map(|key| value.get(key)?.as_array()),
    };
    let all = all.ok_or_else(|| format!("{value} is not known here"))?;
    all.iter()
        .try_fold(0, |bits, one| Ok(bits | self::bits(one, bit)?))
}

fn flag(name: &str) -> Option<usize> {
    let name = if name == "ecn" { "ece" } else { name };
    Flags::NAMES.iter().position(|one| *one == name)
}

fn tcp_flags(op: &str, right: &Value, mask: Option<u8>) -> Read<Vec<Condition>> {
    let is_set = right.get("set").is_some() || right.is_array();
    let value = bits(right, &flag)?;
    let conditions = match (op, mask) {
        // `tcp flags syn`: at least one of them.
        ("in", None) => Condition::of_flags(
            true,
            Flags {
                value: 0,
                mask: value,
            },
        ),
        ("==" | "!=", _) if !is_set => {
            let mask = mask.unwrap_or(0xff);
            if value & !mask != 0 {
                return Err("it asks for flags that it does not look at".to_string());
            }
            Condition::of_flags(op == "!=", Flags { value, mask })
        }
        _ => return Err("it compares TCP's flags in a way that no rule here does".to_string()),
    };
    let tcp = Condition {
        protocols: Some(Among::one(6_u8)),
        ..Condition::default()
    };
    Ok(conditions
        .iter()
        .filter_map(|one| one.and(&tcp).ok())
        .collect())
}

/// `mark & MASK`, `tcp flags & MASK`, `ip frag-off & 0x1fff`.
fn with_mask(inner: &Value, mask: &Value, not: bool, right: &Value) -> Read<Vec<Condition>> {
    let payload = |name: &str| inner.get("payload")?.get(name)?.as_str();
    let op = if not { "!=" } else { "==" };
    if (payload("protocol"), payload("field")) == (Some("tcp"), Some("flags")) {
        return tcp_flags(op, right, Some(bits(mask, &flag)?));
    }
    if (payload("protocol"), payload("field")) == (Some("ip"), Some("frag-off")) {
        if mask.as_u64() == Some(0x1fff) && right.as_u64() == Some(0) {
            return Ok(vec![Condition {
                family: Some(IpFamily::Ipv4),
                fragment: Some(not),
                ..Condition::default()
            }]);
        }
        return Err("of fragments only the later ones are known here".to_string());
    }
    let meta = inner.get("meta").and_then(|meta| meta.get("key"));
    if meta.and_then(Value::as_str) == Some("mark") {
        let read = |value: &Value| -> Read<u32> {
            let value = number(value, Type::Number)?;
            u32::try_from(value).map_err(|_| "a mark has 32 bits".to_string())
        };
        let (value, mask) = (read(right)?, read(mask)?);
        if value & !mask != 0 {
            return Err("the mark has bits that it does not look at".to_string());
        }
        return Ok(vec![Condition {
            mark: Some(Mark { not, value, mask }),
            ..Condition::default()
        }]);
    }
    Err("no rule here looks at some bits of that".to_string())
}

/// `ip saddr . tcp dport { 192.0.2.1 . 22 }`: each element is a condition.
fn concatenation(
    keys: &[Value],
    not: bool,
    right: &Value,
    sets: &Sets,
    table: &str,
) -> Read<Vec<Condition>> {
    if not {
        return Err("what is joined by `.` is not negated here".to_string());
    }
    let elements = match right.as_str().and_then(|text| text.strip_prefix('@')) {
        Some(name) => sets.elements(table, name)?,
        None => match right.get("set") {
            Some(Value::Array(elements)) => elements.as_slice(),
            _ => std::slice::from_ref(right),
        },
    };
    let mut all = Vec::new();
    for element in elements {
        let inner = element.get("elem").and_then(|elem| elem.get("val"));
        let values = inner
            .unwrap_or(element)
            .get("concat")
            .and_then(Value::as_array);
        let Some(values) = values.filter(|values| values.len() == keys.len()) else {
            return Err(format!("{element} does not fit what is joined by `.`"));
        };
        let mut joined = vec![Condition::default()];
        for (key, value) in keys.iter().zip(values) {
            let parts = compare(key, "==", value, sets, table)?;
            let mut next = Vec::new();
            for one in &joined {
                next.extend(parts.iter().filter_map(|part| one.and(part).ok()));
            }
            joined = next;
        }
        all.extend(joined);
    }
    Ok(all)
}
