// SPDX-License-Identifier: GPL-2.0

//! The line of the kernel log, version 1: one record, written and read.
//!
//! `docs/record.md` is its documentation.

use ::core::fmt;

use super::{endpoints, Kind, Record, Verdict};
use crate::hook::{Family, Hook};
use crate::packet::{Protocol, Transport};

#[cfg(not(MODULE))]
mod parse;
#[cfg(not(MODULE))]
pub use parse::parse;

/// What each line begins with: the module's name, as the kernel prints it, and the version.
pub const PREFIX: &str = "nftrace: v1 ";

/// TCP flags from bit 7 to bit 0, each by one letter, in the order in which they are printed.
const TCP_FLAGS: [(u8, char); 8] = [
    (0x02, 'S'),
    (0x01, 'F'),
    (0x04, 'R'),
    (0x08, 'P'),
    (0x10, 'A'),
    (0x20, 'U'),
    (0x40, 'E'),
    (0x80, 'C'),
];

/// Prints a record as a line of version 1, without the `nftrace: ` that the kernel puts before it.
#[derive(Clone, Copy, Debug)]
pub struct V1<'a>(pub &'a Record);

/// A protocol by its name, else by its number.
struct ProtocolName(Protocol);

impl fmt::Display for ProtocolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0 .0),
        }
    }
}

/// TCP flags, one letter each; `0` for none.
#[derive(Clone, Copy, Debug)]
pub struct TcpFlags(pub u8);

impl fmt::Display for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        if self.0 == 0 {
            return f.write_char('0');
        }
        for (bit, letter) in TCP_FLAGS {
            if self.0 & bit != 0 {
                f.write_char(letter)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for V1<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = self.0;
        let packet = record.packet();
        let (src, dst) = endpoints(packet.src, packet.dst, packet.ports());
        write!(
            f,
            "v1 hook={} pf={} ns={} cookie={} dev={} in={} out={} ",
            record.hook().map_or("-", Hook::name),
            record.family().map_or("-", Family::name),
            record.inode,
            record.cookie,
            record.dev(),
            record.input(),
            record.output(),
        )?;
        if record.has_packet() {
            let protocol = ProtocolName(packet.protocol);
            write!(f, "proto={protocol} src={src} dst={dst} flags=")?;
        } else {
            f.write_str("proto=- src=- dst=- flags=")?;
        }
        match packet.transport {
            Transport::Tcp(tcp) => write!(f, "{}", TcpFlags(tcp.flags))?,
            _ => f.write_str("-")?,
        }
        write!(
            f,
            " len={} skb={:08x} mark={:#x} verdict={} rule=",
            record.len,
            // As many digits as the kernel's own %p has in a hashed pointer.
            record.skb & 0xffff_ffff,
            record.mark,
            record.verdict().map_or("-", Verdict::name),
        )?;
        match record.rule {
            rule if rule != 0 && !record.is_shadow() => write!(f, "{rule}")?,
            _ => f.write_str("-")?,
        }
        if let Some(fragment) = packet.fragment {
            let more = if fragment.more { "+" } else { "" };
            write!(f, " frag={}{more}", fragment.offset)?;
        }
        if let Transport::Icmp(icmp) = packet.transport {
            write!(f, " icmp={}/{}", icmp.kind, icmp.code)?;
            if let Some(quoted) = icmp.quoted {
                let (src, dst) = endpoints(quoted.src, quoted.dst, quoted.ports);
                write!(f, " quoted={},{src}>{dst}", ProtocolName(quoted.protocol))?;
            }
        }
        if let Some(socket) = record.socket() {
            if socket.classid != 0 {
                write!(f, " classid={:#x}", socket.classid)?;
            }
        }
        if record.kind() == Kind::Exit {
            f.write_str(" at=exit")?;
        }
        if record.generation != 0 {
            write!(f, " generation={}", record.generation)?;
        }
        if record.is_shadow() {
            write!(f, " shadow={}", record.rule)?;
        }
        if let Some(dropped) = record.dropped() {
            write!(f, " drop={} location={}", dropped.name, dropped.location)?;
        }
        Ok(())
    }
}
