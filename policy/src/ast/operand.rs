// SPDX-License-Identifier: GPL-2.0

//! What clauses compare with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `[not] X` or `[not] { X, … }`: one of the items; with `not` none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operand<T> {
    /// Whether it is negated as a whole.
    pub not: bool,
    /// The items.
    pub items: Vec<T>,
}

impl<T> Operand<T> {
    /// One of these.
    #[must_use]
    pub fn of(items: impl IntoIterator<Item = T>) -> Self {
        Self {
            not: false,
            items: items.into_iter().collect(),
        }
    }

    /// None of these.
    #[must_use]
    pub fn not(items: impl IntoIterator<Item = T>) -> Self {
        Self {
            not: true,
            ..Self::of(items)
        }
    }
}

/// Addresses in a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An address, a prefix, a range.
    Range(AddressRange),
    /// `@NAME`
    Set(String),
    /// `container:NAME`: the addresses of a container.
    Container(String),
    /// `netns:NAME`: the addresses in a namespace of `ip netns`.
    Netns(String),
    /// `pid:N`: the addresses in a process's namespace.
    Pid(u32),
}

/// Why a range is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeError {
    /// The last comes before the first.
    Reversed,
    /// From IPv4 to IPv6.
    TwoFamilies,
    /// The prefix is longer than an address.
    TooLong,
    /// Bits are set behind the prefix.
    HostBits,
}

/// An address, a prefix or a range of addresses of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

impl From<IpAddr> for AddressRange {
    fn from(address: IpAddr) -> Self {
        Self {
            first: address,
            last: address,
        }
    }
}

impl AddressRange {
    /// From one address to another.
    ///
    /// # Errors
    ///
    /// Where they are of two families, or the last comes before the first.
    pub fn new(first: IpAddr, last: IpAddr) -> Result<Self, RangeError> {
        if first.is_ipv4() != last.is_ipv4() {
            Err(RangeError::TwoFamilies)
        } else if first > last {
            Err(RangeError::Reversed)
        } else {
            Ok(Self { first, last })
        }
    }

    /// A prefix.
    ///
    /// # Errors
    ///
    /// Where it is too long, or bits are set behind it: [`AddressRange::network`] clears them.
    pub fn prefix(address: IpAddr, length: u8) -> Result<Self, RangeError> {
        let range = Self::network(address, length).ok_or(RangeError::TooLong)?;
        if range.first == address {
            Ok(range)
        } else {
            Err(RangeError::HostBits)
        }
    }

    /// The prefix of that length which the address is in.
    #[must_use]
    pub fn network(address: IpAddr, length: u8) -> Option<Self> {
        Some(match address {
            IpAddr::V4(address) => {
                let host = u32::try_from(host_bits(32, length)?).ok()?;
                let bits = u32::from(address);
                Self {
                    first: Ipv4Addr::from(bits & !host).into(),
                    last: Ipv4Addr::from(bits | host).into(),
                }
            }
            IpAddr::V6(address) => {
                let host = host_bits(128, length)?;
                let bits = u128::from(address);
                Self {
                    first: Ipv6Addr::from(bits & !host).into(),
                    last: Ipv6Addr::from(bits | host).into(),
                }
            }
        })
    }

    /// The first address.
    #[must_use]
    pub fn first(self) -> IpAddr {
        self.first
    }

    /// The last address.
    #[must_use]
    pub fn last(self) -> IpAddr {
        self.last
    }

    /// The length of the prefix that it is, if it is one.
    #[must_use]
    pub fn prefix_length(self) -> Option<u8> {
        let (differing, width) = match (self.first, self.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                (u128::from(u32::from(first) ^ u32::from(last)), 32)
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => (u128::from(first) ^ u128::from(last), 128),
            _ => return None,
        };
        let host = 128 - u8::try_from(differing.leading_zeros()).ok()?;
        let length = width - host;
        (Self::network(self.first, length)? == self).then_some(length)
    }
}

/// The bits behind a prefix of an address of `width` bits.
fn host_bits(width: u8, length: u8) -> Option<u128> {
    let host = u32::from(width.checked_sub(length)?);
    Some(u128::MAX.checked_shr(128 - host).unwrap_or(0))
}

/// Ports in a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// A port or a range.
    Range(PortRange),
    /// `@NAME`
    Set(String),
}

/// A port, or a range of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl From<u16> for PortRange {
    fn from(port: u16) -> Self {
        Self {
            first: port,
            last: port,
        }
    }
}

impl PortRange {
    /// From one port to another.
    ///
    /// # Errors
    ///
    /// Where the last comes before the first.
    pub fn new(first: u16, last: u16) -> Result<Self, RangeError> {
        if first > last {
            Err(RangeError::Reversed)
        } else {
            Ok(Self { first, last })
        }
    }

    /// The first port.
    #[must_use]
    pub fn first(self) -> u16 {
        self.first
    }

    /// The last port.
    #[must_use]
    pub fn last(self) -> u16 {
        self.last
    }
}

/// A user, or a range of users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdRange {
    first: u32,
    last: u32,
}

impl From<u32> for IdRange {
    fn from(id: u32) -> Self {
        Self {
            first: id,
            last: id,
        }
    }
}

impl IdRange {
    /// From one to another.
    ///
    /// # Errors
    ///
    /// Where the last comes before the first.
    pub fn new(first: u32, last: u32) -> Result<Self, RangeError> {
        if first > last {
            Err(RangeError::Reversed)
        } else {
            Ok(Self { first, last })
        }
    }

    /// The first one.
    #[must_use]
    pub fn first(self) -> u32 {
        self.first
    }

    /// The last one.
    #[must_use]
    pub fn last(self) -> u32 {
        self.last
    }
}

/// A device's name, or its beginning: `veth*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Device {
    /// The name, without the star.
    pub name: String,
    /// Whether other names begin so.
    pub any_end: bool,
}

impl Device {
    /// Why no device has this name, or one that begins so, and what to do; none: one may.
    pub(crate) fn problem(name: &str) -> Option<(&'static str, &'static str)> {
        if name.is_empty() {
            Some((
                "a device's name is missing",
                "leave the clause out for any device",
            ))
        } else if name.len() > 15 {
            Some((
                "a device's name has at most 15 bytes",
                "`veth*` stands for all that begin so",
            ))
        } else if name.contains(['/', '\0']) || name.contains(char::is_whitespace) {
            Some(("no device has such a name", "`ip link` shows them"))
        } else {
            None
        }
    }
}

/// A namespace as a rule says it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NamespaceSpec {
    /// `host`: the one of the machine's first process.
    Host,
    /// `all`
    All,
    /// `container:NAME`
    Container(String),
    /// `netns:NAME`: as `ip netns` names it.
    Netns(String),
    /// `pid:N`: the one of a process.
    Pid(u32),
    /// `path "FILE"`: as `/proc/1/ns/net`.
    Path(String),
    /// `cookie:N`: its identity in the kernel.
    Cookie(u64),
    /// `inode:N`: as `lsns` shows it.
    Inode(u64),
}
