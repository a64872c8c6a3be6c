// SPDX-License-Identifier: GPL-2.0

//! The matches of a rule of iptables.

use super::super::among::{Among, Ranges};
use super::super::condition::{with_ports, Condition};
use super::super::model::{Action, DestinationKind, Entry};
use super::super::Source;
use super::targets::{self, Target};
use super::values::{
    device, flags, hexadecimal, icmp, mark, number, ports, prefix, protocol, range, rate, states,
    Read, SYN,
};
use crate::ast::{Flags, IcmpFamily, IpFamily, Limit, Operand, Unit};

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
    pub(super) fn entry(mut self, chain: &dyn Fn(&str) -> Option<usize>) -> Result<Entry, String> {
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
