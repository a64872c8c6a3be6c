// SPDX-License-Identifier: GPL-2.0

//! The addresses of a namespace.

use std::fs::File;
use std::io;
use std::net::IpAddr;

use netlink_sys::protocols::NETLINK_ROUTE;

use super::{enter, Namespace};
use crate::netlink::{self, attributes, Dumper};

const RTM_GETADDR: u16 = 22;
/// `struct ifaddrmsg`.
const IFADDRMSG: usize = 8;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

impl Namespace {
    /// The addresses of its devices by which others know it: neither those of loopback
    /// nor those of one link. In order, each once.
    ///
    /// # Errors
    ///
    /// It is gone, or we may not enter it.
    pub(crate) fn addresses(&self) -> io::Result<Vec<IpAddr>> {
        let path = self.path().ok_or(io::ErrorKind::NotFound)?;
        let mut addresses = enter::inside(File::open(path)?, addresses_here)??;
        addresses.retain(|address| is_known_outside(*address));
        addresses.sort_unstable();
        addresses.dedup();
        Ok(addresses)
    }
}

fn is_known_outside(address: IpAddr) -> bool {
    !address.is_loopback()
        && match address {
            IpAddr::V4(address) => !address.is_link_local(),
            IpAddr::V6(address) => !address.is_unicast_link_local(),
        }
}

/// All addresses where the calling thread is.
///
/// # Errors
///
/// What rtnetlink refuses with.
pub(crate) fn addresses_here() -> io::Result<Vec<IpAddr>> {
    let answers = Dumper::new(NETLINK_ROUTE)?.dump(RTM_GETADDR, vec![0; IFADDRMSG])?;
    let mut addresses = Vec::new();
    for answer in &answers {
        addresses.extend(address(answer)?);
    }
    Ok(addresses)
}

fn address(answer: &[u8]) -> io::Result<Option<IpAddr>> {
    let mut local = None;
    let mut other = None;
    let raw = answer.get(IFADDRMSG..).unwrap_or_default();
    attributes(raw, |attribute, value| match attribute {
        IFA_LOCAL => local = netlink::address(value),
        // That of the other end, where the device has two.
        IFA_ADDRESS => other = netlink::address(value),
        _ => {}
    })?;
    Ok(local.or(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap();
        [&length.to_ne_bytes(), &kind.to_ne_bytes(), value].concat()
    }

    #[test]
    fn of_a_point_to_point_link_the_own_end_is_taken() {
        let answer = [
            vec![0; IFADDRMSG],
            attribute(IFA_ADDRESS, &[10, 0, 0, 2]),
            attribute(IFA_LOCAL, &[10, 0, 0, 1]),
        ];
        let own: IpAddr = "10.0.0.1".parse().unwrap();
        assert_eq!(address(&answer.concat()).unwrap(), Some(own));
        let one = [vec![0; IFADDRMSG], attribute(IFA_ADDRESS, &[0xfd; 16])];
        let there = address(&one.concat()).unwrap().unwrap();
        assert!(there.is_ipv6());
    }

    #[test]
    fn what_nobody_outside_can_reach_is_left_out() {
        for inside in ["127.0.0.1", "::1", "169.254.3.4", "fe80::1"] {
            assert!(!is_known_outside(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["172.17.0.2", "192.0.2.1", "fd00::2", "2001:db8::1"] {
            assert!(is_known_outside(outside.parse().unwrap()), "{outside}");
        }
    }

    #[test]
    fn the_kernel_says_which_addresses_there_are_here() {
        let addresses = addresses_here().unwrap();
        // A new namespace has none until lo is up.
        let text = std::fs::read_to_string("/proc/thread-self/net/fib_trie").unwrap();
        let has_loopback = text.contains("127.0.0.1");
        assert_eq!(addresses.iter().any(IpAddr::is_loopback), has_loopback);
    }
}
