// SPDX-License-Identifier: GPL-2.0

//! Where in the stack a packet was seen: hook and family, by netfilter's numbers and names.

/// A netfilter hook. The bridge family's hooks have the same numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Hook {
    /// A packet arrived at a device; routing comes next.
    PreRouting = 0,
    /// Routed to a socket of this namespace.
    LocalIn = 1,
    /// Routed from one device to another.
    Forward = 2,
    /// Sent by a socket of this namespace.
    LocalOut = 3,
    /// About to leave through a device.
    PostRouting = 4,
}

impl Hook {
    /// All hooks, by number.
    pub const ALL: [Self; 5] = [
        Self::PreRouting,
        Self::LocalIn,
        Self::Forward,
        Self::LocalOut,
        Self::PostRouting,
    ];

    /// The hook of netfilter's number, `NF_INET_PRE_ROUTING` (0) to `NF_INET_POST_ROUTING` (4).
    #[inline]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::PreRouting),
            1 => Some(Self::LocalIn),
            2 => Some(Self::Forward),
            3 => Some(Self::LocalOut),
            4 => Some(Self::PostRouting),
            _ => None,
        }
    }

    /// Netfilter's number.
    #[inline]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The name, as in `PRE_ROUTING`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PreRouting => "PRE_ROUTING",
            Self::LocalIn => "LOCAL_IN",
            Self::Forward => "FORWARD",
            Self::LocalOut => "LOCAL_OUT",
            Self::PostRouting => "POST_ROUTING",
        }
    }

    /// The hook of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hook| hook.name() == name)
    }
}

/// The protocol family whose hook it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Family {
    /// `NFPROTO_IPV4`.
    Ipv4 = 2,
    /// `NFPROTO_BRIDGE`: frames that a bridge switches, whatever they carry.
    Bridge = 7,
    /// `NFPROTO_IPV6`.
    Ipv6 = 10,
}

impl Family {
    /// All families that are hooked.
    pub const ALL: [Self; 3] = [Self::Ipv4, Self::Ipv6, Self::Bridge];

    /// The family of netfilter's number.
    #[inline]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            2 => Some(Self::Ipv4),
            7 => Some(Self::Bridge),
            10 => Some(Self::Ipv6),
            _ => None,
        }
    }

    /// Netfilter's number, `NFPROTO_…`.
    #[inline]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The name, as in `ipv4`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Bridge => "bridge",
        }
    }

    /// The family of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hook_and_family_is_found_by_its_number_and_its_name() {
        for hook in Hook::ALL {
            assert_eq!(Hook::from_number(hook.number()), Some(hook));
            assert_eq!(Hook::from_name(hook.name()), Some(hook));
        }
        for family in Family::ALL {
            assert_eq!(Family::from_number(family.number()), Some(family));
            assert_eq!(Family::from_name(family.name()), Some(family));
        }
        assert_eq!(Hook::from_number(5), None);
        assert_eq!(Family::from_number(0), None);
    }
}
