// SPDX-License-Identifier: GPL-2.0

//! A trace filter: made of what the user asks for, and told in words.

use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use nftrace_core::packet::Protocol;
use nftrace_core::ports::{PortList, Printable};
use nftrace_core::trace::{
    Header, Instruction, Prefix, Range, Spec, SpecError, ENABLED, LOG, MAX_ITEMS, MAX_SPEC,
    MAX_TEXT, PACKETS_ONLY,
};
use nftrace_journeys::protocol_name;
use serde::Serialize;
use zerocopy::IntoBytes as _;

/// What is to be traced.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    /// [`ENABLED`] and the like.
    pub(crate) flags: u32,
    pub(crate) ports: Option<PortList>,
    pub(crate) protocols: Vec<ProtocolArg>,
    pub(crate) hosts: Vec<PrefixArg>,
    pub(crate) namespaces: Vec<u64>,
    pub(crate) devices: Vec<DeviceArg>,
    pub(crate) instructions: Vec<Instruction>,
    /// All of it, as arguments of `nftrace trace set`.
    pub(crate) text: String,
}

/// Why conditions make no filter.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum TooMuch {
    #[error("{count} {what} are too many: there may be {MAX_ITEMS}")]
    Items { what: &'static str, count: usize },
    #[error(
        "the filter has {bytes} bytes, and the module takes {MAX_SPEC}; use a shorter expression"
    )]
    Bytes { bytes: usize },
    #[error("{0}")]
    Spec(String),
}

impl Conditions {
    /// The bytes for the module.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, TooMuch> {
        for (what, count) in [
            ("addresses and prefixes", self.hosts.len()),
            ("namespaces", self.namespaces.len()),
            ("devices", self.devices.len()),
        ] {
            if count > MAX_ITEMS {
                return Err(TooMuch::Items { what, count });
            }
        }
        let ranges = self.ports.iter().flat_map(|list| list.ranges().iter());
        let ranges: Vec<_> = ranges
            .map(|range| Range {
                first: range.first,
                last: range.last,
            })
            .collect();
        let protocols: Vec<_> = self
            .protocols
            .iter()
            .map(|protocol| u32::from(protocol.0 .0))
            .collect();
        let prefixes: Vec<_> = self.hosts.iter().map(|host| host.0).collect();
        let devices: Vec<_> = self.devices.iter().map(|device| device.0).collect();
        // What the user wrote is for people; it is cut off where there is no room.
        let text = &self.text[..self.text.floor_char_boundary_at(MAX_TEXT)];
        let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let header = Header {
            flags: self.flags,
            ports: count(ranges.len()),
            protocols: count(protocols.len()),
            prefixes: count(prefixes.len()),
            namespaces: count(self.namespaces.len()),
            devices: count(devices.len()),
            instructions: count(self.instructions.len()),
            text: count(text.len()),
        };
        let bytes = [
            header.as_bytes(),
            ranges.as_bytes(),
            protocols.as_bytes(),
            prefixes.as_bytes(),
            self.namespaces.as_bytes(),
            devices.as_bytes(),
            self.instructions.as_bytes(),
            text.as_bytes(),
        ]
        .concat();
        if bytes.len() > MAX_SPEC {
            return Err(TooMuch::Bytes { bytes: bytes.len() });
        }
        // The module's own judge.
        Spec::new(&bytes).map_err(|error: SpecError| TooMuch::Spec(error.to_string()))?;
        Ok(bytes)
    }
}

/// `str::floor_char_boundary()`, which this compiler does not have yet.
trait FloorBoundary {
    fn floor_char_boundary_at(&self, most: usize) -> usize;
}

impl FloorBoundary for str {
    fn floor_char_boundary_at(&self, most: usize) -> usize {
        let most = most.min(self.len());
        (0..=most)
            .rev()
            .find(|at| self.is_char_boundary(*at))
            .unwrap_or(0)
    }
}

/// A protocol, by name or number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProtocolArg(Protocol);

impl FromStr for ProtocolArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = || {
            (0..=u8::MAX)
                .map(Protocol)
                .find(|protocol| protocol.name() == Some(text))
        };
        text.parse().ok().map(Protocol).or_else(named).map(Self).ok_or_else(|| {
            format!("'{}' is no protocol; use a name (tcp, udp, icmp, icmpv6, sctp, …) or a number up to 255", Printable(text))
        })
    }
}

impl fmt::Display for ProtocolArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&protocol_name(self.0))
    }
}

/// An address or a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PrefixArg(Prefix);

impl FromStr for PrefixArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, len) = match text.split_once('/') {
            Some((address, len)) => (address, Some(len)),
            None => (text, None),
        };
        let wrong = || {
            format!(
                "'{}' is no address; write it like 10.0.0.3, 10.0.0.0/8 or 2001:db8::/32",
                Printable(text)
            )
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let len = match len {
            None => most,
            Some(len) => len
                .parse::<u32>()
                .ok()
                .filter(|len| *len <= most)
                .ok_or_else(|| {
                    format!(
                        "'{}' is no prefix: its length goes from 0 to {most}",
                        Printable(text)
                    )
                })?,
        };
        let address = match address {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        Ok(Self(Prefix {
            address: address.octets(),
            len: len + (128 - most),
        }))
    }
}

impl fmt::Display for PrefixArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Prefix { address, len } = self.0;
        let address = Ipv6Addr::from(address);
        let (address, len, most) = match address.to_ipv4_mapped() {
            Some(address) if len >= 96 => (IpAddr::from(address), len - 96, 32),
            _ => (IpAddr::from(address), len, 128),
        };
        write!(f, "{address}")?;
        if len == most {
            return Ok(());
        }
        write!(f, "/{len}")
    }
}

/// The name of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeviceArg([u8; 16]);

impl FromStr for DeviceArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut name = [0; 16];
        // The last byte stays zero, as in the kernel.
        if text.is_empty() || text.len() >= name.len() || text.contains(['/', '\0']) {
            return Err(format!(
                "'{}' is no name of a device: it has 1 to 15 bytes",
                Printable(text)
            ));
        }
        name[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self(name))
    }
}

impl fmt::Display for DeviceArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.split(|byte| *byte == 0).next().unwrap_or_default();
        f.write_str(&String::from_utf8_lossy(name))
    }
}

/// What is traced, in parts.
#[derive(Debug, Serialize)]
pub(crate) struct Told {
    enabled: bool,
    /// As arguments of `nftrace trace set`.
    pub(crate) filter: String,
    flows: bool,
    log: bool,
    ports: Option<String>,
    protocols: Vec<String>,
    hosts: Vec<String>,
    namespaces: Vec<u64>,
    devices: Vec<String>,
    instructions: usize,
}

impl Told {
    /// What `spec` traces.
    pub(crate) fn of(spec: &Spec<'_>) -> Self {
        let list = spec.ports();
        let protocol =
            |number: u32| u8::try_from(number).map(|number| protocol_name(Protocol(number)));
        let mut told = Self {
            enabled: spec.is_enabled(),
            filter: String::from_utf8_lossy(spec.text()).into_owned(),
            flows: spec.follows_flows(),
            log: spec.is_logged(),
            ports: (!list.is_empty()).then(|| list.to_string()),
            protocols: spec.protocols().flat_map(protocol).collect(),
            hosts: spec
                .prefixes()
                .map(|prefix| PrefixArg(prefix).to_string())
                .collect(),
            namespaces: spec.namespaces().collect(),
            devices: spec
                .devices()
                .map(|name| DeviceArg(name).to_string())
                .collect(),
            instructions: spec.instruction_count(),
        };
        if told.filter.is_empty() && told.enabled {
            told.filter = told.arguments();
        }
        told
    }

    /// Whether anything is traced.
    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// The arguments of a filter whose user is not known to have written any.
    fn arguments(&self) -> String {
        let mut all = String::new();
        let mut add = |option: &str, values: &[String]| {
            for value in values {
                let _ = write!(all, " --{option} {}", quoted(value));
            }
        };
        add("port", self.ports.as_slice());
        add("proto", &self.protocols);
        add("host", &self.hosts);
        let cookies: Vec<_> = self
            .namespaces
            .iter()
            .map(|cookie| format!("cookie:{cookie}"))
            .collect();
        add("ns", &cookies);
        add("dev", &self.devices);
        if all.is_empty() && self.instructions == 0 {
            all.push_str(" --all");
        }
        for (set, option) in [(!self.flows, " --packets"), (self.log, " --log")] {
            if set {
                all.push_str(option);
            }
        }
        if self.instructions != 0 {
            let _ = write!(all, " -- (a program of {} instructions)", self.instructions);
        }
        all.trim_start().to_owned()
    }
}

/// A word as a shell takes it.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// What is not [`PACKETS_ONLY`] nor [`LOG`].
pub(crate) const fn flags(packets_only: bool, log: bool) -> u32 {
    ENABLED | if packets_only { PACKETS_ONLY } else { 0 } | if log { LOG } else { 0 }
}

#[cfg(test)]
mod tests;
