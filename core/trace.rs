// SPDX-License-Identifier: GPL-2.0

//! What is traced: the filter, as bytes that the command hands to the module, and
//! as what each packet is asked.
//!
//! The bytes are a [`Header`] and behind it as many [`Range`]s of ports, protocol
//! numbers, [`Prefix`]es, namespace cookies, device names and classic BPF
//! [`Instruction`]s as it says, and the text as which the user wrote it all. A
//! packet has to meet every kind of condition that is there, and of each kind one.

use ::core::net::IpAddr;

use zerocopy::FromBytes;
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::packet::{Packet, Ports, Transport};
use crate::ports::{PortList, PortRange, MAX_RANGES};
use crate::record::{Conntrack, Device};

/// The most bytes of a filter.
pub const MAX_SPEC: usize = 64 << 10;
/// The most prefixes, namespaces and devices.
pub const MAX_ITEMS: usize = 32;
/// The most instructions, as of the kernel (`BPF_MAXINSNS`).
pub const MAX_INSTRUCTIONS: usize = 4096;
/// The most bytes of the text.
pub const MAX_TEXT: usize = 4096;

/// Words of the bitmap of ports that a [`Filter`] needs.
pub const BITMAP_WORDS: usize = 65536 / 64;

/// In [`Header::flags`]: every packet is traced that meets the conditions, also where
/// there are none.
pub const ENABLED: u32 = 1;
/// In [`Header::flags`]: what is traced is a packet by itself, through all namespaces
/// and whatever NAT does to it, but not the connection that it belongs to.
pub const PACKETS_ONLY: u32 = 1 << 1;
/// In [`Header::flags`]: the kernel's log gets the records too.
pub const LOG: u32 = 1 << 2;

/// How many of each kind of condition follow.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Header {
    /// [`ENABLED`] and the like; 0: nothing is traced.
    pub flags: u32,
    /// Ranges of ports, up to [`MAX_RANGES`], `first` and `last` as `u16` each.
    pub ports: u32,
    /// Protocol numbers, up to 256, `u32` each.
    pub protocols: u32,
    /// Prefixes, up to [`MAX_ITEMS`].
    pub prefixes: u32,
    /// Cookies of namespaces, up to [`MAX_ITEMS`], `u64` each.
    pub namespaces: u32,
    /// Names of devices, up to [`MAX_ITEMS`], 16 bytes each.
    pub devices: u32,
    /// Instructions, up to [`MAX_INSTRUCTIONS`].
    pub instructions: u32,
    /// Bytes of text, up to [`MAX_TEXT`].
    pub text: u32,
}

/// Addresses of which the first bits are given.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Prefix {
    /// The address; one of IPv4 as `::ffff:a.b.c.d`.
    pub address: [u8; 16],
    /// How many bits of it count, up to 128; for IPv4 that is 96 more than usual.
    pub len: u32,
}

/// An instruction of classic BPF, as `struct sock_filter`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Instruction {
    /// What it does.
    pub code: u16,
    /// How many are skipped if its condition holds.
    pub jt: u8,
    /// How many if not.
    pub jf: u8,
    /// Its operand.
    pub k: u32,
}

/// A range of ports.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Range {
    /// The lowest port.
    pub first: u16,
    /// The highest one.
    pub last: u16,
}

/// What is wrong with the bytes of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpecError {
    /// There are fewer or more bytes than the header says.
    Length,
    /// More of something than there may be.
    TooMany,
    /// A prefix is longer than its address.
    Prefix,
    /// A range of ports ends before it starts, or has port 0.
    Range,
    /// A protocol number above 255.
    Protocol,
    /// A flag that this version does not know.
    Flag,
}

impl ::core::fmt::Display for SpecError {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        f.write_str(match self {
            Self::Length => "its length is not what its header says",
            Self::TooMany => "it has more conditions of a kind than there may be",
            Self::Prefix => "a prefix is longer than its address",
            Self::Range => "a range of ports ends before it starts, or has port 0",
            Self::Protocol => "a protocol number is above 255",
            Self::Flag => "it has a flag that this version of the module does not know",
        })
    }
}

/// The bytes of a filter, known to be what they should be.
#[derive(Clone, Copy, Debug)]
pub struct Spec<'a> {
    header: Header,
    ports: &'a [u8],
    protocols: &'a [u8],
    prefixes: &'a [u8],
    namespaces: &'a [u8],
    devices: &'a [u8],
    instructions: &'a [u8],
    text: &'a [u8],
}

/// The values of which `bytes` consists.
fn values<T: FromBytes>(mut bytes: &[u8]) -> impl Iterator<Item = T> + '_ {
    ::core::iter::from_fn(move || {
        let (value, rest) = T::read_from_prefix(bytes).ok()?;
        bytes = rest;
        Some(value)
    })
}

/// Takes `count` values of `T`, of which there may be `most`, off the front of `bytes`.
fn take<'a, T>(bytes: &mut &'a [u8], count: u32, most: usize) -> Result<&'a [u8], SpecError> {
    let count = usize::try_from(count).map_err(|_| SpecError::TooMany)?;
    if count > most {
        return Err(SpecError::TooMany);
    }
    let (taken, rest) = bytes
        .split_at_checked(count.wrapping_mul(size_of::<T>()))
        .ok_or(SpecError::Length)?;
    *bytes = rest;
    Ok(taken)
}

impl<'a> Spec<'a> {
    /// Looks at bytes from outside.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub fn new(bytes: &'a [u8]) -> Result<Self, SpecError> {
        let (header, mut rest) = Header::read_from_prefix(bytes).map_err(|_| SpecError::Length)?;
        let spec = Self {
            header,
            ports: take::<Range>(&mut rest, header.ports, MAX_RANGES)?,
            protocols: take::<u32>(&mut rest, header.protocols, 256)?,
            prefixes: take::<Prefix>(&mut rest, header.prefixes, MAX_ITEMS)?,
            namespaces: take::<u64>(&mut rest, header.namespaces, MAX_ITEMS)?,
            devices: take::<[u8; 16]>(&mut rest, header.devices, MAX_ITEMS)?,
            instructions: take::<Instruction>(&mut rest, header.instructions, MAX_INSTRUCTIONS)?,
            text: take::<u8>(&mut rest, header.text, MAX_TEXT)?,
        };
        if !rest.is_empty() {
            return Err(SpecError::Length);
        }
        if header.flags & !(ENABLED | PACKETS_ONLY | LOG) != 0 {
            return Err(SpecError::Flag);
        }
        if !spec.prefixes().all(|prefix| prefix.len <= 128) {
            return Err(SpecError::Prefix);
        }
        if !values::<Range>(spec.ports).all(|r| r.first != 0 && r.first <= r.last) {
            return Err(SpecError::Range);
        }
        if !spec.protocols().all(|protocol| protocol < 256) {
            return Err(SpecError::Protocol);
        }
        Ok(spec)
    }

    /// Whether anything is traced at all.
    pub fn is_enabled(&self) -> bool {
        self.header.flags & ENABLED != 0
    }

    /// Whether connections are followed.
    pub fn follows_flows(&self) -> bool {
        self.header.flags & PACKETS_ONLY == 0
    }

    /// Whether the kernel's log gets the records.
    pub fn is_logged(&self) -> bool {
        self.header.flags & LOG != 0
    }

    /// The ports.
    pub fn ports(&self) -> PortList {
        PortList::from_ranges(values::<Range>(self.ports).map(|range| PortRange {
            first: range.first,
            last: range.last,
        }))
    }

    /// The protocol numbers.
    pub fn protocols(&self) -> impl Iterator<Item = u32> + '_ {
        values(self.protocols)
    }

    /// The prefixes.
    pub fn prefixes(&self) -> impl Iterator<Item = Prefix> + '_ {
        values(self.prefixes)
    }

    /// The cookies of the namespaces.
    pub fn namespaces(&self) -> impl Iterator<Item = u64> + '_ {
        values(self.namespaces)
    }

    /// The names of the devices, padded with zeroes.
    pub fn devices(&self) -> impl Iterator<Item = [u8; 16]> + '_ {
        values(self.devices)
    }

    /// How many instructions there are.
    pub fn instruction_count(&self) -> usize {
        self.header.instructions as usize
    }

    /// The program that a packet is given besides.
    pub fn instructions(&self) -> impl Iterator<Item = Instruction> + '_ {
        values(self.instructions)
    }

    /// The text as which the user wrote it.
    pub fn text(&self) -> &'a [u8] {
        self.text
    }
}

/// Bytes of a filter that has only ports: room for the most.
pub const PORTS_SPEC: usize = size_of::<Header>() + MAX_RANGES * size_of::<Range>();

/// Writes the filter that has only these ports (and traces nothing where there are
/// none) into `out`; returns how long it is.
pub fn write_ports(list: &PortList, out: &mut [u8; PORTS_SPEC]) -> usize {
    use zerocopy::IntoBytes as _;
    let header = Header {
        flags: if list.is_empty() { 0 } else { ENABLED | LOG },
        ports: u32::try_from(list.ranges().len()).unwrap_or(0),
        ..Header::default()
    };
    let mut len = 0_usize;
    let mut push = |bytes: &[u8]| {
        for byte in bytes {
            if let Some(to) = out.get_mut(len) {
                *to = *byte;
            }
            len = len.wrapping_add(1);
        }
    };
    push(header.as_bytes());
    for range in list.ranges() {
        let (first, last) = (range.first, range.last);
        push(Range { first, last }.as_bytes());
    }
    len.min(PORTS_SPEC)
}

/// What surrounds a packet, for the conditions that are not about its headers.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The cookie of the namespace.
    pub cookie: u64,
    /// The devices of the hook.
    pub devices: &'a [Device],
    /// The connection.
    pub conntrack: Option<&'a Conntrack>,
}

/// A filter, ready to be asked. `B` is a bitmap of [`BITMAP_WORDS`] words.
#[derive(Debug)]
pub struct Filter<B> {
    /// Whether nothing but ports is asked for.
    pub is_of_ports: bool,
    bitmap: Option<B>,
    list: PortList,
    protocols: Option<[u64; 4]>,
    prefixes: Items<Prefix>,
    namespaces: Items<u64>,
    devices: Items<[u8; 16]>,
}

/// A few values.
#[derive(Debug)]
struct Items<T> {
    values: [T; MAX_ITEMS],
    len: usize,
}

impl<T: Copy> Items<T> {
    fn new(from: impl Iterator<Item = T>, blank: T) -> Self {
        let mut items = Self {
            values: [blank; MAX_ITEMS],
            len: 0,
        };
        for (to, value) in items.values.iter_mut().zip(from) {
            *to = value;
            items.len = items.len.wrapping_add(1);
        }
        items
    }

    /// Whether there is none, or one for which `test` holds.
    #[inline]
    fn allow(&self, test: impl Fn(&T) -> bool) -> bool {
        // A slice, since `take()` counts with overflow checks.
        self.len == 0
            || self
                .values
                .get(..self.len)
                .is_some_and(|v| v.iter().any(test))
    }
}

impl Prefix {
    fn has(&self, address: IpAddr) -> bool {
        let address = match address {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        let differs = u128::from_be_bytes(self.address) ^ u128::from(address);
        // A shift by all 128 bits is none in Rust.
        self.len == 0 || differs.wrapping_shr(128_u32.wrapping_sub(self.len)) == 0
    }
}

impl<B: AsRef<[u64]> + AsMut<[u64]>> Filter<B> {
    /// The filter of a spec, whose ports are put into `bitmap`, which is all zeroes.
    pub fn new(spec: &Spec<'_>, mut bitmap: B) -> Self {
        let list = spec.ports();
        for range in list.ranges() {
            for port in range.first..=range.last {
                if let Some(word) = bitmap.as_mut().get_mut(usize::from(port >> 6)) {
                    *word |= bit(port);
                }
            }
        }
        let mut protocols = None;
        for protocol in spec.protocols() {
            let words = protocols.get_or_insert([0_u64; 4]);
            if let Some(word) = words.get_mut((protocol >> 6) as usize) {
                *word |= 1_u64.wrapping_shl(protocol & 63);
            }
        }
        let header = &spec.header;
        Self {
            is_of_ports: [
                header.protocols,
                header.prefixes,
                header.namespaces,
                header.devices,
            ] == [0; 4],
            bitmap: (!list.is_empty()).then_some(bitmap),
            list,
            protocols,
            prefixes: Items::new(spec.prefixes(), Prefix::default()),
            namespaces: Items::new(spec.namespaces(), 0),
            devices: Items::new(spec.devices(), [0; 16]),
        }
    }

    /// Whether [`Surroundings::devices`] are looked at.
    pub fn needs_devices(&self) -> bool {
        self.devices.len != 0
    }

    /// The ports.
    pub fn list(&self) -> &PortList {
        &self.list
    }

    /// Whether no packet with these ports meets the conditions, whatever else it is.
    #[inline(always)]
    pub fn refuses(&self, ports: Ports) -> bool {
        self.bitmap
            .as_ref()
            .is_some_and(|bitmap| !has_either(bitmap.as_ref(), ports))
    }

    /// Whether the packet meets all conditions but those of the program.
    ///
    /// A later fragment has no ports and meets no condition about them; see
    /// [`crate::recent`]. An ICMP error has those of the packet that it quotes,
    /// and a packet of a connection those that the connection began with.
    #[inline]
    pub fn matches(&self, packet: &Packet, around: &Surroundings<'_>) -> bool {
        self.allows_ports(packet, around)
            && self.protocols.is_none_or(|words| {
                let number = packet.protocol.0;
                words
                    .get(usize::from(number >> 6))
                    .is_some_and(|word| word & bit(number.into()) != 0)
            })
            && self
                .prefixes
                .allow(|prefix| allows_address(prefix, packet, around))
            && self.namespaces.allow(|cookie| *cookie == around.cookie)
            && self
                .devices
                .allow(|name| around.devices.iter().any(|device| device.name == *name))
    }

    #[inline]
    fn allows_ports(&self, packet: &Packet, around: &Surroundings<'_>) -> bool {
        let Some(bitmap) = &self.bitmap else {
            return true;
        };
        let either = |ports| has_either(bitmap.as_ref(), ports);
        let own = match packet.transport {
            Transport::Tcp(tcp) => either(tcp.ports),
            Transport::Ports(ports) => either(ports),
            Transport::Icmp(icmp) => icmp
                .quoted
                .and_then(|quoted| quoted.ports)
                .is_some_and(either),
            Transport::None => false,
        };
        own || around
            .conntrack
            .and_then(|conntrack| conntrack.ports)
            .is_some_and(either)
    }
}

fn allows_address(prefix: &Prefix, packet: &Packet, around: &Surroundings<'_>) -> bool {
    let either = |src, dst| prefix.has(src) || prefix.has(dst);
    if either(packet.src, packet.dst) {
        return true;
    }
    if let Transport::Icmp(icmp) = packet.transport {
        if icmp
            .quoted
            .is_some_and(|quoted| either(quoted.src, quoted.dst))
        {
            return true;
        }
    }
    around
        .conntrack
        .is_some_and(|conntrack| either(conntrack.src, conntrack.dst))
}

/// Whether a bitmap of ports has one of these.
#[inline(always)]
fn has_either(bitmap: &[u64], ports: Ports) -> bool {
    // Checked once for both.
    let Some(bitmap) = bitmap.first_chunk::<BITMAP_WORDS>() else {
        return false;
    };
    let has = |port: u16| {
        bitmap
            .get(usize::from(port >> 6))
            .is_some_and(|word| word & bit(port) != 0)
    };
    has(ports.src) || has(ports.dst)
}

#[inline]
fn bit(port: u16) -> u64 {
    1_u64.wrapping_shl(u32::from(port & 63))
}

#[cfg(test)]
mod tests;
