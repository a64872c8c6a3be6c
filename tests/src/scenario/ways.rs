// SPDX-License-Identifier: GPL-2.0

//! The ways that packets must take in a scenario: `tests/ways/SCENARIO.txt`.
//!
//! ```text
//! # a comment
//! == ipv4
//! request tcp
//!     a LOCAL_OUT   dev=-    in=-    out=eth0 10.0.0.1 P > 10.0.0.2 80
//!     b PRE_ROUTING dev=eth0 in=eth0 out=-    10.0.0.1 P > 10.0.0.2 80
//!     = delivered
//! ```
//!
//! A section for each run, in it the ways, in each way a line for each record:
//! `role [bridge] HOOK dev in out source > destination`. Ports of clients are letters,
//! `Letters` says which; `classid=` follows where the sender's socket has one. Behind the record where it happened stands a line
//! `- dnat|snat what it was > what it became`; the last line says how a journey ended.

use std::collections::HashMap;

use super::{mismatch, Mismatch};

/// What packets a way is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One side of a TCP connection: one handshake, data, and what else there is.
    Tcp,
    /// The handshake of a connection that never comes to be: once or more.
    Syn,
    /// One packet.
    Once,
    /// One packet or more.
    Some,
}

/// A way, and which packets must take it.
#[derive(Debug, Clone)]
pub struct Way {
    /// What it is called.
    pub name: String,
    /// What packets it is for.
    pub kind: Kind,
    /// Its records, and what happened between them.
    pub lines: Vec<String>,
}

impl Way {
    /// Its records alone, as the kernel log has them: without the classid.
    pub fn records(&self) -> impl Iterator<Item = &str> {
        let records = |line: &&str| !line.starts_with("- ") && !line.starts_with("= ");
        let lines = self.lines.iter().map(String::as_str).filter(records);
        lines.map(|line| line.split(" classid=").next().unwrap_or(line))
    }
}

/// Runs of white space count as one blank.
pub(super) fn squeeze(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The ways of the section `section` of a file's text.
///
/// # Errors
///
/// When there is no such section, or a line that is none.
pub fn parse(text: &str, section: &str) -> Result<Vec<Way>, Mismatch> {
    let mut ways: Vec<Way> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("== ") {
            inside = name.trim() == section;
        } else if !inside || line.starts_with('#') || line.trim().is_empty() {
            continue;
        } else if line.starts_with(' ') {
            let Some(way) = ways.last_mut() else {
                return mismatch(format!(
                    "{section}: a record that belongs to no way: {line}"
                ));
            };
            way.lines.push(squeeze(line));
        } else {
            let (name, kind) = match line.trim().rsplit_once(' ') {
                Some((name, "tcp")) => (name, Kind::Tcp),
                Some((name, "syn")) => (name, Kind::Syn),
                Some((name, "once")) => (name, Kind::Once),
                Some((name, "some")) => (name, Kind::Some),
                _ => {
                    return mismatch(format!(
                        "{section}: neither tcp nor syn, once or some: {line}"
                    ))
                }
            };
            ways.push(Way {
                name: name.to_owned(),
                kind,
                lines: Vec::new(),
            });
        }
    }
    if ways.is_empty() {
        return mismatch(format!("there is no section '{section}', or nothing in it"));
    }
    Ok(ways)
}

/// The names of ports that differ from run to run: `P` for the first that a client was
/// given, `Q` for the second. The source of a VXLAN datagram is only a hash: `V`.
#[derive(Debug, Default)]
pub(super) struct Letters(HashMap<u16, char>);

/// Linux gives clients ports from here on (`net.ipv4.ip_local_port_range`).
const FIRST_OF_CLIENTS: u16 = 32768;
const VXLAN: u16 = 4789;

impl Letters {
    /// Two ports as they are to be compared.
    pub(super) fn name(&mut self, src: u16, dst: u16) -> (String, String) {
        if dst == VXLAN {
            return ("V".to_owned(), dst.to_string());
        }
        (self.letter(src), self.letter(dst))
    }

    /// A port as it is to be compared.
    pub(super) fn letter(&mut self, port: u16) -> String {
        if port < FIRST_OF_CLIENTS {
            return port.to_string();
        }
        let next = u32::try_from(self.0.len()).unwrap_or(0);
        self.0
            .entry(port)
            .or_insert_with(|| char::from_u32('P' as u32 + next).unwrap_or('?'))
            .to_string()
    }
}

/// Docker's names of devices are random: `veth*`, and only those.
pub(super) fn device(name: Option<&str>) -> &str {
    match name {
        None => "-",
        Some(name) => match name.strip_prefix("veth") {
            Some(rest) if rest.len() == 7 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                "veth*"
            }
            _ => name,
        },
    }
}
