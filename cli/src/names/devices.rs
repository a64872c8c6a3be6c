// SPDX-License-Identifier: GPL-2.0

//! The devices of a namespace.

use std::fs::{self, File};
use std::io;

use netlink_sys::protocols::NETLINK_ROUTE;

use super::{enter, Namespace};
use crate::netlink::{attributes, text, Dumper};

const RTM_GETLINK: u16 = 18;
/// `struct ifinfomsg`.
const IFINFOMSG: usize = 16;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_XDP: u16 = 43;
const IFLA_XDP_PROG_ID: u16 = 4;

/// A network device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NetDevice {
    pub(crate) name: String,
    /// As `ip link add` calls it: `bridge`, `veth`, `vxlan`; none for hardware and `lo`.
    pub(crate) kind: Option<String>,
    pub(crate) index: u32,
    /// The XDP program on it, by its id.
    pub(crate) xdp: Option<u32>,
}

impl Namespace {
    /// The names of its devices, in the kernel's order.
    ///
    /// # Errors
    ///
    /// It is gone, or we are not allowed to look.
    pub(crate) fn devices(&self) -> io::Result<Vec<String>> {
        // What a process sees may be read without being there.
        for process in self.processes.iter().take(16) {
            let file = format!("/proc/{}/net/dev", process.pid);
            if let Ok(text) = fs::read_to_string(file) {
                return Ok(parse(&text));
            }
        }
        let path = self.path().ok_or(io::ErrorKind::NotFound)?;
        let devices = enter::inside(File::open(path)?, devices_here)??;
        Ok(devices.into_iter().map(|device| device.name).collect())
    }
}

/// Two lines of titles, then `name: numbers`.
fn parse(text: &str) -> Vec<String> {
    text.lines()
        .skip(2)
        .filter_map(|line| Some(line.rsplit_once(':')?.0.trim().to_owned()))
        .collect()
}

/// The devices where the calling thread is.
///
/// # Errors
///
/// What rtnetlink refuses with.
pub(crate) fn devices_here() -> io::Result<Vec<NetDevice>> {
    let answers = Dumper::new(NETLINK_ROUTE)?.dump(RTM_GETLINK, vec![0; IFINFOMSG])?;
    answers.iter().map(|answer| device(answer)).collect()
}

/// The name of a device where the calling thread is.
///
/// # Errors
///
/// There is none of that index; what else rtnetlink refuses with.
pub(crate) fn device_name(index: u32) -> io::Result<String> {
    let mut payload = vec![0; IFINFOMSG];
    payload[4..8].copy_from_slice(&index.to_ne_bytes());
    let answer = Dumper::new(NETLINK_ROUTE)?.get(RTM_GETLINK, payload)?;
    Ok(device(&answer)?.name)
}

fn device(answer: &[u8]) -> io::Result<NetDevice> {
    let mut device = NetDevice::default();
    let (mut info, mut xdp) = (Vec::new(), Vec::new());
    if let Some(index) = answer.get(4..).and_then(<[u8]>::first_chunk) {
        device.index = u32::from_ne_bytes(*index);
    }
    let raw = answer.get(IFINFOMSG..).unwrap_or_default();
    attributes(raw, |attribute, value| match attribute {
        IFLA_IFNAME => device.name = text(value),
        IFLA_LINKINFO => info = value.to_vec(),
        IFLA_XDP => xdp = value.to_vec(),
        _ => {}
    })?;
    attributes(&info, |attribute, value| {
        if attribute == IFLA_INFO_KIND {
            device.kind = Some(text(value));
        }
    })?;
    attributes(&xdp, |attribute, value| {
        if let (IFLA_XDP_PROG_ID, Ok(id)) = (attribute, value.try_into()) {
            device.xdp = Some(u32::from_ne_bytes(id));
        }
    })?;
    Ok(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_devices_are_read_as_the_kernel_writes_them() {
        let text = "Inter-|   Receive\n face |bytes\n    lo:       0       0\neth0:1: 12 3\n";
        assert_eq!(parse(text), ["lo", "eth0:1"]);
    }

    #[test]
    fn both_ways_to_ask_the_kernel_name_the_same_devices() {
        let text = fs::read_to_string("/proc/thread-self/net/dev").unwrap();
        let mut names = parse(&text);
        let here = devices_here().unwrap();
        let mut asked: Vec<String> = here.into_iter().map(|device| device.name).collect();
        names.sort();
        asked.sort();
        assert_eq!(names, asked);
    }
}
