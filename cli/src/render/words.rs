// SPDX-License-Identifier: GPL-2.0

//! How things are called, in every rendering: packets, namespaces, devices, times.

use std::fmt;

use nftrace_core::hook::Family;
use nftrace_core::packet::{Icmp, Packet, Protocol, Transport};
use nftrace_core::record::Kind;
use nftrace_journeys::{protocol_name, Certainty, Endpoint, Names, NamespaceId, Observation};

/// A namespace as it is shown: `web (4026532300)`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    /// Which one.
    pub(crate) id: NamespaceId,
    /// How it is called, where that is known.
    pub(crate) name: Option<String>,
}

impl Place {
    /// The namespace of a record.
    pub(crate) fn of(observation: &Observation, names: &dyn Names) -> Self {
        Self {
            id: observation.namespace,
            name: observation.name(names).map(|name| clean(&name)),
        }
    }

    /// What stands first: the name, or what the record says.
    pub(crate) fn title(&self) -> String {
        match (&self.name, self.id.label()) {
            (Some(name), _) => name.clone(),
            (None, Some(label)) => format!("netns {label}"),
            (None, None) => "unknown namespace".to_owned(),
        }
    }

    /// What stands below a name.
    pub(crate) fn subtitle(&self) -> Option<String> {
        self.name.as_ref().and(self.id.label())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title())?;
        match self.subtitle() {
            Some(subtitle) => write!(f, " ({subtitle})"),
            None => Ok(()),
        }
    }
}

/// A name from outside, without what could command a terminal or turn text around.
pub(crate) fn clean(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .map(|c| {
            if c.is_control() || turns(c) {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// `tcp`, or `packet` where no record tells.
pub(crate) fn protocol(protocol: Option<Protocol>) -> String {
    protocol.map_or_else(|| "packet".to_owned(), protocol_name)
}

/// What a packet is within its protocol: `SYN ACK`, `echo request`, `fragment at 1480`.
pub(crate) fn what(observation: &Observation) -> Option<String> {
    let packet = observation.packet?;
    let mut words = Vec::new();
    if let Some(tcp) = observation.tcp() {
        words.push(tcp_flags(tcp.flags));
    }
    if let (Transport::Icmp(icmp), Some(protocol)) = (packet.transport, observation.protocol()) {
        words.push(icmp_message(&icmp, protocol));
    }
    if let Some(fragment) = packet.fragment.filter(|fragment| fragment.offset > 0) {
        words.push(format!("fragment at {}", fragment.offset));
    } else if packet.fragment.is_some() {
        words.push("first fragment".to_owned());
    }
    if observation.gso_segs > 1 {
        words.push(format!("{} segments", observation.gso_segs));
    }
    words.retain(|word| !word.is_empty());
    (!words.is_empty()).then(|| words.join(", "))
}

/// TCP's flags, as people say them; those about congestion are not worth the room.
fn tcp_flags(flags: u8) -> String {
    const NAMES: [(u8, &str); 6] = [
        (0x02, "SYN"),
        (0x01, "FIN"),
        (0x04, "RST"),
        (0x08, "PSH"),
        (0x10, "ACK"),
        (0x20, "URG"),
    ];
    let names: Vec<&str> = NAMES
        .into_iter()
        .filter(|(bit, _)| flags & bit != 0)
        .map(|(_, name)| name)
        .collect();
    if names.is_empty() {
        "no flags".to_owned()
    } else {
        names.join(" ")
    }
}

fn icmp_message(icmp: &Icmp, protocol: Protocol) -> String {
    let name = match (protocol.name(), icmp.kind, icmp.code) {
        (Some("icmp"), 0, _) | (Some("icmpv6"), 129, _) => "echo reply",
        (Some("icmp"), 8, _) | (Some("icmpv6"), 128, _) => "echo request",
        (Some("icmp"), 3, 3) | (Some("icmpv6"), 1, 4) => "port unreachable",
        (Some("icmp"), 3, 4) => "fragmentation needed",
        (Some("icmp"), 3, 9 | 10 | 13) | (Some("icmpv6"), 1, 1) => "administratively prohibited",
        (Some("icmp"), 3, _) | (Some("icmpv6"), 1, _) => "destination unreachable",
        (Some("icmpv6"), 2, _) => "packet too big",
        (Some("icmp"), 5, _) | (Some("icmpv6"), 137, _) => "redirect",
        (Some("icmp"), 11, _) | (Some("icmpv6"), 3, _) => "time exceeded",
        (Some("icmpv6"), 133, _) => "router solicitation",
        (Some("icmpv6"), 134, _) => "router advertisement",
        (Some("icmpv6"), 135, _) => "neighbour solicitation",
        (Some("icmpv6"), 136, _) => "neighbour advertisement",
        _ => return format!("type {} code {}", icmp.kind, icmp.code),
    };
    name.to_owned()
}

/// `10.0.0.1:5000 → 10.0.0.2:80`, or where the packet's headers are not known, why not.
pub(crate) fn addresses(observation: &Observation) -> String {
    match (observation.src(), observation.dst()) {
        (Some(src), Some(dst)) => format!("{src} → {dst}"),
        _ => "headers not known".to_owned(),
    }
}

/// An address; `?` where it is not known.
pub(crate) fn end(end: Option<Endpoint>) -> String {
    end.map_or_else(|| "?".to_owned(), |end| end.to_string())
}

/// The packet that an ICMP error is about.
pub(crate) fn quoted(packet: &Packet) -> Option<String> {
    let Transport::Icmp(Icmp {
        quoted: Some(quoted),
        ..
    }) = packet.transport
    else {
        return None;
    };
    Some(format!(
        "{} {} → {}",
        protocol_name(quoted.protocol),
        Endpoint::new(quoted.src, quoted.ports.map(|ports| ports.src)),
        Endpoint::new(quoted.dst, quoted.ports.map(|ports| ports.dst)),
    ))
}

/// The hook: `FORWARD`, `bridge FORWARD`.
pub(crate) fn hook(observation: &Observation) -> String {
    let hook = observation
        .hook
        .map_or("an unknown hook", |hook| hook.name());
    match observation.family {
        Some(Family::Bridge) => format!("bridge {hook}"),
        _ => hook.to_owned(),
    }
}

/// What a record is about: `FORWARD`, `end of FORWARD`, `drop behind FORWARD`.
pub(crate) fn station(observation: &Observation) -> String {
    let hook = hook(observation);
    match observation.kind {
        Kind::Exit => format!("end of {hook}"),
        Kind::Drop => format!("drop behind {hook}"),
        Kind::Gap | Kind::Entry => hook,
    }
}

/// `eth0 →`, `→ br0`, `eth0 → br0`; in brackets the port of a bridge, where the packet's
/// device is neither.
pub(crate) fn devices(observation: &Observation) -> String {
    let input = observation.input.as_deref().map(clean);
    let output = observation.output.as_deref().map(clean);
    let dev = observation.dev.as_deref().map(clean);
    let mut text = match (&input, &output) {
        (Some(input), Some(output)) => format!("{input} → {output}"),
        (Some(input), None) => format!("{input} →"),
        (None, Some(output)) => format!("→ {output}"),
        (None, None) => String::new(),
    };
    if dev.is_some() && dev != input && dev != output {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&format!("[{}]", dev.unwrap_or_default()));
    }
    text
}

/// A span of time: `840 ns`, `12 µs`, `1.25 ms`, `3.02 s`.
pub(crate) fn span(nanoseconds: u64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
    let value = nanoseconds as f64;
    match nanoseconds {
        0..1_000 => format!("{nanoseconds} ns"),
        1_000..10_000 => format!("{:.1} µs", value / 1e3),
        10_000..1_000_000 => format!("{:.0} µs", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.2} ms", value / 1e6),
        _ => format!("{:.2} s", value / 1e9),
    }
}

/// A time of the clock, as the kernel log shows it: seconds since the machine started.
pub(crate) fn clock(nanoseconds: u64) -> String {
    format!(
        "{}.{:06}",
        nanoseconds / 1_000_000_000,
        nanoseconds % 1_000_000_000 / 1_000
    )
}

/// What stands behind what is not proved.
pub(crate) const fn sure(certainty: Certainty) -> &'static str {
    match certainty {
        Certainty::Proved => "",
        Certainty::Inferred => " (inferred)",
    }
}

/// `1 packet`, `2 packets`.
pub(crate) fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// `12 records lost on CPU 1`
pub(crate) fn lost(loss: &nftrace_journeys::Loss) -> String {
    let mut text = format!("{} lost", count(loss.records, "record"));
    if let Some(cpu) = loss.cpu {
        text.push_str(&format!(" on CPU {cpu}"));
    }
    if let Some(label) = loss.namespace.and_then(|namespace| namespace.label()) {
        text.push_str(&format!(" in netns {label}"));
    }
    text
}
