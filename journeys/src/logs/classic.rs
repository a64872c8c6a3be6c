// SPDX-License-Identifier: GPL-2.0

//! The block of four lines, of the C module of old or of `format=classic`.
//!
//! ```text
//! ==================================================== LOCAL_OUT
//! DEV: (no dev), NS:           (null), INITNET: ffffffff8d911640
//! IN DEV: (null), NS:           (null), OUT DEV: eth0, NS: ffff9710acf85200
//! [3]: 172.17.0.4:41050->172.17.0.2:8080, skb: ffff9710e5e504f8
//! ```
//!
//! Whatever stands before these texts, and lines between, are passed over. Blocks that
//! several CPUs print at once are taken apart by what their lines have in common.

use std::net::{IpAddr, SocketAddr};

use nftrace_core::hook::{Family, Hook};
use nftrace_core::packet::{Packet, Ports, Protocol, Transport};
use nftrace_core::record::Kind;

use super::stamp;
use crate::observation::{Endpoint, Known, NamespaceId, Observation, Source};

/// The most blocks that are printed at once: one for each CPU, and no machine whose log is
/// of use has more.
const MOST: usize = 64;
/// A block whose next line does not come within so many lines is given up.
const LINES: usize = 256;

/// Blocks that have begun.
#[derive(Debug, Default)]
pub(super) struct Classic {
    blocks: Vec<Block>,
    lines: usize,
}

/// What the lines of a block told so far.
#[derive(Debug, Default)]
struct Block {
    hook: Option<Hook>,
    dev: Option<Dev>,
    ends: Option<(Dev, Dev)>,
    init: Option<NamespaceId>,
    time: Option<u64>,
    /// Where its last line stands.
    line: usize,
}

/// A device and its namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Dev {
    name: Option<String>,
    namespace: NamespaceId,
}

/// One line of a block.
enum Line {
    Rule(Hook),
    Dev(Dev, NamespaceId),
    Ends(Dev, Dev),
    Packet {
        hook: Hook,
        src: Endpoint,
        dst: Endpoint,
        skb: Option<u64>,
    },
}

impl Classic {
    /// Takes a line; the observation of a block that is complete with it.
    pub(super) fn line(&mut self, text: &str) -> Option<Observation> {
        self.lines += 1;
        let line = parse(text)?;
        let now = self.lines;
        self.blocks.retain(|block| now - block.line <= LINES);
        let found = match &line {
            Line::Rule(_) => None,
            line => self.blocks.iter().position(|block| block.takes(line)),
        };
        let mut block = match found {
            Some(index) => self.blocks.remove(index),
            None => Block::default(),
        };
        block.line = now;
        block.time = block.time.or_else(|| stamp::of(text));
        match line {
            Line::Rule(hook) => block.hook = Some(hook),
            Line::Dev(dev, init) => {
                block.dev = Some(dev);
                block.init = Some(init);
            }
            Line::Ends(input, output) => block.ends = Some((input, output)),
            Line::Packet {
                hook,
                src,
                dst,
                skb,
            } => return Some(block.observation(hook, src, dst, skb)),
        }
        if self.blocks.len() == MOST {
            self.blocks.remove(0);
        }
        let at = found.unwrap_or(self.blocks.len()).min(self.blocks.len());
        self.blocks.insert(at, block);
        None
    }
}

impl Block {
    /// Whether `line` can be the next one of the block.
    fn takes(&self, line: &Line) -> bool {
        match line {
            Line::Rule(_) => false,
            Line::Dev(dev, _) => {
                self.dev.is_none()
                    && self.ends.is_none()
                    && self
                        .hook
                        .is_none_or(|hook| hook != Hook::PreRouting || dev.name.is_some())
            }
            Line::Ends(input, output) => {
                self.dev.is_some() && self.ends.is_none() && self.fits(input, output)
            }
            Line::Packet { hook, .. } => {
                self.ends.is_some() && self.hook.is_none_or(|known| known == *hook)
            }
        }
    }

    /// Whether these are the devices of the block's hook, and the one that it named before is
    /// of their namespace.
    fn fits(&self, input: &Dev, output: &Dev) -> bool {
        let (has_input, has_output) = (input.name.is_some(), output.name.is_some());
        let hook = match self.hook {
            Some(Hook::PreRouting | Hook::LocalIn) => has_input && !has_output,
            Some(Hook::Forward) => has_input && has_output,
            Some(Hook::LocalOut) => has_output && !has_input,
            Some(Hook::PostRouting) => has_output,
            None => true,
        };
        let dev = self.dev.as_ref().is_none_or(|dev| {
            let foreign =
                |end: &Dev| end.namespace != NamespaceId::Unknown && end.namespace != dev.namespace;
            dev.namespace == NamespaceId::Unknown || !(foreign(input) || foreign(output))
        });
        hook && dev
    }

    fn observation(
        self,
        hook: Hook,
        src: Endpoint,
        dst: Endpoint,
        skb: Option<u64>,
    ) -> Observation {
        let (dev, (input, output)) = (self.dev, self.ends.unzip());
        let namespace = [&dev, &input, &output]
            .into_iter()
            .flatten()
            .map(|dev| dev.namespace)
            .find(|namespace| *namespace != NamespaceId::Unknown)
            .unwrap_or(NamespaceId::Unknown);
        let name = |dev: Option<Dev>| dev.and_then(|dev| dev.name);
        let v4 = src.address.is_ipv4();
        Observation {
            time: self.time,
            source: Source::Classic,
            namespace,
            init: namespace != NamespaceId::Unknown && self.init == Some(namespace),
            kind: Kind::Entry,
            hook: Some(hook),
            family: Some(if v4 { Family::Ipv4 } else { Family::Ipv6 }),
            dev: name(dev),
            input: name(input),
            output: name(output),
            packet: Some(Packet {
                src: src.address,
                dst: dst.address,
                protocol: Protocol(0),
                fragment: None,
                id: 0,
                transport: match src.port.zip(dst.port) {
                    Some((src, dst)) => Transport::Ports(Ports { src, dst }),
                    None => Transport::None,
                },
            }),
            known: Known::of(Source::Classic),
            skb,
            len: 0,
            mark: 0,
            gso_segs: 0,
            cpu: None,
            conntrack: None,
            socket: None,
            verdict: None,
            rule: 0,
            shadow: 0,
            generation: 0,
            dropped: None,
        }
    }
}

fn parse(text: &str) -> Option<Line> {
    if let Some((_, rest)) = text.split_once("IN DEV: ") {
        let (input, rest) = dev(rest)?;
        let (output, _) = dev(rest.strip_prefix("OUT DEV: ")?)?;
        return Some(Line::Ends(input, output));
    }
    if let Some((_, rest)) = text.split_once("DEV: ") {
        let (named, rest) = dev(rest)?;
        let init = rest.strip_prefix("INITNET: ")?;
        return Some(Line::Dev(named, namespace(first_word(init))));
    }
    if let Some((_, rest)) = text.split_once("==========") {
        let rest = rest.trim_start_matches('=').trim_start();
        return Hook::from_name(first_word(rest)).map(Line::Rule);
    }
    packet(text)
}

fn first_word(text: &str) -> &str {
    text.trim_start()
        .split(|letter: char| letter.is_ascii_whitespace() || letter == ',')
        .next()
        .unwrap_or_default()
}

/// `eth0, NS: ffff9710acf85200, `: the device, and what stands behind.
fn dev(text: &str) -> Option<(Dev, &str)> {
    let (name, rest) = text.split_once(", NS:")?;
    let rest = rest.trim_start();
    let value = first_word(rest);
    let behind = rest.get(value.len()..)?;
    let behind = behind.strip_prefix(',').unwrap_or(behind).trim_start();
    let name = name.trim();
    let none = matches!(name, "(no dev)" | "(null)" | "" | "-");
    let dev = Dev {
        name: (!none).then(|| name.to_owned()),
        namespace: namespace(value),
    };
    Some((dev, behind))
}

/// A pointer, as `%p` prints it, or an inode number. Those are decimal and as long as no
/// pointer is.
fn namespace(text: &str) -> NamespaceId {
    let decimal = !text.starts_with('0') && !matches!(text.len(), 8 | 16);
    match text.parse() {
        Ok(inode) if decimal => NamespaceId::Inode(inode),
        _ => pointer(text).map_or(NamespaceId::Unknown, NamespaceId::Pointer),
    }
}

fn pointer(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    u64::from_str_radix(digits, 16)
        .ok()
        .filter(|value| *value != 0)
}

/// `[3]: 172.17.0.4:41050->172.17.0.2:8080, skb: ffff9710e5e504f8`
fn packet(text: &str) -> Option<Line> {
    let (number, rest) = text.match_indices("]: ").find_map(|(at, end)| {
        let number = text.get(..at)?.rsplit('[').next()?;
        let rest = text.get(at + end.len()..)?;
        Some((number.parse().ok()?, rest)).filter(|_| rest.contains("->"))
    })?;
    let (src, rest) = rest.split_once("->")?;
    let (dst, rest) = rest.split_once(',').unwrap_or((rest, ""));
    let skb = rest.trim_start().strip_prefix("skb:").map(first_word);
    let (src, dst) = (endpoint(src)?, endpoint(dst)?);
    if src.address.is_ipv4() != dst.address.is_ipv4() || src.port.is_some() != dst.port.is_some() {
        return None;
    }
    Some(Line::Packet {
        hook: Hook::from_number(number)?,
        src,
        dst,
        skb: skb.and_then(pointer),
    })
}

fn endpoint(text: &str) -> Option<Endpoint> {
    let text = text.trim();
    text.parse::<IpAddr>()
        .map(|address| Endpoint::new(address, None))
        .or_else(|_| {
            text.parse::<SocketAddr>()
                .map(|both| Endpoint::new(both.ip(), Some(both.port())))
        })
        .ok()
}
