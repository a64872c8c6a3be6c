// SPDX-License-Identifier: GPL-2.0

//! Reads the lines that this module's parent prints. In userspace only: the kernel
//! never reads its own log, and libcore's parsers have panic paths.

use ::core::net::{IpAddr, Ipv4Addr};

use super::super::{
    address_bytes, has, Device, Endpoint, IcmpGroup, Kind, Record, Socket, SocketGroup, Verdict,
};
use super::{PREFIX, TCP_FLAGS};
use crate::hook::{Family, Hook};
use crate::packet::{Icmp, Ports, Protocol, Quoted};

/// Reads a line of the kernel log, with whatever stands before [`PREFIX`].
///
/// Keys that are not known, behind those that are, are passed over: a later
/// version may add some. What a line does not say (time, interface indexes,
/// sequence numbers) is zero in the record, and the uid of a socket of which only
/// the classid is known is `u32::MAX`.
///
/// Returns none for a line that is no record of version 1.
pub fn parse(line: &str) -> Option<Record> {
    let (_, text) = line.split_once(PREFIX)?;
    let mut words = text.split_ascii_whitespace();
    let mut value = |key: &str| words.next()?.strip_prefix(key)?.strip_prefix('=');

    let mut record = Record::EMPTY;
    record.hook = Hook::from_name(value("hook")?)?.number();
    record.family = Family::from_name(value("pf")?)?.number();
    record.inode = value("ns")?.parse().ok()?;
    record.cookie = value("cookie")?.parse().ok()?;
    let mut devices = [Device::NONE; 3];
    for (device, key) in devices.iter_mut().zip(["dev", "in", "out"]) {
        *device = parse_device(value(key)?)?;
    }
    record.names = devices.map(|device| device.name);
    record.kind = Kind::Entry as u8;
    let protocol = value("proto")?;
    let (src, dst) = (value("src")?, value("dst")?);
    if (protocol, src, dst) != ("-", "-", "-") {
        record.protocol = parse_protocol(protocol)?.0;
        let (src, dst, ports) = parse_ends(src, dst)?;
        record.has |= has::PACKET;
        if src.is_ipv6() {
            record.has |= has::IPV6;
        }
        record.src = address_bytes(src);
        record.dst = address_bytes(dst);
        if let Some(ports) = ports {
            (record.src_port, record.dst_port) = (ports.src, ports.dst);
            record.has |= has::PORTS;
        }
    }
    let flags = value("flags")?;
    if flags != "-" {
        record.tcp_flags = parse_tcp_flags(flags)?;
        record.has |= has::TCP;
    }
    record.len = value("len")?.parse().ok()?;
    record.skb = u64::from_str_radix(value("skb")?, 16).ok()?;
    record.mark = u32::from_str_radix(value("mark")?.strip_prefix("0x")?, 16).ok()?;
    record.set_verdict(Verdict::from_name(value("verdict")?)?);
    record.rule = match value("rule")? {
        "-" => 0,
        rule => rule.parse().ok()?,
    };

    let (mut reason, mut location) = (None, "");
    for word in words {
        match word.split_once('=') {
            Some(("at", "exit")) => record.kind = Kind::Exit as u8,
            Some(("drop", name)) => reason = Some(name),
            Some(("location", value)) => location = value,
            Some(("generation", value)) => record.generation = value.parse().ok()?,
            Some(("shadow", value)) => {
                record.rule = value.parse().ok()?;
                record.set_shadow();
            }
            Some(("classid", value)) => {
                let classid = u32::from_str_radix(value.strip_prefix("0x")?, 16).ok()?;
                record.has |= has::SOCKET;
                record.socket = SocketGroup::new(&Socket {
                    classid,
                    uid: u32::MAX,
                    cgroup: 0,
                });
            }
            Some(("frag", value)) => parse_fragment(&mut record, value)?,
            Some(("icmp", value)) => {
                let (kind, code) = value.split_once('/')?;
                let (kind, code) = (kind.parse().ok()?, code.parse().ok()?);
                set_icmp(
                    &mut record,
                    Icmp {
                        kind,
                        code,
                        quoted: None,
                    },
                );
            }
            Some(("quoted", value)) => {
                let quoted = Some(parse_quoted(value)?);
                let icmp = record.icmp.get(&record);
                set_icmp(&mut record, Icmp { quoted, ..icmp });
            }
            _ => {}
        }
    }
    if let Some(name) = reason {
        let text = |text| if text == "-" { "" } else { text };
        record.set_dropped(0, text(name).as_bytes(), text(location).as_bytes());
    }
    Some(record)
}

fn set_icmp(record: &mut Record, icmp: Icmp) {
    let (group, what) = IcmpGroup::new(&icmp);
    record.icmp = group;
    record.has |= what;
}

fn parse_device(text: &str) -> Option<Device> {
    let mut device = Device::NONE;
    if text == "-" {
        return Some(device);
    }
    let mut bytes = text.bytes();
    let mut name = device.name.iter_mut();
    while let Some(byte) = bytes.next() {
        *name.next()? = if byte == b'\\' {
            if bytes.next()? != b'x' {
                return None;
            }
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            u8::try_from(high.wrapping_mul(16).wrapping_add(low)).ok()?
        } else {
            byte
        };
    }
    device.name().is_some().then_some(device)
}

fn parse_protocol(text: &str) -> Option<Protocol> {
    match text.parse() {
        Ok(number) => Some(Protocol(number)),
        Err(_) => (0..=u8::MAX)
            .map(Protocol)
            .find(|protocol| protocol.name() == Some(text)),
    }
}

/// An address with or without a port.
fn parse_endpoint(text: &str) -> Option<Endpoint> {
    if let Ok(address) = text.parse() {
        return Some(Endpoint {
            address,
            port: None,
        });
    }
    let (address, port) = text.rsplit_once(':')?;
    let port = Some(port.parse().ok()?);
    let address: IpAddr = match address.strip_prefix('[') {
        Some(address) => IpAddr::V6(address.strip_suffix(']')?.parse().ok()?),
        None => IpAddr::V4(address.parse::<Ipv4Addr>().ok()?),
    };
    Some(Endpoint { address, port })
}

/// Both ends: of one family, and both with a port or both without.
fn parse_ends(src: &str, dst: &str) -> Option<(IpAddr, IpAddr, Option<Ports>)> {
    let (src, dst) = (parse_endpoint(src)?, parse_endpoint(dst)?);
    let ports = match (src.port, dst.port) {
        (Some(src), Some(dst)) => Some(Ports { src, dst }),
        (None, None) => None,
        _ => return None,
    };
    (src.address.is_ipv6() == dst.address.is_ipv6()).then_some((src.address, dst.address, ports))
}

fn parse_tcp_flags(text: &str) -> Option<u8> {
    if text == "0" {
        return Some(0);
    }
    text.chars().try_fold(0, |flags, letter| {
        let (bit, _) = TCP_FLAGS.into_iter().find(|(_, known)| *known == letter)?;
        Some(flags | bit)
    })
}

fn parse_fragment(record: &mut Record, text: &str) -> Option<()> {
    record.has |= has::FRAGMENT;
    let offset = match text.strip_suffix('+') {
        Some(offset) => {
            record.has |= has::MORE_FRAGMENTS;
            offset
        }
        None => text,
    };
    record.fragment_offset = offset.parse().ok()?;
    Some(())
}

fn parse_quoted(text: &str) -> Option<Quoted> {
    let (protocol, ends) = text.split_once(',')?;
    let (src, dst) = ends.split_once('>')?;
    let (src, dst, ports) = parse_ends(src, dst)?;
    Some(Quoted {
        src,
        dst,
        protocol: parse_protocol(protocol)?,
        ports,
    })
}
