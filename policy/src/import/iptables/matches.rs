// SPDX-License-Identifier: GPL-2.0

//! The matches of a rule of iptables.

use super::super::among::{Among, Ranges};
use super::super::condition::{with_ports, Condition, IcmpParts};
use super::super::emit;
use super::super::model::{Action, DestinationKind, Entry};
use super::super::Source;
use super::targets::{self, Target};
use crate::ast::{Device, Flags, IcmpFamily, IpFamily, Limit, Mark, Operand, State, Unit};
use crate::words;
use std::net::IpAddr;

/// A rule as its words are read.
pub(super) struct Rule {
    family: IpFamily,
    entry: Entry,
    /// The match whose options follow.
    module: String,
    /// Whether a match stands behind the limit, which would be asked before.
    limit: Option<Limit>,
    target: Option<Target>,
    /// How many matches there are.
    matches: usize,
}

type Read<T> = Result<T, String>;

/// The words that are left.
struct Words<'a> {
    words: &'a [String],
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    fn value(&mut self, of: &str) -> Read<&'a str> {
        self.next().ok_or_else(|| format!("{of} has no value"))
    }
}

impl Rule {
    pub(super) fn new(family: IpFamily, source: Source) -> Self {
        let all = Condition {
            family: Some(family),
            ..Condition::default()
        };
        Self {
            family,
            entry: Entry {
                source,
                conditions: Ok(vec![all]),
                comment: None,
                kind: None,
                actions: Vec::new(),
            },
            module: String::new(),
            limit: None,
            target: None,
            matches: 0,
        }
    }

    /// Reads the words behind the chain. What cannot be carried over makes the conditions
    /// an error, or the target one.
    pub(super) fn read(&mut self, words: &[String]) {
        let mut words = Words { words };
        while let Some(mut word) = words.next() {
            let not = word == "!";
            if not {
                let Some(next) = words.next() else {
                    return self.fail("`!` stands before nothing".to_string());
                };
                word = next;
            }
            match word {
                "-j" | "--jump" | "-g" | "--goto" => {
                    let name = words.next().unwrap_or_default();
                    let is_goto = word.starts_with("-g") || word == "--goto";
                    self.target = Some(targets::read(name, is_goto, words.words));
                    break;
                }
                "-m" | "--match" => self.module = words.next().unwrap_or_default().to_string(),
                _ => {
                    self.matches += 1;
                    let read = self.option(word, not, &mut words);
                    self.entry.narrow(read.map(|all| match all {
                        Some(all) => all,
                        None => vec![Condition::default()],
                    }));
                }
            }
            if self.entry.conditions.is_err() {
                // The target is still wanted.
                let rest = words.words;
                let is_target =
                    |word: &String| ["-j", "--jump", "-g", "--goto"].contains(&word.as_str());
                let at = rest.iter().position(is_target).unwrap_or(rest.len());
                self.matches += at;
                words.words = &rest[at..];
            }
        }
        if let Some(limit) = self.limit {
            self.entry.limit(limit);
        }
    }

    fn fail(&mut self, reason: String) {
        self.entry.narrow(Err(reason));
    }

    /// The rule; the error is a chain that there is not.
    pub(super) fn entry(
        mut self,
        chain: &mut dyn FnMut(&str) -> Option<usize>,
    ) -> Result<Entry, String> {
        if self.matches != 1 || self.family == IpFamily::Ipv6 {
            self.entry.kind = None;
        }
        self.entry.actions = match self.target {
            None => vec![Action::Count],
            Some(Target::Actions(actions)) => actions,
            Some(Target::Chain {
                name,
                is_goto,
                otherwise,
            }) => match (chain(&name), otherwise) {
                (Some(number), _) if is_goto => vec![Action::Goto(number)],
                (Some(number), _) => vec![Action::Jump(number)],
                (None, Some(action)) => vec![action],
                (None, None) => return Err(name),
            },
        };
        Ok(self.entry)
    }

    /// One option: the conditions of which one is fulfilled; none where it is no condition.
    fn option(
        &mut self,
        name: &str,
        not: bool,
        words: &mut Words<'_>,
    ) -> Read<Option<Vec<Condition>>> {
        let mut is = Condition::default();
        let module = self.module.as_str();
        let family = self.family;
        if self.limit.is_some()
            && !["--limit-burst", "--comment"].contains(&name)
            && name.starts_with("--")
        {
            return Err(
                "its limit counts packets that do not fulfil the matches behind it".to_string(),
            );
        }
        match (module, name) {
            (_, "-4" | "--ipv4" | "-6" | "--ipv6") => return Ok(None),
            (_, "-p" | "--protocol") => {
                let value = words.value(name)?;
                if value != "all" && value != "0" {
                    is.protocols = Some(Among::one(protocol(value)?).negated(not));
                }
            }
            (_, "-s" | "--source" | "--src") => {
                is.source = Some(prefix(words.value(name)?, family)?.negated(not));
            }
            (_, "-d" | "--destination" | "--dst") => {
                is.destination = Some(prefix(words.value(name)?, family)?.negated(not));
            }
            (_, "-i" | "--in-interface") => is.iif = Some(device(words.value(name)?, not)?),
            (_, "-o" | "--out-interface") => is.oif = Some(device(words.value(name)?, not)?),
            (_, "-f" | "--fragment") => is.fragment = Some(!not),
            ("comment", "--comment") => {
                self.entry.comment = Some(words.value(name)?.to_string());
                return Ok(None);
            }
            ("limit", "--limit") if !not => {
                let (count, per) = rate(words.value(name)?)?;
                // iptables' own burst.
                let burst = Some(5);
                self.limit = Some(Limit { count, per, burst });
                return Ok(None);
            }
            ("limit", "--limit-burst") => {
                let burst = number(words.value(name)?)?;
                let limit = self.limit.get_or_insert(Limit {
                    count: 3,
                    per: Unit::Hour,
                    burst: None,
                });
                limit.burst = Some(burst);
                return Ok(None);
            }
            ("tcp", "--syn") => return Ok(Some(Condition::of_flags(not, SYN))),
            ("tcp", "--tcp-flags") => {
                let mask = flags(words.value(name)?)?;
                let value = flags(words.value(name)?)?;
                if value & !mask != 0 {
                    return Err("it asks for flags that it does not look at".to_string());
                }
                return Ok(Some(Condition::of_flags(not, Flags { value, mask })));
            }
            ("tcp" | "udp" | "udplite" | "sctp" | "dccp" | "multiport" | "", _)
                if ["--sport", "--source-port", "--sports", "--source-ports"].contains(&name) =>
            {
                is.source_port = Some(ports(words.value(name)?)?.negated(not));
            }
            ("tcp" | "udp" | "udplite" | "sctp" | "dccp" | "multiport" | "", _)
                if [
                    "--dport",
                    "--destination-port",
                    "--dports",
                    "--destination-ports",
                ]
                .contains(&name) =>
            {
                is.destination_port = Some(ports(words.value(name)?)?.negated(not));
            }
            ("multiport", "--ports") => {
                is.either_port = Some(ports(words.value(name)?)?.negated(not));
            }
            ("icmp", "--icmp-type") => {
                return icmp(IcmpFamily::Icmp, words.value(name)?, not).map(Some);
            }
            ("icmp6", "--icmpv6-type") => {
                return icmp(IcmpFamily::Icmpv6, words.value(name)?, not).map(Some);
            }
            ("conntrack", "--ctstate") | ("state", "--state") => {
                is.states = Some(states(words.value(name)?, not)?);
            }
            ("conntrack", "--ctorigdst") => {
                is.original = Some(prefix(words.value(name)?, family)?.negated(not));
            }
            ("conntrack", "--ctorigdstport") => {
                is.original_port = Some(ports(words.value(name)?)?.negated(not));
            }
            ("mark", "--mark") => is.mark = Some(mark(words.value(name)?, not)?),
            ("iprange", "--src-range") => {
                is.source = Some(range(words.value(name)?, family)?.negated(not));
            }
            ("iprange", "--dst-range") => {
                is.destination = Some(range(words.value(name)?, family)?.negated(not));
            }
            ("owner", "--uid-owner") if !not => {
                let value = words.value(name)?;
                let (first, last) = value.split_once('-').unwrap_or((value, value));
                let (first, last): (u32, u32) = (number(first)?, number(last)?);
                is.uid = Some(Among::of(false, Ranges::of([(first.into(), last.into())])));
            }
            ("owner", "--uid-owner") => {
                return Err("a packet without a socket is of no other user here".to_string());
            }
            ("cgroup", "--path") => {
                let path = format!("/{}", words.value(name)?.trim_matches('/'));
                is.cgroup = Some(Operand {
                    not,
                    items: vec![path],
                });
            }
            ("cgroup", "--cgroup") => {
                is.classid = Some(Among::one(hexadecimal(words.value(name)?)?).negated(not));
            }
            ("addrtype", "--dst-type" | "--src-type") => {
                let value = words.value(name)?;
                self.entry.kind = match value {
                    "LOCAL" => Some(DestinationKind::Local),
                    "BROADCAST" => Some(DestinationKind::Broadcast),
                    "MULTICAST" => Some(DestinationKind::Multicast),
                    _ => None,
                }
                .filter(|_| !not && name == "--dst-type");
                if value != "MULTICAST" {
                    return Err(format!(
                        "which addresses are {value} depends on routes and addresses that change"
                    ));
                }
                let all = match family {
                    IpFamily::Ipv4 => prefix("224.0.0.0/4", family)?,
                    IpFamily::Ipv6 => prefix("ff00::/8", family)?,
                };
                let all = Some(all.negated(not));
                if name == "--dst-type" {
                    is.destination = all;
                } else {
                    is.source = all;
                }
            }
            _ => return Err(reason(module, name)),
        }
        if is.source_port.is_some() || is.destination_port.is_some() || is.either_port.is_some() {
            // Only they have ports; which of them the rule says.
            is.protocols = Some(Among::of(false, with_ports()));
        }
        Ok(Some(vec![is]))
    }
}

fn reason(module: &str, option: &str) -> String {
    let what = match module {
        "set" => "an ipset is not in this file",
        "recent" | "hashlimit" | "connlimit" | "quota" | "connbytes" | "statistic" | "nth" => {
            "it remembers packets by their addresses, or counts them"
        }
        "string" | "u32" | "bpf" | "length" | "ttl" | "hl" | "tos" | "dscp" | "ecn" => {
            "it looks at parts of the packet that no rule here asks for"
        }
        "physdev" => "it asks for a port of a bridge: say `at bridge forward` with `iif` and `oif`",
        "rpfilter" | "addrtype" => "it asks the routing tables",
        "owner" => "of a socket's owner only the user is known",
        "time" => "no rule here depends on the time of day",
        "" => "it is not known",
        _ => "there is no match like it here",
    };
    if module.is_empty() {
        format!("{option}: {what}")
    } else {
        format!("-m {module} {option}: {what}")
    }
}

const SYN: Flags = Flags {
    value: 0x02,
    mask: Flags::USUAL_MASK,
};

fn number<T: std::str::FromStr>(text: &str) -> Read<T> {
    text.parse()
        .map_err(|_| format!("{text:?} is no number that fits"))
}

fn hexadecimal(text: &str) -> Read<u32> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|_| format!("{text:?} is no number that fits"))
}

fn protocol(text: &str) -> Read<u8> {
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

fn ip(text: &str, family: IpFamily) -> Read<IpAddr> {
    let address: IpAddr = text
        .parse()
        .map_err(|_| format!("{text:?} is no address"))?;
    if address.is_ipv4() == (family == IpFamily::Ipv4) {
        Ok(address)
    } else {
        Err(format!("{text} is of the other family"))
    }
}

fn range(text: &str, family: IpFamily) -> Read<Among> {
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
fn prefix(text: &str, family: IpFamily) -> Read<Among> {
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

fn device(text: &str, not: bool) -> Read<Operand<Device>> {
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
    Ok(Operand {
        not,
        items: vec![device],
    })
}

/// `80`, `80,443`, `8000:8999`, `:1023`
fn ports(text: &str) -> Read<Among> {
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

fn states(text: &str, not: bool) -> Read<u8> {
    let mut bits = 0;
    for name in text.split(',') {
        let wanted = name.to_ascii_lowercase();
        let bit = State::ALL.iter().position(|state| state.name() == wanted);
        bits |= 1 << bit.ok_or_else(|| format!("the state {name} is not known here"))?;
    }
    Ok(if not { !bits & 0x1f } else { bits })
}

fn flags(text: &str) -> Read<u8> {
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

fn mark(text: &str, not: bool) -> Read<Mark> {
    let (value, mask) = text.split_once('/').unwrap_or((text, "0xffffffff"));
    let (value, mask) = (hexadecimal(value)?, hexadecimal(mask)?);
    if value & !mask != 0 {
        return Err("the mark has bits that it does not look at: it never matches".to_string());
    }
    Ok(Mark { not, value, mask })
}

fn rate(text: &str) -> Read<(u32, Unit)> {
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
fn icmp(family: IcmpFamily, text: &str, not: bool) -> Read<Vec<Condition>> {
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
