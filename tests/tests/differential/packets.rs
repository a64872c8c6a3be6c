// SPDX-License-Identifier: GPL-2.0

//! Packets near the boundaries of rules, each of another length than all others of its
//! family: by that they are told apart when they have come through.

use std::time::Duration;

use nftrace_tests::checksum::checksum;
use nftrace_tests::random::Random;
use pcap_file::pcap::{PcapPacket, PcapWriter};

use super::model::{address, near, small, Family, Operand, Policy, OWN};

/// Bytes behind the network header of the first packet; each has one more.
const LEAST: u16 = 40;

#[derive(Clone, Debug)]
pub(crate) enum Transport {
    Udp { from: u16, to: u16 },
    Tcp { from: u16, to: u16, flags: u8 },
    Icmp { kind: u8, code: u8 },
}

#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) family: Family,
    pub(crate) src: u16,
    pub(crate) dst: u16,
    pub(crate) transport: Transport,
}

/// What rules are about.
struct Interesting {
    addresses: Vec<u16>,
    ports: Vec<u16>,
}

impl Interesting {
    fn of(policy: &Policy) -> Self {
        let mut all = Self {
            addresses: OWN.to_vec(),
            ports: vec![1, 9],
        };
        for rule in &policy.rules {
            let addresses = [&rule.from, &rule.to].into_iter().flatten();
            all.addresses
                .extend(addresses.flat_map(Operand::boundaries));
            let ports = [&rule.from_port, &rule.to_port, &rule.port];
            all.ports
                .extend(ports.into_iter().flatten().flat_map(Operand::boundaries));
        }
        all.ports.retain(|port| *port != 0);
        all
    }

    /// A source is not one of those that `mid` has itself: that would be from Mars.
    fn source(&self, random: &mut Random) -> u16 {
        loop {
            let number = near(random, &self.addresses);
            if !OWN.contains(&number) {
                return number;
            }
        }
    }

    fn destination(&self, random: &mut Random) -> u16 {
        match random.below(3) {
            0 => *random.pick(&OWN),
            _ => near(random, &self.addresses),
        }
    }

    fn port(&self, random: &mut Random) -> u16 {
        match random.below(3) {
            0 => 1 + small(random, 60),
            _ => *random.pick(&self.ports),
        }
    }

    fn transport(&self, random: &mut Random, family: Family) -> Transport {
        match random.below(5) {
            0 => {
                let types: &[u8] = match family {
                    Family::V4 => &[8, 0, 13, 14],
                    Family::V6 => &[128, 129, 200, 201],
                };
                Transport::Icmp {
                    kind: *random.pick(types),
                    code: u8::from(random.one_in(3)),
                }
            }
            1 | 2 => Transport::Udp {
                from: self.port(random),
                to: self.port(random),
            },
            _ => Transport::Tcp {
                from: self.port(random),
                to: self.port(random),
                flags: *random.pick(&[0x02, 0x02, 0x12, 0x10, 0x11, 0x04, 0x14, 0x00, 0x29, 0x3f]),
            },
        }
    }
}

/// So many packets, some of which answer the one before.
pub(crate) fn packets(random: &mut Random, policy: &Policy, count: usize) -> Vec<Packet> {
    let interesting = Interesting::of(policy);
    let mut all: Vec<Packet> = Vec::new();
    while all.len() < count {
        let before = all.last().filter(|before| !OWN.contains(&before.dst));
        if let Some(answer) = before.and_then(answer).filter(|_| random.one_in(8)) {
            all.push(answer);
            continue;
        }
        let family = if random.one_in(2) {
            Family::V4
        } else {
            Family::V6
        };
        all.push(Packet {
            family,
            src: interesting.source(random),
            dst: interesting.destination(random),
            transport: interesting.transport(random, family),
        });
    }
    all
}

fn answer(packet: &Packet) -> Option<Packet> {
    let transport = match packet.transport {
        Transport::Udp { from, to } => Transport::Udp { from: to, to: from },
        Transport::Tcp {
            from,
            to,
            flags: 0x02,
        } => Transport::Tcp {
            from: to,
            to: from,
            flags: 0x12,
        },
        _ => return None,
    };
    Some(Packet {
        family: packet.family,
        src: packet.dst,
        dst: packet.src,
        transport,
    })
}

impl Packet {
    /// Its length, as the network header tells it.
    pub(crate) fn length(family: Family, number: usize) -> u16 {
        let behind = LEAST + u16::try_from(number).expect("few packets");
        match family {
            Family::V4 => 20 + behind,
            Family::V6 => behind,
        }
    }

    fn addresses(&self) -> Vec<u8> {
        let octets = |number| {
            let text = address(self.family, number);
            match text.parse().expect("an address") {
                std::net::IpAddr::V4(address) => address.octets().to_vec(),
                std::net::IpAddr::V6(address) => address.octets().to_vec(),
            }
        };
        [octets(self.src), octets(self.dst)].concat()
    }

    fn protocol(&self) -> u8 {
        match (&self.transport, self.family) {
            (Transport::Udp { .. }, _) => 17,
            (Transport::Tcp { .. }, _) => 6,
            (Transport::Icmp { .. }, Family::V4) => 1,
            (Transport::Icmp { .. }, Family::V6) => 58,
        }
    }

    /// What is behind the network header, so many bytes.
    fn segment(&self, number: u16) -> Vec<u8> {
        let len = LEAST + number;
        let (mut bytes, at) = match self.transport {
            Transport::Udp { from, to } => {
                let words = [from, to, len, 0];
                (words.map(u16::to_be_bytes).concat(), 6)
            }
            Transport::Tcp { from, to, flags } => {
                let mut bytes = [from, to, 0, 1000 + number, 0, 0]
                    .map(u16::to_be_bytes)
                    .concat();
                bytes.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
                (bytes, 16)
            }
            Transport::Icmp { kind, code } => {
                let mut bytes = vec![kind, code, 0, 0];
                bytes.extend([number, 1].map(u16::to_be_bytes).concat());
                (bytes, 2)
            }
        };
        bytes.resize(len.into(), 0x5a);
        let addresses = self.addresses();
        let pseudo = [0, self.protocol()];
        let sum = if self.protocol() == 1 {
            checksum(&[&bytes])
        } else {
            checksum(&[&addresses, &pseudo, &len.to_be_bytes(), &bytes])
        };
        bytes[at..at + 2].copy_from_slice(&sum);
        bytes
    }

    fn frame(&self, number: u16) -> Vec<u8> {
        let segment = self.segment(number);
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        match self.family {
            Family::V4 => {
                let [high, low] = Self::length(self.family, number.into()).to_be_bytes();
                let mut header = vec![0x45, 0, high, low, 0, 0, 0x40, 0, 64, self.protocol(), 0, 0];
                header.extend(self.addresses());
                let sum = checksum(&[&header]);
                header[10..12].copy_from_slice(&sum);
                frame.extend([0x08, 0x00]);
                frame.extend(header);
            }
            Family::V6 => {
                let [high, low] = Self::length(self.family, number.into()).to_be_bytes();
                frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, high, low, self.protocol(), 64]);
                frame.extend(self.addresses());
            }
        }
        frame.extend(segment);
        frame
    }
}

/// A file for tcpreplay.
pub(crate) fn pcap(packets: &[Packet]) -> Vec<u8> {
    let mut writer = PcapWriter::new(Vec::new()).expect("memory");
    for (number, packet) in (0_u16..).zip(packets) {
        let frame = packet.frame(number);
        let len = u32::try_from(frame.len()).expect("short");
        let packet = PcapPacket::new(Duration::from_millis(number.into()), len, &frame);
        writer.write_packet(&packet).expect("memory");
    }
    writer.into_writer()
}
