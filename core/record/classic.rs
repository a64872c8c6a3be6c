// SPDX-License-Identifier: GPL-2.0

//! The block of four lines that the C module before this one printed, with inode
//! numbers of namespaces where it printed pointers.

use ::core::fmt;

use super::{endpoints, Device, Record};
use crate::hook::Hook;

const RULE: &str = "====================================================";

/// Prints a packet's entry to a hook as four lines, without a line break behind the last.
#[derive(Clone, Copy, Debug)]
pub struct Classic<'a> {
    /// The record.
    pub record: &'a Record,
    /// The inode number of the initial namespace.
    pub init_inode: u32,
}

/// The namespace of a device; `(null)`, as `%p` prints it, where there is no device.
struct Namespace<'a>(&'a Device, u32);

impl fmt::Display for Namespace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.name() {
            Some(_) => write!(f, "{}", self.1),
            None => write!(f, "{:>16}", "(null)"),
        }
    }
}

/// A device's name, or what stands for none.
struct Name<'a>(&'a Device, &'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.name() {
            Some(_) => write!(f, "{}", self.0),
            None => f.write_str(self.1),
        }
    }
}

impl fmt::Display for Classic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = self.record;
        let packet = record.packet();
        let (src, dst) = endpoints(packet.src, packet.dst, packet.ports());
        let hook = record.hook();
        let (dev, input, output) = (record.dev(), record.input(), record.output());
        let namespace = |device| Namespace(device, record.inode);
        writeln!(f, "{RULE} {}", hook.map_or("-", Hook::name))?;
        writeln!(
            f,
            "DEV: {}, NS: {}, INITNET: {}",
            Name(&dev, "(no dev)"),
            namespace(&dev),
            self.init_inode,
        )?;
        writeln!(
            f,
            "IN DEV: {}, NS: {}, OUT DEV: {}, NS: {}",
            Name(&input, "(null)"),
            namespace(&input),
            Name(&output, "(null)"),
            namespace(&output),
        )?;
        write!(
            f,
            "[{}]: {src}->{dst}, skb: {:08x}",
            hook.map_or(0, Hook::number),
            record.skb & 0xffff_ffff
        )
    }
}
