// SPDX-License-Identifier: GPL-2.0

//! All that a record says, for those who ask.

use nftrace_journeys::Observation;

use super::words;

/// Keys and values, what matters most first.
pub(super) fn details(record: &Observation) -> Vec<(&'static str, String)> {
    let mut details = vec![("addresses", words::addresses(record))];
    let mut add = |key, value: Option<String>| details.extend(value.map(|value| (key, value)));
    let known = record.known;
    add("packet", words::what(record));
    add("quotes", record.packet.as_ref().and_then(words::quoted));
    add(
        "family",
        record.family.map(|family| family.name().to_owned()),
    );
    add("namespace", record.namespace.label());
    add(
        "cookie",
        record.namespace.cookie().map(|cookie| cookie.to_string()),
    );
    add("device", record.dev.as_deref().map(words::clean));
    add("in", record.input.as_deref().map(words::clean));
    add("out", record.output.as_deref().map(words::clean));
    add(
        "length",
        known.len.then(|| words::count(record.len.into(), "byte")),
    );
    if let Some(tcp) = record.tcp().filter(|_| known.seq) {
        add("sequence number", Some(tcp.seq.to_string()));
        add("acknowledges", Some(tcp.ack.to_string()));
    }
    if let Some(packet) = record.packet.filter(|packet| known.id && packet.id != 0) {
        add("IP id", Some(packet.id.to_string()));
    }
    add(
        "mark",
        (record.mark != 0).then(|| format!("{:#x}", record.mark)),
    );
    if let Some(conntrack) = &record.conntrack {
        let way = if conntrack.reply { "reply" } else { "original" };
        let state = conntrack.state.name();
        add(
            "conntrack",
            Some(format!("{state}, {way} direction, id {:#x}", conntrack.id)),
        );
    }
    if let Some(socket) = &record.socket {
        add(
            "socket of uid",
            (socket.uid != u32::MAX).then(|| socket.uid.to_string()),
        );
        add(
            "classid",
            (socket.classid != 0).then(|| format!("{:#x}", socket.classid)),
        );
        add(
            "cgroup",
            (socket.cgroup != 0).then(|| socket.cgroup.to_string()),
        );
    }
    add(
        "verdict",
        record.verdict.map(|verdict| verdict.name().to_owned()),
    );
    add("rule", (record.rule != 0).then(|| record.rule.to_string()));
    add("skb", record.skb.map(|skb| format!("{skb:08x}")));
    add("time", record.time.map(words::clock));
    add("CPU", record.cpu.map(|cpu| cpu.to_string()));
    details
}
