// SPDX-License-Identifier: GPL-2.0

//! Records in a compact form, for the vectors.
//!
//! A record is a line `TIME NAMESPACE HOOK IN>OUT SRC>DST PROTOCOL KEY=VALUE…`: time in
//! microseconds, `-` for no device. The hook is `pre`, `lin`, `fwd`, `lout` or `post`, with
//! `.exit`, `.drop` or `.bridge` behind it.

use std::net::{IpAddr, SocketAddr};

use nftrace_core::abi::Frame;
use nftrace_core::hook::{Family, Hook};
use nftrace_core::lives::Death;
use nftrace_core::packet::{Fragment, Icmp, Packet, Ports, Protocol, Quoted, Tcp, Transport};
use nftrace_core::record::{
    Classic, Conntrack, ConntrackState, Device, DropSite, Kind, Record, Site, Verdict, V1,
};
use nftrace_journeys::{Input, Names, NamespaceId};

mod show;

pub(crate) use show::show;

/// The host's namespace has this inode number, others have the following ones.
const INIT_INODE: u32 = 4_026_531_833;

/// What a line of a vector stands for.
pub(crate) enum Item {
    Record(Box<Record>),
    Lost { time: u64, cpu: u16, records: u64 },
}

/// The records of a vector, with the names of its namespaces.
#[derive(Default)]
pub(crate) struct Vector {
    pub(crate) items: Vec<Item>,
    names: Vec<String>,
}

impl Names for Vector {
    fn name(&self, namespace: &NamespaceId) -> Option<String> {
        let index = namespace.inode()?.checked_sub(INIT_INODE)?;
        self.names.get(usize::try_from(index).ok()?).cloned()
    }
}

impl Vector {
    pub(crate) fn parse(text: &str) -> Self {
        let mut vector = Self {
            names: vec!["host".to_owned()],
            ..Self::default()
        };
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                let item = vector
                    .item(line)
                    .unwrap_or_else(|| panic!("cannot be read: {line}"));
                vector.items.push(item);
            }
        }
        vector
    }

    fn namespace(&mut self, name: &str) -> u32 {
        let index = self.names.iter().position(|known| known == name);
        let index = index.unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        u32::try_from(index).unwrap()
    }

    fn item(&mut self, line: &str) -> Option<Item> {
        let mut words = line.split_whitespace();
        let time = words.next()?.parse::<u64>().ok()? * 1000;
        let name = words.next()?;
        if name == "lost" {
            return Some(Item::Lost {
                time,
                records: words.next()?.parse().ok()?,
                cpu: words.next().map_or(Some(0), |cpu| cpu.parse().ok())?,
            });
        }
        let index = self.namespace(name);
        let mut hook = words.next()?.split('.');
        let site_hook = hook_of(hook.next()?)?;
        let marks: Vec<&str> = hook.collect();
        let (input, output) = words.next()?.split_once('>')?;
        let (src, dst) = words.next()?.split_once('>')?;
        let protocol = words.next()?;
        let keys: Vec<(&str, &str)> = words
            .map(|word| word.split_once('='))
            .collect::<Option<_>>()?;
        let key = |name: &str| {
            keys.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| *value)
        };
        let number = |name: &str| key(name).map_or(0, |value| value.parse().unwrap());
        let packet = packet(src, dst, protocol, &key)?;
        let family = match (marks.contains(&"bridge"), packet.src) {
            (true, _) => Family::Bridge,
            (false, IpAddr::V4(_)) => Family::Ipv4,
            (false, IpAddr::V6(_)) => Family::Ipv6,
        };
        let dev = match site_hook {
            Hook::PreRouting | Hook::LocalIn | Hook::Forward => input,
            Hook::LocalOut => "-",
            Hook::PostRouting => output,
        };
        let skb = u64::from_str_radix(key("skb")?, 16).ok()?;
        let len = key("len").map_or(60, |len| len.parse().unwrap());
        let cpu = u16::try_from(number("cpu")).ok()?;
        if marks.contains(&"drop") {
            let text = |name| key(name).unwrap_or_default().as_bytes();
            let site = DropSite {
                time,
                death: Death {
                    cookie: u64::from(index) + 1,
                    inode: INIT_INODE + index,
                    skb,
                    signature: 0,
                    hook: site_hook,
                    family,
                    len,
                },
                len,
                cpu,
                reason: 1,
                name: text("reason"),
                location: text("location"),
                logged: true,
            };
            let record = Record::of_drop(&site, &packet);
            return Some(Item::Record(Box::new(record)));
        }
        let mut record = Record::new(
            &Site {
                kind: if marks.contains(&"exit") {
                    Kind::Exit
                } else {
                    Kind::Entry
                },
                hook: site_hook,
                family,
                time,
                cookie: u64::from(index) + 1,
                inode: INIT_INODE + index,
                dev: device(key("dev").unwrap_or(dev)),
                input: device(input),
                output: device(output),
                skb,
                len,
                mark: number("mark"),
                gso_segs: u16::try_from(number("gso")).ok()?,
                cpu,
                conntrack: key("ct").map(|text| conntrack(text).unwrap()),
                socket: None,
                logged: true,
            },
            &packet,
        );
        if let Some(verdict) = key("verdict") {
            record.set_verdict(Verdict::from_name(verdict)?);
        }
        record.rule = number("rule");
        Some(Item::Record(Box::new(record)))
    }

    /// As frames of the ring.
    pub(crate) fn ring(&self) -> Vec<Input> {
        let frame = |lost, record| Frame {
            position: 0,
            lost,
            record,
        };
        self.items
            .iter()
            .flat_map(|item| match item {
                Item::Record(record) => Input::from_frame(&frame(0, **record)).collect::<Vec<_>>(),
                Item::Lost { time, cpu, records } => {
                    let mut record = Record::EMPTY;
                    (record.time, record.cpu) = (*time, *cpu);
                    Input::from_frame(&frame(*records, record)).collect()
                }
            })
            .collect()
    }

    /// As text of the kernel log, in version 1 or as classic blocks.
    pub(crate) fn log(&self, classic: bool) -> String {
        let mut text =
            format!("[    0.000001] nftrace: 0.1.0 loaded: init_net={INIT_INODE} namespaces=3\n");
        for item in &self.items {
            let (time, lines) = match item {
                Item::Record(record) if classic => (
                    record.time,
                    Classic {
                        record,
                        init_inode: INIT_INODE,
                    }
                    .to_string(),
                ),
                Item::Record(record) => (record.time, V1(record).to_string()),
                Item::Lost { time, cpu, records } => (
                    *time,
                    format!("lost {records} records on CPU {cpu}: its ring was full"),
                ),
            };
            let micros = time / 1000;
            for line in lines.lines() {
                let (whole, rest) = (micros / 1_000_000, micros % 1_000_000);
                text += &format!("[{whole:5}.{rest:06}] nftrace: {line}\n");
            }
        }
        text
    }
}

fn hook_of(text: &str) -> Option<Hook> {
    Some(match text {
        "pre" => Hook::PreRouting,
        "lin" => Hook::LocalIn,
        "fwd" => Hook::Forward,
        "lout" => Hook::LocalOut,
        "post" => Hook::PostRouting,
        _ => return None,
    })
}

fn device(name: &str) -> Device {
    let mut device = Device::NONE;
    if name != "-" {
        device.name[..name.len()].copy_from_slice(name.as_bytes());
    }
    device
}

fn end(text: &str) -> Option<(IpAddr, Option<u16>)> {
    match text.parse::<SocketAddr>() {
        Ok(end) => Some((end.ip(), Some(end.port()))),
        Err(_) => Some((text.parse().ok()?, None)),
    }
}

fn ends(src: &str, dst: &str) -> Option<(IpAddr, IpAddr, Option<Ports>)> {
    let ((src, src_port), (dst, dst_port)) = (end(src)?, end(dst)?);
    let ports = src_port.zip(dst_port).map(|(src, dst)| Ports { src, dst });
    Some((src, dst, ports))
}

fn packet<'a>(
    src: &str,
    dst: &str,
    protocol: &str,
    key: &impl Fn(&str) -> Option<&'a str>,
) -> Option<Packet> {
    let (src, dst, ports) = ends(src, dst)?;
    let number = |name: &str| key(name).map_or(0, |value| value.parse().unwrap());
    let (name, detail) = protocol.split_once(':').unwrap_or((protocol, ""));
    let protocol = (0..=255).map(Protocol).find(|p| p.name() == Some(name))?;
    let transport = match ports {
        Some(ports) if name == "tcp" => Transport::Tcp(Tcp {
            ports,
            seq: number("seq"),
            ack: number("ack"),
            flags: detail
                .chars()
                .map(|letter| 1 << "FSRPAUEC".find(letter).unwrap())
                .sum(),
        }),
        Some(ports) => Transport::Ports(ports),
        None if name.starts_with("icmp") => {
            let (kind, code) = detail.split_once('/')?;
            Transport::Icmp(Icmp {
                kind: kind.parse().ok()?,
                code: code.parse().ok()?,
                quoted: key("quoted").map(|text| {
                    let (protocol, text) = text.split_once(',').unwrap();
                    let (src, dst) = text.split_once('>').unwrap();
                    let (src, dst, ports) = ends(src, dst).unwrap();
                    let named = |p: &Protocol| p.name() == Some(protocol);
                    let protocol = (0..=255).map(Protocol).find(named).unwrap();
                    Quoted {
                        src,
                        dst,
                        protocol,
                        ports,
                    }
                }),
            })
        }
        None => Transport::None,
    };
    Some(Packet {
        src,
        dst,
        protocol,
        fragment: key("frag").map(|text| Fragment {
            offset: text.trim_end_matches('+').parse().unwrap(),
            more: text.ends_with('+'),
        }),
        id: number("id"),
        transport,
    })
}

/// `original:SRC>DST` or `reply:SRC>DST`, with the tuple of the connection's first packet.
fn conntrack(text: &str) -> Option<Conntrack> {
    let (direction, text) = text.split_once(':')?;
    let (src, dst) = text.split_once('>')?;
    let (src, dst, ports) = ends(src, dst)?;
    Some(Conntrack {
        id: 0,
        state: ConntrackState::Established,
        reply: direction == "reply",
        status: 0,
        src,
        dst,
        ports,
    })
}
