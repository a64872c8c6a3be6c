// SPDX-License-Identifier: GPL-2.0

//! Reads text of the kernel log: our lines of version 1, the classic block, ours or of
//! the module before, and what is lost. Lines of others are passed over.

mod classic;
mod stamp;

use nftrace_core::record::v1;

use crate::observation::{NamespaceId, Observation, Source};
use crate::{Input, Loss};
use classic::Classic;

/// The most bytes of a line; the kernel's are shorter than 1 KiB.
const MOST: usize = 4096;

/// Reads kernel-log text: as `dmesg`, `journalctl` or syslog have it, line by line or in
/// pieces that end anywhere.
#[derive(Debug, Default)]
pub struct LogReader {
    /// The inode number of the initial namespace, once a line told it.
    init: Option<u32>,
    classic: Classic,
    /// The beginning of a line whose end did not come yet.
    begun: Vec<u8>,
    /// The line is longer than any of ours: its rest is passed over.
    overlong: bool,
}

impl LogReader {
    /// A reader that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a piece of text, and hands on what its complete lines tell.
    pub fn bytes(&mut self, bytes: &[u8], out: &mut Vec<Input>) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            let room = MOST.saturating_sub(self.begun.len());
            self.overlong |= text.len() > room;
            self.begun.extend(text.iter().take(room));
            if ends {
                self.end_line(out);
            }
        }
    }

    fn end_line(&mut self, out: &mut Vec<Input>) {
        let line = std::mem::take(&mut self.begun);
        if !std::mem::take(&mut self.overlong) {
            out.extend(self.line(&String::from_utf8_lossy(&line)));
        }
    }

    /// Takes one line, without its line break.
    pub fn line(&mut self, line: &str) -> Option<Input> {
        let line = line.trim_end_matches(['\r', '\n']);
        if line.len() > MOST {
            return None;
        }
        if line.contains(v1::PREFIX) {
            let mut record = Observation::from_record(&v1::parse(line)?, Source::Log);
            record.time = stamp::of(line);
            record.init = self.init.is_some() && record.namespace.inode() == self.init;
            return Some(Input::Record(record));
        }
        if let Some(inode) = init_inode(line) {
            self.init = Some(inode);
            return None;
        }
        if let Some(loss) = loss(line) {
            return Some(Input::Loss(loss));
        }
        self.classic.line(line).map(Input::Record)
    }

    /// The text has ended: what its last line tells, if that had no line break. A block
    /// whose last line is missing is not shown, as it has no addresses.
    pub fn finish(&mut self, out: &mut Vec<Input>) {
        if !self.begun.is_empty() {
            self.end_line(out);
        }
        self.classic = Classic::default();
    }
}

/// Reads lines of a kernel log.
pub fn read_log<S: AsRef<str>>(lines: impl IntoIterator<Item = S>) -> impl Iterator<Item = Input> {
    let mut reader = LogReader::new();
    lines
        .into_iter()
        .filter_map(move |line| reader.line(line.as_ref()))
}

/// What the line after loading says: `nftrace: 0.1.0 loaded: … init_net=4026531833 …`.
fn init_inode(line: &str) -> Option<u32> {
    let (_, text) = line.split_once("nftrace: ")?;
    let (_, text) = text.split_once(" loaded: ")?;
    number_after(text, "init_net=")
}

/// The number that stands behind the first `key`.
fn number_after<T: std::str::FromStr>(text: &str, key: &str) -> Option<T> {
    let (_, rest) = text.split_once(key)?;
    let end = rest
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

/// What lines say that stand where others are missing: our own, the kernel's, the journal's.
fn loss(line: &str) -> Option<Loss> {
    let mut loss = Loss {
        records: 0,
        cpu: None,
        namespace: None,
        time: None,
    };
    if let Some((_, text)) = line.split_once("nftrace: ") {
        if text.starts_with("lost ") {
            loss.records = number_after(text, "lost ")?;
            loss.cpu = number_after(text, " on CPU ");
            return Some(loss);
        }
        if text.starts_with("suppressed ") {
            loss.records = number_after(text, "suppressed ")?;
            loss.namespace = number_after(text, " ns=")
                .zip(number_after(text, " cookie="))
                .map(|(inode, cookie)| NamespaceId::Cookie { cookie, inode });
            return Some(loss);
        }
    }
    loss.records = if line.contains(" printk messages dropped") {
        number_after(line, "** ")?
    } else if line.contains(" kernel messages") && line.contains("Missed ") {
        number_after(line, "Missed ")?
    } else {
        return None;
    };
    Some(loss)
}
