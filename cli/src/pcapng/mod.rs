// SPDX-License-Identifier: GPL-2.0

//! Records as pcapng: one interface for each device of each namespace, the hook and
//! all that Wireshark has no field for as comments.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

use nftrace_core::abi::Frame;
use nftrace_core::hook::Hook;
use nftrace_core::record::{Kind, Record};
use nftrace_journeys::{Endpoint, Input, Loss, Names, Observation};
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::interface_statistics::{
    InterfaceStatisticsBlock, InterfaceStatisticsOption,
};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::{DataLink, Endianness, PcapError};

use crate::recording::Host;

mod headers;

/// Nanoseconds, in `if_tsresol`.
const NANOSECONDS: u8 = 9;

struct Interface {
    id: u32,
    records: u64,
}

/// Writes records as pcapng.
pub(crate) struct Writer<W: Write> {
    to: PcapNgWriter<W>,
    realtime_offset: i64,
    interfaces: HashMap<(u64, String), Interface>,
    /// What has to be said with the next packet.
    pending: Vec<String>,
    lost: u64,
    last: Duration,
}

impl<W: Write> Writer<W> {
    /// Begins the file.
    pub(crate) fn new(to: W, host: &Host) -> io::Result<Self> {
        let comment = format!(
            "netfilter hooks of all network namespaces of {}, boot {}; headers only, payload is not recorded; traced: {}",
            or_dash(&host.hostname),
            or_dash(&host.boot_id),
            or_dash(&host.filter),
        );
        let section = SectionHeaderBlock {
            endianness: Endianness::Little,
            options: vec![
                SectionHeaderOption::OS(Cow::Owned(format!("Linux {}", host.kernel))),
                SectionHeaderOption::UserApplication(Cow::Owned(format!(
                    "nftrace {}",
                    host.command
                ))),
                SectionHeaderOption::Comment(Cow::Owned(comment)),
            ],
            ..SectionHeaderBlock::default()
        };
        Ok(Self {
            to: PcapNgWriter::with_section_header(to, section).map_err(to_io)?,
            realtime_offset: host.realtime_offset,
            interfaces: HashMap::new(),
            pending: Vec::new(),
            lost: 0,
            last: Duration::ZERO,
        })
    }

    /// Adds a frame.
    pub(crate) fn frame(&mut self, frame: &Frame, names: &dyn Names) -> io::Result<()> {
        self.lost = self.lost.saturating_add(frame.lost);
        for input in Input::from_frame(frame) {
            match input {
                Input::Loss(loss) => self.pending.push(gap(&loss)),
                Input::Record(seen) => self.record(&frame.record, &seen, names)?,
            }
        }
        Ok(())
    }

    fn record(&mut self, record: &Record, seen: &Observation, names: &dyn Names) -> io::Result<()> {
        let Some(data) = headers::headers(record) else {
            // There are no bytes that could be shown: it is told with the next packet.
            self.pending
                .push(format!("without headers: {}", describe(record, seen)));
            return Ok(());
        };
        let time = self.time(record.time);
        let interface_id = self.interface(seen, names)?;
        let mut options = vec![EnhancedPacketOption::Comment(Cow::Owned(describe(
            record, seen,
        )))];
        let pending = self.pending.drain(..);
        options.extend(pending.map(|comment| EnhancedPacketOption::Comment(Cow::Owned(comment))));
        let direction = match seen.hook {
            Some(Hook::PreRouting | Hook::LocalIn) => 1,
            Some(Hook::LocalOut | Hook::PostRouting) => 2,
            Some(Hook::Forward) | None => 0,
        };
        options.push(EnhancedPacketOption::Flags(direction));
        self.last = time;
        let block = EnhancedPacketBlock {
            interface_id,
            timestamp: time,
            original_len: record.len,
            data: Cow::Owned(data),
            options,
        };
        self.to.write_pcapng_block(block).map(drop).map_err(to_io)
    }

    /// Says something with the next packet, or at the end.
    pub(crate) fn comment(&mut self, text: String) {
        self.pending.push(text);
    }

    /// Hands all to the file.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.to.get_mut().flush()
    }

    /// Ends the file.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        if self.interfaces.is_empty() && !self.pending.is_empty() {
            // There has to be something that can be commented.
            self.describe_interface("-", "no namespace: nothing was recorded")?;
            let none = Interface { id: 0, records: 0 };
            self.interfaces.insert((0, String::new()), none);
        }
        let mut interfaces: Vec<_> = self
            .interfaces
            .drain()
            .map(|(_, interface)| interface)
            .collect();
        interfaces.sort_by_key(|interface| interface.id);
        let lost = format!(
            "lost {} records in all: of which interface is not known",
            self.lost
        );
        let time = u64::try_from(self.last.as_nanos()).unwrap_or(u64::MAX);
        for Interface { id, records } in interfaces {
            let mut options = vec![
                InterfaceStatisticsOption::IsbIfRecv(records),
                InterfaceStatisticsOption::Comment(Cow::Borrowed(&lost)),
            ];
            let pending = self.pending.drain(..);
            options.extend(
                pending.map(|comment| InterfaceStatisticsOption::Comment(Cow::Owned(comment))),
            );
            let block = InterfaceStatisticsBlock {
                interface_id: id,
                // The upper half comes first, which the crate does not do here.
                timestamp: time.rotate_left(32),
                options,
            };
            self.to.write_pcapng_block(block).map_err(to_io)?;
        }
        self.flush()?;
        Ok(self.to.into_inner())
    }

    /// A record's time, since 1970.
    fn time(&self, time: u64) -> Duration {
        Duration::from_nanos(time.saturating_add_signed(self.realtime_offset))
    }

    /// The interface of a record, which is told to the file when it is new.
    fn interface(&mut self, seen: &Observation, names: &dyn Names) -> io::Result<u32> {
        let device = seen
            .dev
            .as_ref()
            .or(seen.output.as_ref())
            .or(seen.input.as_ref());
        let device = device.map_or("-", String::as_str);
        let cookie = seen.namespace.cookie().unwrap_or_default();
        if let Some(known) = self.interfaces.get_mut(&(cookie, device.to_owned())) {
            known.records += 1;
            return Ok(known.id);
        }
        let inode = seen.namespace.inode().unwrap_or_default();
        let name = seen.name(names).unwrap_or_else(|| inode.to_string());
        self.describe_interface(
            &format!("{name}/{device}"),
            &format!("network namespace {inode}, cookie {cookie}"),
        )?;
        let id = u32::try_from(self.interfaces.len()).map_err(io::Error::other)?;
        let new = Interface { id, records: 1 };
        self.interfaces.insert((cookie, device.to_owned()), new);
        Ok(id)
    }

    fn describe_interface(&mut self, name: &str, description: &str) -> io::Result<()> {
        let block = InterfaceDescriptionBlock {
            linktype: DataLink::RAW,
            snaplen: 0,
            options: vec![
                InterfaceDescriptionOption::IfName(Cow::Borrowed(name)),
                InterfaceDescriptionOption::IfDescription(Cow::Borrowed(description)),
                InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
            ],
        };
        self.to.write_pcapng_block(block).map(drop).map_err(to_io)
    }
}

fn to_io(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        error => io::Error::other(error),
    }
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() {
        "-"
    } else {
        text
    }
}

fn gap(loss: &Loss) -> String {
    let cpu = loss
        .cpu
        .map(|cpu| format!(" on CPU {cpu}"))
        .unwrap_or_default();
    format!("lost {} records{cpu} here", loss.records)
}

/// What a record tells besides headers, as `key=value`: what a display filter can look for.
fn describe(record: &Record, seen: &Observation) -> String {
    let mut text = format!("hook={}", seen.hook.map_or("-", Hook::name));
    // Writing to a string cannot fail.
    let mut add = |key: &str, value: &dyn std::fmt::Display| {
        let _ = write!(text, " {key}={value}");
    };
    match seen.kind {
        Kind::Exit => add("at", &"exit"),
        Kind::Drop => {}
        Kind::Entry | Kind::Gap => add(
            "verdict",
            &seen.verdict.map_or("-", |verdict| verdict.name()),
        ),
    }
    if let Some(dropped) = record.dropped() {
        add("drop", &dropped.name);
        add("location", &dropped.location);
    }
    if seen.rule != 0 {
        add("rule", &seen.rule);
        add("generation", &seen.generation);
    }
    add("skb", &format_args!("{:08x}", record.skb));
    add("in", &record.input());
    add("out", &record.output());
    add("mark", &format_args!("{:#x}", seen.mark));
    add("cpu", &record.cpu);
    if seen.gso_segs != 0 {
        add("gso_segs", &seen.gso_segs);
    }
    if let Some(conntrack) = seen.conntrack {
        let direction = if conntrack.reply { "reply" } else { "original" };
        let end = |address, port| Endpoint::new(address, port);
        let src = end(conntrack.src, conntrack.ports.map(|ports| ports.src));
        let dst = end(conntrack.dst, conntrack.ports.map(|ports| ports.dst));
        add("ct", &conntrack.state.name());
        add("ct_id", &conntrack.id);
        add("ct_dir", &direction);
        add("ct_original", &format_args!("{src}>{dst}"));
    }
    if let Some(socket) = seen.socket {
        add("uid", &socket.uid);
        if socket.classid != 0 {
            add("classid", &format_args!("{:#x}", socket.classid));
        }
        if socket.cgroup != 0 {
            add("cgroup", &socket.cgroup);
        }
    }
    text
}

#[cfg(test)]
mod tests;
