// SPDX-License-Identifier: GPL-2.0

//! How nftrace writes rules, and how nftables does.

use std::fmt::Write as _;

use super::model::{Family, Operand, Policy, Rule, HOOKS};

impl Rule {
    fn verdict(&self) -> &'static str {
        if self.drops {
            "drop"
        } else {
            "accept"
        }
    }

    /// As nftrace writes it.
    fn ours(&self) -> String {
        let mut text = self.verdict().to_owned();
        let mut add = |part: String| write!(text, " {part}").expect("memory");
        if !self.states.is_empty() {
            add(self.states.join(", "));
        }
        match self.family {
            Some(Family::V4) => add("ipv4".to_owned()),
            Some(Family::V6) => add("ipv6".to_owned()),
            None => {}
        }
        if !self.protocols.is_empty() {
            add(self.protocols.join(", "));
        }
        if let Some((kind, code)) = self.icmp {
            let word = if self.family == Some(Family::V6) {
                "icmpv6"
            } else {
                "icmp"
            };
            add(format!("{word} type {kind}"));
            if let Some(code) = code {
                add(format!("code {code}"));
            }
        }
        if let Some(port) = &self.port {
            add(format!("port {}", port.ours(None)));
        }
        for (word, addresses, ports) in [
            ("from", &self.from, &self.from_port),
            ("to", &self.to, &self.to_port),
        ] {
            if addresses.is_none() && ports.is_none() {
                continue;
            }
            let any = || "any".to_owned();
            let of = |operand: &Operand| operand.ours(self.family);
            add(format!(
                "{word} {}",
                addresses.as_ref().map_or_else(any, of)
            ));
            if let Some(ports) = ports {
                add(format!("port {}", ports.ours(None)));
            }
        }
        if let Some((value, mask)) = self.flags {
            add(format!("flags {value}/{mask}"));
        }
        for (word, device) in [("iif", self.iif), ("oif", self.oif)] {
            if let Some(device) = device {
                add(format!("{word} {device}"));
            }
        }
        let hooks: Vec<&str> = self.hooks.iter().map(|hook| HOOKS[*hook].0).collect();
        add(format!("at {} in netns:mid_a", hooks.join(", ")));
        text
    }

    /// As nftables does: two rules where it has no "or".
    fn theirs(&self) -> Vec<String> {
        let mut parts = Vec::new();
        match self.family {
            Some(Family::V4) => parts.push("meta nfproto ipv4".to_owned()),
            Some(Family::V6) => parts.push("meta nfproto ipv6".to_owned()),
            None => {}
        }
        let has_ports = self.port.is_some() || self.from_port.is_some() || self.to_port.is_some();
        if !self.protocols.is_empty() {
            parts.push(format!("meta l4proto {{ {} }}", self.protocols.join(", ")));
        } else if has_ports {
            parts.push("meta l4proto { tcp, udp, udplite, sctp, dccp }".to_owned());
        }
        if let Some((kind, code)) = self.icmp {
            let word = if self.family == Some(Family::V6) {
                "icmpv6"
            } else {
                "icmp"
            };
            parts.push(format!("{word} type {kind}"));
            if let Some(code) = code {
                parts.push(format!("{word} code {code}"));
            }
        }
        let ip = if self.family == Some(Family::V6) {
            "ip6"
        } else {
            "ip"
        };
        for (field, operand) in [("saddr", &self.from), ("daddr", &self.to)] {
            if let Some(operand) = operand {
                parts.push(format!("{ip} {field} {}", operand.theirs(self.family)));
            }
        }
        for (field, operand) in [("sport", &self.from_port), ("dport", &self.to_port)] {
            if let Some(operand) = operand {
                parts.push(format!("th {field} {}", operand.theirs(None)));
            }
        }
        if let Some((value, mask)) = self.flags {
            let value = if value == "none" {
                "0x0".to_owned()
            } else {
                value.replace(',', "|")
            };
            parts.push(format!(
                "tcp flags & ({}) == {value}",
                mask.replace(',', "|")
            ));
        }
        if !self.states.is_empty() {
            parts.push(format!("ct state {{ {} }}", self.states.join(", ")));
        }
        for (field, device) in [("iifname", self.iif), ("oifname", self.oif)] {
            if let Some(device) = device {
                let (not, name) = match device.strip_prefix("not ") {
                    Some(name) => ("!= ", name),
                    None => ("", device),
                };
                parts.push(format!("{field} {not}\"{name}\""));
            }
        }
        let rule = |more: &[String]| {
            [&parts[..], more, &[self.verdict().to_owned()]]
                .concat()
                .join(" ")
        };
        match &self.port {
            None => vec![rule(&[])],
            Some(port) => {
                let sides =
                    ["sport", "dport"].map(|side| format!("th {side} {}", port.theirs(None)));
                // Neither one nor the other; else one or the other.
                if port.not {
                    vec![rule(&sides)]
                } else {
                    vec![rule(&sides[..1]), rule(&sides[1..])]
                }
            }
        }
    }
}

impl Policy {
    pub(crate) fn ours(&self) -> String {
        let mut text = String::new();
        for rule in &self.rules {
            writeln!(text, "{}", rule.ours()).expect("memory");
        }
        for ((hook, _), drops) in HOOKS.iter().zip(self.drops) {
            let verdict = if drops { "drop" } else { "accept" };
            writeln!(text, "{verdict} at {hook} in netns:mid_a").expect("memory");
        }
        text
    }

    pub(crate) fn theirs(&self) -> String {
        let mut text = "table inet theirs {\n".to_owned();
        for (number, ((_, hook), drops)) in HOOKS.iter().zip(self.drops).enumerate() {
            let verdict = if drops { "drop" } else { "accept" };
            // Where ours is known to be before conntrack, theirs is too.
            let priority = match *hook {
                "prerouting" | "output" => -350,
                _ => 0,
            };
            writeln!(
                text,
                "chain {hook} {{\ntype filter hook {hook} priority {priority}; policy {verdict};"
            )
            .expect("memory");
            for rule in self
                .rules
                .iter()
                .filter(|rule| rule.hooks.contains(&number))
            {
                for line in rule.theirs() {
                    writeln!(text, "{line}").expect("memory");
                }
            }
            text += "}\n";
        }
        text + "}\n"
    }
}
