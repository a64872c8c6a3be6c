// SPDX-License-Identifier: GPL-2.0

//! Packets that are written, and what tshark reads.

use std::process::Command;

use nftrace_core::abi::Frame;
use nftrace_core::hook::{Family, Hook};
use nftrace_core::packet::{Packet, Ports, Protocol, Tcp, Transport};
use nftrace_core::record::{Device, DropSite, Kind, Record, Site};
use nftrace_journeys::{Names, NamespaceId};
use serde_json::Value;
use zerocopy::{FromBytes as _, IntoBytes as _};

use crate::pcapng::{Host, Writer};

/// `web` and the host; a third namespace has no name.
pub(super) struct Named;

impl Names for Named {
    fn name(&self, namespace: &NamespaceId) -> Option<String> {
        match namespace.cookie()? {
            1 => Some("host".into()),
            7 => Some("web".into()),
            _ => None,
        }
    }
}

pub(super) fn device(name: &str) -> Device {
    let mut bytes = [0; 16];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    Device {
        index: 1,
        name: bytes,
    }
}

pub(super) fn site(hook: Hook, cookie: u64, dev: &str) -> Site {
    Site {
        kind: Kind::Entry,
        hook,
        family: Family::Ipv4,
        time: 1_000_000_000,
        cookie,
        inode: 4_026_531_000 + u32::try_from(cookie).unwrap(),
        dev: device(dev),
        input: device(dev),
        output: Device::NONE,
        skb: 0x5f3a_9c10,
        len: 60,
        mark: 0,
        gso_segs: 0,
        cpu: 3,
        conntrack: None,
        socket: None,
        logged: false,
    }
}

pub(super) fn packet(src: &str, dst: &str, protocol: Protocol, transport: Transport) -> Packet {
    Packet {
        src: src.parse().unwrap(),
        dst: dst.parse().unwrap(),
        protocol,
        fragment: None,
        id: 0x1234,
        transport,
    }
}

pub(super) fn tcp(src: u16, dst: u16, flags: u8) -> Transport {
    Transport::Tcp(Tcp {
        ports: Ports { src, dst },
        seq: 1000,
        ack: 0,
        flags,
    })
}

pub(super) fn frame(site: &Site, packet: &Packet, lost: u64) -> Frame {
    Frame {
        position: 0,
        lost,
        record: Record::new(site, packet),
    }
}

/// What tshark says of each packet.
pub(super) fn tshark(frames: &[Frame]) -> Vec<Value> {
    let host = Host {
        command: "0.1.0".into(),
        kernel: "7.3.0".into(),
        realtime_offset: 1_700_000_000_000_000_000,
        ..Host::default()
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut writer = Writer::new(file.reopen().unwrap(), &host).unwrap();
    for frame in frames {
        writer.frame(frame, &Named).unwrap();
    }
    writer.finish().unwrap();
    let mut command = Command::new("tshark");
    for preference in ["ip", "tcp", "udp", "udplite"] {
        command.args(["-o", &format!("{preference}.check_checksum:TRUE")]);
    }
    let output = command
        .args(["--no-duplicate-keys", "-T", "json", "-r"])
        .arg(file.path())
        .output();
    let output = output.expect("tshark has to be installed");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    for complaint in ["_ws.malformed", "checksum_bad", "_ws.lua.error"] {
        assert!(!text.contains(complaint), "{text}");
    }
    let packets: Vec<Value> = serde_json::from_str(&text).unwrap();
    packets
        .into_iter()
        .map(|packet| packet["_source"]["layers"].clone())
        .collect()
}

#[track_caller]
pub(super) fn has(layer: &Value, fields: &[(&str, &str)]) {
    for (field, wanted) in fields {
        assert_eq!(layer[*field], **wanted, "{field} of {layer:#}");
    }
}

/// A drop as no module of now records it, but a recording may have it: the bit that says
/// that there are headers is not set. It is next to the one for the log.
pub(super) fn without_headers(site: &DropSite<'_>, packet: &Packet) -> Record {
    let record = |logged| Record::of_drop(&DropSite { logged, ..*site }, packet);
    let (plain, logged) = (record(false), record(true));
    let mut bytes = plain.as_bytes().to_vec();
    for (byte, other) in bytes.iter_mut().zip(logged.as_bytes()) {
        *byte &= !((*byte ^ other) >> 1);
    }
    let record = Record::read_from_bytes(&bytes).unwrap();
    assert!(plain.has_packet() && !record.has_packet());
    record
}
