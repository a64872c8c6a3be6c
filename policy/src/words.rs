// SPDX-License-Identifier: GPL-2.0

//! The words of the language, and the names of numbers.

use crate::ast::{IcmpFamily, Place};
use nftrace_core::hook::Hook;
use nftrace_core::packet::Protocol;
use std::fmt;

/// Whether a name with this character needs no quotes. A star is left out: it stands for
/// any end of a device's name.
pub(crate) fn is_plain(one: char) -> bool {
    one.is_ascii_alphanumeric() || matches!(one, '_' | '.' | '-' | ':' | '+' | '/')
}

/// Whether it belongs to a word; what does not is a mark, a space or a mistake.
pub(crate) fn is_word(one: char) -> bool {
    !(one.is_whitespace()
        || one.is_control()
        || matches!(
            one,
            '{' | '}' | ',' | '=' | '"' | '#' | '\\' | '@' | '\u{feff}'
        ))
}

/// The names of the hooks in the language: netfilter's, in lower case.
pub(crate) fn hook_name(hook: Hook) -> &'static str {
    match hook {
        Hook::PreRouting => "pre_routing",
        Hook::LocalIn => "local_in",
        Hook::Forward => "forward",
        Hook::LocalOut => "local_out",
        Hook::PostRouting => "post_routing",
    }
}

/// A hook as a rule says it.
#[derive(Clone, Copy)]
pub(crate) struct PlaceName(pub(crate) Place);

impl fmt::Display for PlaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bridge = if self.0.is_bridge { "bridge " } else { "" };
        write!(f, "{bridge}{}", hook_name(self.0.hook))
    }
}

/// A protocol as a rule says it.
pub(crate) struct Proto(pub(crate) Protocol);

impl fmt::Display for Proto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "protocol {}", self.0 .0),
        }
    }
}

/// All protocols that have a name.
pub(crate) fn protocols() -> impl Iterator<Item = (&'static str, Protocol)> {
    (0..=u8::MAX).filter_map(|number| Some((Protocol(number).name()?, Protocol(number))))
}

/// The protocol of that name.
pub(crate) fn protocol(name: &str) -> Option<Protocol> {
    protocols()
        .find(|(one, _)| *one == name)
        .map(|(_, protocol)| protocol)
}

/// Protocols with ports.
pub(crate) const WITH_PORTS: [Protocol; 5] = [
    Protocol::TCP,
    Protocol::UDP,
    Protocol::UDPLITE,
    Protocol::SCTP,
    Protocol::DCCP,
];

/// ICMP's types, named as by nft.
const ICMP: &[(&str, u8)] = &[
    ("echo-reply", 0),
    ("destination-unreachable", 3),
    ("source-quench", 4),
    ("redirect", 5),
    ("echo-request", 8),
    ("router-advertisement", 9),
    ("router-solicitation", 10),
    ("time-exceeded", 11),
    ("parameter-problem", 12),
    ("timestamp-request", 13),
    ("timestamp-reply", 14),
    ("info-request", 15),
    ("info-reply", 16),
    ("address-mask-request", 17),
    ("address-mask-reply", 18),
];

/// ICMPv6's types, named as by nft.
const ICMPV6: &[(&str, u8)] = &[
    ("destination-unreachable", 1),
    ("packet-too-big", 2),
    ("time-exceeded", 3),
    ("parameter-problem", 4),
    ("echo-request", 128),
    ("echo-reply", 129),
    ("mld-listener-query", 130),
    ("mld-listener-report", 131),
    ("mld-listener-done", 132),
    ("nd-router-solicit", 133),
    ("nd-router-advert", 134),
    ("nd-neighbor-solicit", 135),
    ("nd-neighbor-advert", 136),
    ("nd-redirect", 137),
    ("router-renumbering", 138),
    ("ind-neighbor-solicit", 141),
    ("ind-neighbor-advert", 142),
    ("mld2-listener-report", 143),
];

/// The names of an ICMP's types.
pub(crate) fn icmp_types(family: IcmpFamily) -> &'static [(&'static str, u8)] {
    match family {
        IcmpFamily::Icmp => ICMP,
        IcmpFamily::Icmpv6 => ICMPV6,
    }
}

/// The name of a type.
pub(crate) fn icmp_name(family: IcmpFamily, kind: u8) -> Option<&'static str> {
    let named = icmp_types(family).iter().find(|(_, one)| *one == kind)?;
    Some(named.0)
}

/// Names of services that people write for a port.
const SERVICES: &[(&str, u16)] = &[
    ("ftp", 21),
    ("ssh", 22),
    ("telnet", 23),
    ("smtp", 25),
    ("dns", 53),
    ("domain", 53),
    ("dhcp", 67),
    ("http", 80),
    ("pop3", 110),
    ("ntp", 123),
    ("imap", 143),
    ("snmp", 161),
    ("bgp", 179),
    ("ldap", 389),
    ("https", 443),
    ("smtps", 465),
    ("syslog", 514),
    ("submission", 587),
    ("ldaps", 636),
    ("imaps", 993),
    ("docker", 2375),
    ("mysql", 3306),
    ("postgresql", 5432),
    ("postgres", 5432),
    ("redis", 6379),
    ("kubernetes", 6443),
    ("mongodb", 27017),
];

/// The port that a service usually has.
pub(crate) fn service(name: &str) -> Option<u16> {
    let named = SERVICES.iter().find(|(one, _)| *one == name)?;
    Some(named.1)
}

/// The nearest of `known` to what was written, if one is near.
pub(crate) fn nearest<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let written = written.to_ascii_lowercase();
    known
        .into_iter()
        .map(|one| (strsim::damerau_levenshtein(&written, one), one))
        .filter(|(distance, one)| *distance <= one.len().max(3) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, one)| one)
}

/// What a word of another firewall is called here.
pub(crate) fn usual(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "allow" | "permit" | "pass" | "return" => "accept",
        "deny" | "block" | "discard" => "drop",
        "nfqueue" => "queue",
        "src" | "source" | "saddr" => "from",
        "dst" | "destination" | "daddr" => "to",
        "dport" | "sport" | "ports" => "port",
        "proto" => "protocol",
        "prerouting" => "pre_routing",
        "postrouting" => "post_routing",
        "input" | "localin" => "local_in",
        "output" | "localout" => "local_out",
        "forwarding" => "forward",
        "ip" | "ip4" | "inet" => "ipv4",
        "ip6" | "inet6" => "ipv6",
        "iifname" | "input_device" => "iif",
        "oifname" | "output_device" => "oif",
        "icmp6" | "ipv6-icmp" => "icmpv6",
        "comment" => "name",
        "ctorigdst" => "original",
        "skuid" | "user" => "uid",
        "policy" => "default",
        "sec" | "s" => "second",
        "min" | "m" => "minute",
        "h" => "hour",
        _ => return None,
    })
}
