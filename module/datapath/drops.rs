// SPDX-License-Identifier: GPL-2.0

//! The end of traced packets.

use kernel::sync::rcu;

use nftrace_core::hook::Hook;
use nftrace_core::lives::{self, Death};
use nftrace_core::packet::{self, Network, Packet};
use nftrace_core::record::{DropSite, Record};

use super::super::headers::WINDOW;
use super::super::tracing::TRACING;
use super::Datapath;
use crate::bindings::tracepoint::{FreedPacket, Reason};

impl Datapath {
    /// Reads the headers of a packet that is about to be freed; how long it is.
    fn read_freed(freed: &FreedPacket) -> Option<(Packet, u32)> {
        let mut buffer = [0; WINDOW];
        let total = freed.copy_network(&mut buffer)?;
        let window = buffer.get(..total.min(WINDOW))?;
        let network = match window.first()? >> 4 {
            4 => Network::Ipv4,
            6 => Network::Ipv6,
            _ => return None,
        };
        let packet = packet::parse(network, window, total).ok()?;
        Some((packet, u32::try_from(total).ok()?))
    }

    /// Writes a record of a traced packet's death.
    #[cold]
    #[inline(never)]
    pub(super) fn record_drop(&self, death: Death, freed: &FreedPacket, reason: &Reason) {
        // A socket had it, and was closed: the packet arrived.
        if death.hook == Hook::LocalIn && reason.is_purge() {
            return;
        }
        let critical_section = rcu::read_lock();
        let Some(tracing) = TRACING.read(&critical_section) else {
            return;
        };
        // An address may have been freed without a word, and be another packet's now.
        let Some((packet, len)) = Self::read_freed(freed) else {
            return;
        };
        let is_delivered = death.hook == Hook::LocalIn;
        if lives::signature(&packet) != death.signature || (is_delivered && len != death.len) {
            return;
        }
        let (name, location) = (reason.name(), reason.location());
        self.write(tracing.is_logged, |turn| {
            let site = DropSite {
                time: turn.time,
                death,
                len,
                cpu: turn.cpu,
                reason: reason.number,
                name: until_zero(&name),
                location: until_zero(&location),
                logged: tracing.is_logged,
            };
            Record::of_drop(&site, &packet)
        });
    }
}

fn until_zero(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}
