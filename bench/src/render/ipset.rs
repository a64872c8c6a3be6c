// SPDX-License-Identifier: GPL-2.0

//! As ipset says it, and the one rule of iptables that asks it.

use std::fmt::Write as _;

use super::{Fields, Unable, Verdicts, NAME};
use crate::rules::{BenchRule, Family, Ports, Prefix, RuleSet};

/// So many elements are taken.
const MAX_ELEMENTS: u32 = 1 << 20;

/// The kinds of sets that are used here.
#[derive(Clone, Copy)]
enum Kind {
    /// Networks of one end.
    Net,
    /// Networks of both ends.
    NetNet,
    /// Networks of both ends, protocol and destination port.
    NetPortNet,
}

/// What `ipset restore` and `iptables-restore` (or `ip6tables-restore`) read. All drop.
///
/// # Errors
///
/// It cannot say what the rules do.
pub fn ipset(set: &RuleSet, verdicts: Verdicts) -> Result<(String, String), Unable> {
    if verdicts != Verdicts::Drop {
        return Err(Unable::Verdicts);
    }
    let fields = Fields::of(set);
    if fields.sport {
        return Err(Unable::SourcePorts);
    }
    let (kind, name, ends) = match (fields.src, fields.dst, fields.proto) {
        (false, false, false) => return Err(Unable::NoFields),
        (true, false, false) => (Kind::Net, "hash:net", "src"),
        (false, true, false) => (Kind::Net, "hash:net", "dst"),
        (true, true, false) => (Kind::NetNet, "hash:net,net", "src,dst"),
        (_, _, true) => (Kind::NetPortNet, "hash:net,port,net", "src,dst,dst"),
    };
    let mut lines = String::with_capacity(set.rules.len() * 64);
    let mut elements = 0_u32;
    for rule in &set.rules {
        let element = match kind {
            // A set of one network cannot have all addresses in one element.
            Kind::Net => halves(if fields.src { rule.src } else { rule.dst }),
            Kind::NetNet => vec![format!("{},{}", rule.src, rule.dst)],
            Kind::NetPortNet => vec![with_port(rule)?],
        };
        let ports = match kind {
            Kind::NetPortNet if has_ports(rule) => rule.dport.count(),
            _ => 1,
        };
        elements = elements.saturating_add(ports);
        for element in element {
            writeln!(lines, "add {NAME} {element} -exist").expect("memory takes all");
        }
    }
    if elements > MAX_ELEMENTS {
        return Err(Unable::TooLarge);
    }
    let family = match set.family {
        Family::V4 => "inet",
        Family::V6 => "inet6",
    };
    let room = elements.saturating_mul(2).max(1024);
    Ok((
        format!("create {NAME} {name} family {family} maxelem {room}\n{lines}"),
        format!(
            "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n\
             -A PREROUTING -m set --match-set {NAME} {ends} -j DROP\nCOMMIT\n"
        ),
    ))
}

fn halves(prefix: Prefix) -> Vec<String> {
    if !prefix.is_any() {
        return vec![prefix.to_string()];
    }
    let family = prefix.family();
    let half = |address| Prefix::new(family, address, 1).to_string();
    vec![half(0), half(family.last())]
}

const fn has_ports(rule: &BenchRule) -> bool {
    matches!(rule.proto, Some(crate::rules::TCP | crate::rules::UDP))
}

/// Networks, protocol and port: of a protocol without ports the port is 0.
fn with_port(rule: &BenchRule) -> Result<String, Unable> {
    let proto = rule.proto.ok_or(Unable::AnyProtocol)?;
    let end = |prefix: Prefix| {
        let address = prefix.family().address(prefix.first());
        format!("{address}/{}", prefix.length())
    };
    let ports = if has_ports(rule) {
        rule.dport.text("-")
    } else {
        Ports::one(0).text("-")
    };
    Ok(format!(
        "{},{proto}:{ports},{}",
        end(rule.src),
        end(rule.dst)
    ))
}
