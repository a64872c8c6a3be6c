// SPDX-License-Identifier: GPL-2.0

//! How a journey ended, in words.

use nftrace_core::hook::Family;
use nftrace_core::record::Verdict;
use nftrace_journeys::{DropBy, DropInfo, End, Journey, Names};

use super::words::{self, Place};

/// How a journey ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    /// How.
    pub(crate) end: End,
    /// In a sentence.
    pub(crate) text: String,
    /// In a few short lines, where the place is plain from the drawing.
    pub(crate) lines: Vec<String>,
    /// What the reason means and what to look at, where that helps.
    pub(crate) advice: Option<&'static str>,
}

impl Ending {
    /// How `journey` ended.
    pub(crate) fn of(journey: &Journey, names: &dyn Names) -> Self {
        if let Some(drop) = &journey.drop {
            return Self::dropped(journey, drop, names);
        }
        let Some(last) = journey.records.last() else {
            return Self::new(End::Unknown, vec!["no record".to_owned()]);
        };
        let place = Place::of(last, names);
        match journey.end {
            End::Delivered => Self {
                text: format!("delivered to {place}"),
                ..Self::new(End::Delivered, vec!["delivered".to_owned()])
            },
            End::Sent => {
                let through = last.output.as_ref().or(last.dev.as_ref());
                let through = through.map_or_else(String::new, |device| {
                    format!(" through {}", words::clean(device))
                });
                let first = format!("sent{through}");
                Self {
                    text: format!("{first}, not seen again"),
                    ..Self::new(End::Sent, vec![first, "not seen again".to_owned()])
                }
            }
            end => {
                let lost: u64 = journey.gaps.iter().map(|gap| gap.lost).sum();
                let first = format!("not seen after {}", words::hook(last));
                let mut text = format!("{first} in {place}");
                let mut lines = vec![first];
                if lost > 0 {
                    let lost = words::count(lost, "record");
                    text.push_str(&format!("; {lost} lost, the next ones perhaps among them"));
                    lines.push(format!("{lost} lost"));
                }
                Self {
                    text,
                    ..Self::new(end, lines)
                }
            }
        }
    }

    fn new(end: End, lines: Vec<String>) -> Self {
        Self {
            end,
            text: lines.join(", "),
            lines,
            advice: None,
        }
    }

    fn dropped(journey: &Journey, drop: &DropInfo, names: &dyn Names) -> Self {
        let record = journey.records.get(drop.record);
        let place = record
            .map(|record| Place::of(record, names))
            .unwrap_or(Place {
                id: drop.namespace,
                name: names.name(&drop.namespace),
            });
        let reason = drop.reason.as_deref();
        // Netfilter drops inside of a hook; any other reason struck behind the last one.
        let inside =
            drop.by != DropBy::Kernel || reason.is_none_or(|reason| reason.contains("NETFILTER"));
        let at = if inside { "at" } else { "after" };
        let hook = drop.hook.map_or("an unknown hook", |hook| hook.name());
        let bridge = match drop.family {
            Some(Family::Bridge) => "bridge ",
            _ => "",
        };
        let verb = match record.and_then(|record| record.verdict) {
            Some(Verdict::Reject) if drop.by == DropBy::Verdict => "rejected",
            _ => "dropped",
        };
        let first = format!("{verb} {at} {bridge}{hook}");
        let location = drop.location.as_deref().map(function);
        let why = match (drop.by, drop.rule, reason, location) {
            (DropBy::Verdict, rule @ 1.., ..) => vec![match &drop.rule_text {
                Some(text) => format!("rule {rule} of nftrace: {}", words::clean(text)),
                None => format!("rule {rule} of nftrace"),
            }],
            (DropBy::Verdict, ..) => vec!["nftrace's default".to_owned()],
            (DropBy::NoExit, ..) => vec!["it entered the hook and did not leave it".to_owned()],
            (DropBy::Kernel, _, Some(reason), Some(location)) => {
                vec![words::clean(reason), format!("in {location}")]
            }
            (DropBy::Kernel, _, Some(reason), None) => vec![words::clean(reason)],
            (DropBy::Kernel, _, None, Some(location)) => vec![format!("in {location}")],
            (DropBy::Kernel, ..) => vec!["the kernel does not say why".to_owned()],
        };
        let mut ending = Self::new(End::Dropped, Vec::new());
        ending.text = format!("{first} in {}: {}", place.title(), why.join(" "));
        ending.lines.push(first);
        ending.lines.extend(why);
        if !drop.suspects.is_empty() {
            let who = format!("on that hook: {}", words::clean(&drop.suspects.join(", ")));
            ending.text = format!("{}; {who}", ending.text);
            ending.lines.push(who);
        }
        // Our own reason is told already.
        ending.advice = reason
            .filter(|_| drop.by != DropBy::Verdict)
            .and_then(advice);
        ending
    }
}

/// A function of the kernel without the offset, which means something to few:
/// `nft_do_chain [nf_tables]`.
fn function(location: &str) -> String {
    let location = words::clean(location);
    match location.split_once('+') {
        Some((name, rest)) => match rest.split_once(' ') {
            Some((_, module)) => format!("{name} {module}"),
            None => name.to_owned(),
        },
        None => location,
    }
}

/// What a reason of the kernel (`enum skb_drop_reason`) means, for those that a
/// container network meets.
fn advice(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "NETFILTER_DROP" => "a firewall rule or a policy of a chain: `nft list ruleset` in this namespace",
        "IP_RPFILTER" => "the way back to the sender leads through another device: see net.ipv4.conf.*.rp_filter",
        "IP_LOCALNET" => "127.0.0.0/8 may not enter or leave through this device: see net.ipv4.conf.*.route_localnet",
        "IP_LOCAL_SOURCE" => "the sender's address is one of this namespace's own: see net.ipv4.conf.*.accept_local",
        "IP_INVALID_SOURCE" => "a packet from outside may not have this source address",
        "IP_INVALID_DEST" => "a packet may not have this destination address",
        "IP_INADDRERRORS" | "IP_INNOROUTES" => "there is no route to the destination, or forwarding is off: see `ip route get` and net.ipv4.ip_forward",
        "IP_OUTNOROUTES" => "there is no route to the destination: see `ip route get`",
        "NEIGH_FAILED" | "NEIGH_CREATEFAIL" => "nobody answers for the next hop's address: see `ip neigh`",
        "NEIGH_QUEUEFULL" => "too many packets wait for the next hop's address: see `ip neigh`",
        "NO_SOCKET" => "nothing listens on this address and port: see `ss -lnt` and `ss -lnu` in this namespace",
        "PKT_TOO_BIG" => "larger than the MTU and not to be fragmented: see `ip link`",
        "OTHERHOST" => "the frame was for another machine's MAC address",
        "SOCKET_RCVBUFF" | "SOCKET_BACKLOG" => "the receiver does not read fast enough",
        "TCP_CSUM" | "UDP_CSUM" | "IP_CSUM" => "a wrong checksum",
        "SOCKET_FILTER" | "BPF_CGROUP_EGRESS" => "a BPF program decided so",
        "XFRM_POLICY" => "an IPsec policy decided so: see `ip xfrm policy`",
        "QDISC_DROP" | "FULL_RING" => "a queue was full: see `tc -s qdisc`",
        _ => return None,
    })
}
