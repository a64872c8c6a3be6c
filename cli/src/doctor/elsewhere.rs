// SPDX-License-Identifier: GPL-2.0

//! Ways on which packets go past netfilter's hooks, and so past ours.

use std::fs;
use std::io;

use netlink_sys::protocols::NETLINK_ROUTE;
use serde::Serialize;

use super::finding::{Finding, Severity};
use crate::hooks::Side;
use crate::names::NetDevice;
use crate::netlink::{attributes, text, Dumper};

const RTM_GETQDISC: u16 = 38;
const RTM_GETTFILTER: u16 = 46;
/// `struct tcmsg`: family, index, handle, parent, information.
const TCMSG: usize = 20;
const TCA_KIND: u16 = 1;
/// `TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_…)`; of an `ingress` qdisc any parent is the one.
const SIDES: [(Side, u32); 2] = [(Side::Ingress, 0xffff_fff2), (Side::Egress, 0xffff_fff3)];

/// What there is of them in one namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Elsewhere {
    xdp: Vec<Xdp>,
    tc: Vec<Filter>,
    /// Packet sockets, as those of tcpdump and of DHCP clients.
    packet_sockets: usize,
}

/// A program that has packets before there is a buffer for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Xdp {
    device: String,
    program: u32,
}

/// Filters of tc at a side of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Filter {
    device: String,
    side: Side,
    /// As tc calls it: `bpf`, `matchall`, `flower`.
    kind: String,
}

impl Elsewhere {
    /// Looks around where the calling thread is.
    ///
    /// # Errors
    ///
    /// What rtnetlink refuses with.
    pub(super) fn see(devices: &[NetDevice]) -> io::Result<Self> {
        let xdp = |device: &NetDevice| {
            Some(Xdp {
                device: device.name.clone(),
                program: device.xdp?,
            })
        };
        Ok(Self {
            xdp: devices.iter().filter_map(xdp).collect(),
            tc: filters(devices)?,
            packet_sockets: fs::read_to_string("/proc/thread-self/net/packet")
                .map_or(0, |text| sockets(&text)),
        })
    }

    /// What they give reason to say.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if !self.xdp.is_empty() {
            let programs = self
                .xdp
                .iter()
                .map(|one| format!("XDP program {} on {}", one.program, one.device));
            let found: Vec<String> = programs.collect();
            findings.push(
                Finding::new(Severity::Warning, "xdp", found.join(", "))
                    .meaning(
                        "what it drops, answers or sends elsewhere never comes to a hook: no \
                         rule holds for it, and nftrace does not see it",
                    )
                    .remedy("'ip link set DEVICE xdp off' takes it away"),
            );
        }
        if !self.tc.is_empty() {
            let filters = self
                .tc
                .iter()
                .map(|one| format!("tc filter {} at {} {}", one.kind, one.device, one.side));
            let found: Vec<String> = filters.collect();
            findings.push(
                Finding::new(Severity::Warning, "tc", found.join(", "))
                    .meaning(
                        "it stands before the hooks when packets come and behind them when they \
                         go: what it redirects skips them, and no rule holds for it here",
                    )
                    .remedy("'tc filter show dev DEVICE ingress' (or egress) shows what it does"),
            );
        }
        if self.packet_sockets > 0 {
            let found = match self.packet_sockets {
                1 => "a packet socket is open".to_owned(),
                many => format!("{many} packet sockets are open"),
            };
            findings.push(
                Finding::new(Severity::Note, "packet-sockets", found).meaning(
                    "who has one (a DHCP client, tcpdump) hears packets before any hook, and \
                     sends behind LOCAL_OUT and POST_ROUTING; hooks on the further way hold",
                ),
            );
        }
        findings
    }
}

/// Filters at both sides of the devices that have a place for them.
fn filters(devices: &[NetDevice]) -> io::Result<Vec<Filter>> {
    let mut dumper = Dumper::new(NETLINK_ROUTE)?;
    let mut filters = Vec::new();
    for answer in dumper.dump(RTM_GETQDISC, vec![0; TCMSG])? {
        let qdisc = kind(&answer)?;
        let sides = match qdisc.as_str() {
            "clsact" => &SIDES[..],
            "ingress" => &SIDES[..1],
            _ => continue,
        };
        let Some(index) = answer.get(4..).and_then(<[u8]>::first_chunk) else {
            continue;
        };
        let of = |device: &&NetDevice| device.index == u32::from_ne_bytes(*index);
        let Some(device) = devices.iter().find(of) else {
            continue;
        };
        for (side, parent) in sides {
            let mut request = vec![0; TCMSG];
            request[4..8].copy_from_slice(index);
            request[12..16].copy_from_slice(&parent.to_ne_bytes());
            for answer in dumper.dump(RTM_GETTFILTER, request)? {
                let filter = Filter {
                    device: device.name.clone(),
                    side: *side,
                    kind: kind(&answer)?,
                };
                // A filter may answer more than once, with its parts.
                if !filters.contains(&filter) {
                    filters.push(filter);
                }
            }
        }
    }
    Ok(filters)
}

fn kind(answer: &[u8]) -> io::Result<String> {
    let mut kind = String::new();
    attributes(
        answer.get(TCMSG..).unwrap_or_default(),
        |attribute, value| {
            if attribute == TCA_KIND {
                kind = text(value);
            }
        },
    )?;
    Ok(kind)
}

/// A line of titles, then one for each socket.
fn sockets(text: &str) -> usize {
    text.lines().skip(1).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_past_the_hooks_is_a_finding_that_names_its_place() {
        let elsewhere = Elsewhere {
            xdp: vec![Xdp {
                device: "eth0".to_owned(),
                program: 7,
            }],
            tc: vec![Filter {
                device: "eth1".to_owned(),
                side: Side::Ingress,
                kind: "matchall".to_owned(),
            }],
            packet_sockets: 2,
        };
        let found: Vec<_> = elsewhere.findings().into_iter().map(|f| f.found).collect();
        assert_eq!(
            found,
            [
                "XDP program 7 on eth0",
                "tc filter matchall at eth1 ingress",
                "2 packet sockets are open"
            ]
        );
        assert!(Elsewhere::default().findings().is_empty());
    }

    #[test]
    fn packet_sockets_are_the_lines_behind_the_title() {
        let text = "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n\
                    0000000000000000 3      3    0003   2     1 0      0      1\n";
        assert_eq!(sockets(text), 1);
        assert_eq!(sockets(""), 0);
    }
}
