// SPDX-License-Identifier: GPL-2.0

//! Journeys in a compact form, for the vectors.

use nftrace_core::hook::{Family, Hook};
use nftrace_core::record::Kind;
use nftrace_journeys::{Journey, Names, Trace};

/// The journeys of a trace, in the compact form.
pub(crate) fn show(trace: &Trace, names: &dyn Names) -> String {
    let mut text = String::new();
    for journey in &trace.journeys {
        text += &show_journey(journey, names);
    }
    for connection in &trace.connections {
        let tuples: Vec<String> = connection
            .tuples
            .iter()
            .map(|tuple| format!("{}>{}", tuple.src, tuple.dst))
            .collect();
        text += &format!(
            "connection {}: {}>{} journeys {:?} tuples {}\n",
            connection.number,
            connection.client.src,
            connection.client.dst,
            connection.journeys,
            tuples.join(" "),
        );
    }
    if trace.lost > 0 {
        text += &format!("lost {}\n", trace.lost);
    }
    text
}

fn show_journey(journey: &Journey, names: &dyn Names) -> String {
    let mut text = format!("journey {}", journey.number);
    for word in [
        journey.protocol.map(nftrace_journeys::protocol_name),
        journey
            .direction
            .map(|direction| direction.name().to_owned()),
        journey
            .connection
            .map(|number| format!("of connection {number}")),
        Some(journey.end.name().to_owned()),
        journey
            .retransmission_of
            .map(|n| format!("retransmission of {n}")),
        journey.fragment_of.map(|n| format!("fragment of {n}")),
        journey.segment_of.map(|n| format!("segment of {n}")),
        journey.merged_into.map(|n| format!("merged into {n}")),
        journey.copy_of.map(|n| format!("copy of {n}")),
        journey.about.map(|n| format!("about connection {n}")),
    ]
    .into_iter()
    .flatten()
    {
        text += &format!(" {word}");
    }
    text += "\n ";
    for (index, leg) in journey.legs.iter().enumerate() {
        if index > 0 {
            text += ";";
        }
        let first = &journey.records[leg.records.start];
        text += &format!(" {}", first.name(names).unwrap_or("?".to_owned()));
        for index in leg.records.clone() {
            let record = &journey.records[index];
            let hook = match record.hook {
                Some(Hook::PreRouting) => "pre",
                Some(Hook::LocalIn) => "lin",
                Some(Hook::Forward) => "fwd",
                Some(Hook::LocalOut) => "lout",
                Some(Hook::PostRouting) => "post",
                None => "-",
            };
            text += &format!(" {hook}");
            text += match record.kind {
                Kind::Exit => ".exit",
                Kind::Drop => ".drop",
                _ => "",
            };
            if record.family == Some(Family::Bridge) {
                text += ".bridge";
            }
            if let Some(tunnel) = journey.outer[index] {
                text += &format!("({})", tunnel.name());
            }
        }
    }
    text += "\n";
    for nat in &journey.nat {
        text += &format!(
            "  nat after {}: {} {} -> {} {}\n",
            nat.after,
            nat.kind.name(),
            nat.from,
            nat.to,
            nat.certainty.name()
        );
    }
    for step in &journey.encapsulation {
        let what = if step.enter { "enter" } else { "leave" };
        text += &format!("  after {}: {what} {}\n", step.after, step.tunnel.name());
    }
    for join in &journey.joins {
        text += &format!(
            "  join after {}: {} {}\n",
            join.after,
            join.by.name(),
            join.certainty.name()
        );
    }
    for gap in &journey.gaps {
        match gap.after {
            Some(after) => text += &format!("  lost {} after {after}\n", gap.lost),
            None => text += &format!("  lost {} before\n", gap.lost),
        }
    }
    if let Some(drop) = &journey.drop {
        text += &format!(
            "  dropped at {} of {} by {} ({} at {})\n",
            drop.hook.map_or("-", Hook::name),
            names.name(&drop.namespace).unwrap_or_default(),
            drop.by.name(),
            drop.reason.as_deref().unwrap_or("-"),
            drop.location.as_deref().unwrap_or("-"),
        );
    }
    text
}
