// SPDX-License-Identifier: GPL-2.0

//! The trace as `nftrace path --json` has it: whole journeys, which the ways judge.

use std::net::SocketAddr;

use serde::Deserialize;

use super::ways::{device, Letters, Way};
use super::{judge, mismatch, not_taken, Mismatch, Packet, Taken};

/// A journey, as far as it is looked at here.
#[derive(Debug, Deserialize)]
struct Journey {
    records: Vec<Record>,
    nat: Vec<Nat>,
    joins: Vec<Join>,
    end: String,
    drop: Option<Drop>,
    #[serde(default)]
    lost: Vec<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Record {
    hook: Option<String>,
    at: String,
    family: Option<String>,
    name: Option<String>,
    dev: Option<String>,
    #[serde(rename = "in")]
    input: Option<String>,
    out: Option<String>,
    proto: Option<String>,
    src: Option<String>,
    dst: Option<String>,
    flags: Option<String>,
    classid: Option<u32>,
}

#[derive(Debug, Deserialize)]
struct Nat {
    after: usize,
    kind: String,
    from: String,
    to: String,
}

#[derive(Debug, Deserialize)]
struct Join {
    by: String,
    certainty: String,
}

#[derive(Debug, Deserialize)]
struct Drop {
    hook: Option<String>,
    name: Option<String>,
    reason: Option<String>,
}

/// Holds each journey, a line of `text`, against the ways.
///
/// # Errors
///
/// When a packet took another way, came to another end, was joined by a guess, or a way
/// was not taken by the packets that it is for.
pub fn packets(text: &str, ways: &[Way]) -> Result<Vec<Taken>, Mismatch> {
    let mut letters = Letters::default();
    let mut taken = not_taken(ways);
    let mut strange = Vec::new();
    for line in text.lines() {
        let journey: Journey = serde_json::from_str(line)
            .map_err(|error| Mismatch(format!("not a journey: {error}: {line}")))?;
        let packet = packet(&journey, line, &mut letters);
        for join in &journey.joins {
            if join.certainty != "proved" {
                let (by, certainty) = (&join.by, &join.certainty);
                return mismatch(format!("joined by {by}, which is {certainty}: {line}"));
            }
        }
        if !journey.lost.is_empty() {
            return mismatch(format!("with losses: {line}"));
        }
        match taken
            .iter_mut()
            .find(|taken| taken.way.lines == packet.lines)
        {
            Some(taken) => taken.packets.push(packet),
            None => strange.push(packet),
        }
    }
    let result = match strange.first() {
        Some(packet) => mismatch(format!(
            "{} of the journeys took none of the ways; the first one:\n{}",
            strange.len(),
            show(&packet.lines)
        )),
        None => judge(&taken),
    };
    result.map_err(|error| {
        let mut text = format!("{error}\nThe ways that were taken:\n");
        let mut seen: Vec<&[String]> = Vec::new();
        let good = taken.iter().flat_map(|taken| &taken.packets);
        for packet in good.chain(&strange) {
            if !seen.contains(&&*packet.lines) {
                seen.push(&packet.lines);
                text += &format!("way {}\n{}", kind(packet), show(&packet.lines));
            }
        }
        Mismatch(text)
    })?;
    Ok(taken)
}

fn kind(packet: &Packet) -> &'static str {
    match (packet.handshake, packet.data) {
        (true, _) => "tcp (handshake)",
        (_, true) => "tcp (data)",
        _ => "tcp or once",
    }
}

fn show(lines: &[String]) -> String {
    let mut text = String::new();
    for line in lines {
        text += &format!("    {line}\n");
    }
    text
}

fn packet(journey: &Journey, line: &str, letters: &mut Letters) -> Packet {
    let mut lines = Vec::new();
    for (index, record) in journey.records.iter().enumerate() {
        if record.at == "entry" {
            lines.push(step(record, letters));
        }
        for nat in journey.nat.iter().filter(|nat| nat.after == index) {
            let from = end(Some(&nat.from), letters);
            let to = end(Some(&nat.to), letters);
            lines.push(format!("- {} {from} > {to}", nat.kind));
        }
    }
    // An acknowledgement that is overtaken by another is thrown away by TCP itself, and so is
    // data that it has already, which a slow machine sent again.
    let flags = journey
        .records
        .first()
        .and_then(|record| record.flags.as_deref());
    let late = journey.drop.as_ref().is_some_and(|drop| {
        let reason = drop.reason.as_deref().unwrap_or_default();
        drop.hook.as_deref() == Some("LOCAL_IN")
            && (reason == "TCP_OLD_DATA" || (flags == Some("A") && reason.starts_with("TCP_")))
    });
    let mut last = format!("= {}", if late { "delivered" } else { &journey.end });
    if let Some(drop) = journey.drop.as_ref().filter(|_| !late) {
        for word in [&drop.name, &drop.hook, &drop.reason] {
            last += &format!(" {}", word.as_deref().unwrap_or("-"));
        }
    }
    lines.push(last);
    let first = journey.records.first();
    let has = |flag| {
        let flags = first.and_then(|record| record.flags.as_deref());
        flags.is_some_and(|flags| flags.contains(flag))
    };
    Packet {
        lines,
        handshake: has('S'),
        data: has('P'),
        messages: vec![line.to_owned()],
    }
}

fn step(record: &Record, letters: &mut Letters) -> String {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let bridge = match record.family.as_deref() {
        Some("bridge") => "bridge ",
        _ => "",
    };
    let vxlan = record.proto.as_deref() == Some("udp")
        && record
            .dst
            .as_deref()
            .is_some_and(|dst| dst.ends_with(":4789"));
    let src = match record
        .src
        .as_deref()
        .and_then(|src| src.parse::<SocketAddr>().ok())
    {
        Some(src) if vxlan => format!("{} V", src.ip()),
        _ => end(record.src.as_deref(), letters),
    };
    let classid = match record.classid {
        Some(classid) if classid != 0 => format!(" classid={classid:#x}"),
        _ => String::new(),
    };
    format!(
        "{} {bridge}{} dev={} in={} out={} {src} > {}{classid}",
        record.name.as_deref().unwrap_or("unknown"),
        or_none(&record.hook),
        device(record.dev.as_deref()),
        device(record.input.as_deref()),
        device(record.out.as_deref()),
        end(record.dst.as_deref(), letters),
    )
}

/// `address port`, with `-` for what is not there.
fn end(text: Option<&str>, letters: &mut Letters) -> String {
    let Some(text) = text else {
        return "- -".to_owned();
    };
    match text.parse::<SocketAddr>() {
        Ok(end) => format!("{} {}", end.ip(), letters.letter(end.port())),
        Err(_) => format!("{text} -"),
    }
}
