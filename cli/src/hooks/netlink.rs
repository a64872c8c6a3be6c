// SPDX-License-Identifier: GPL-2.0

//! `NFNL_MSG_HOOK_GET`, as in `linux/netfilter/nfnetlink_hook.h`.

use std::io;

use netlink_packet_core::{DefaultNla, Emitable};
use netlink_sys::protocols::NETLINK_NETFILTER;
use rustix::io::Errno;

use super::{Entry, Error, Owner, Place, Side};
use crate::netlink::{attributes, text, Dumper};

/// `NFNL_SUBSYS_HOOK << 8 | NFNL_MSG_HOOK_GET`.
const HOOK_GET: u16 = 12 << 8;
const NFPROTO_NETDEV: u8 = 5;
/// `struct nfgenmsg`: family, version, resource.
const NFGENMSG: usize = 4;

const HOOK_HOOKNUM: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
const HOOK_DEV: u16 = 3;
const HOOK_FUNCTION_NAME: u16 = 4;
const HOOK_MODULE_NAME: u16 = 5;
const HOOK_CHAIN_INFO: u16 = 6;

const INFO_DESC: u16 = 1;
const INFO_TYPE: u16 = 2;

const CHAIN_TABLE: u16 = 1;
const CHAIN_FAMILY: u16 = 2;
const CHAIN_NAME: u16 = 3;

const TYPE_NFTABLES: u32 = 1;
const TYPE_BPF: u32 = 2;
const TYPE_FLOWTABLE: u32 = 3;

const BPF_ID: u16 = 1;

/// Asks for one hook after the other, in the namespace where it was made.
pub(super) struct HookDumper(Dumper);

impl HookDumper {
    pub(super) fn new() -> Result<Self, Error> {
        Ok(Self(Dumper::new(NETLINK_NETFILTER)?))
    }

    /// What is on one hook, in order.
    pub(super) fn dump(&mut self, place: &Place) -> Result<Vec<Entry>, Error> {
        match self.0.dump(HOOK_GET, request(place)) {
            Ok(answers) => answers
                .iter()
                .map(|answer| Ok(entry(answer, place)?))
                .collect(),
            Err(error) => refused(place, error),
        }
    }
}

/// What an error means: that there are no such hooks is none.
fn refused(place: &Place, error: io::Error) -> Result<Vec<Entry>, Error> {
    match (Errno::from_io_error(&error), place) {
        (Some(Errno::PERM), _) => Err(Error::Permission),
        // A device that has gone, or a kernel without hooks of devices.
        (
            Some(Errno::NODEV | Errno::OPNOTSUPP | Errno::PROTONOSUPPORT | Errno::NOENT),
            Place::Device { .. },
        ) => Ok(Vec::new()),
        // nfnetlink's answers when nobody serves the request.
        (Some(Errno::INVAL | Errno::OPNOTSUPP | Errno::PROTONOSUPPORT), Place::Hook { .. }) => {
            Err(Error::Unsupported)
        }
        _ => Err(Error::Io(error)),
    }
}

fn request(place: &Place) -> Vec<u8> {
    let (family, hook) = match place {
        Place::Hook { family, hook } => (family.number(), hook.number()),
        Place::Device {
            hook: Side::Ingress,
            ..
        } => (NFPROTO_NETDEV, 0),
        Place::Device {
            hook: Side::Egress, ..
        } => (NFPROTO_NETDEV, 1),
    };
    let number = u32::from(hook).to_be_bytes().to_vec();
    let mut wanted = vec![DefaultNla::new(HOOK_HOOKNUM, number)];
    if let Place::Device { device, .. } = place {
        let mut name = device.clone().into_bytes();
        name.push(0);
        wanted.push(DefaultNla::new(HOOK_DEV, name));
    }
    let mut bytes = vec![0; NFGENMSG + wanted.as_slice().buffer_len()];
    bytes[0] = family;
    wanted.as_slice().emit(&mut bytes[NFGENMSG..]);
    bytes
}

fn entry(answer: &[u8], place: &Place) -> io::Result<Entry> {
    let mut entry = Entry {
        place: place.clone(),
        priority: 0,
        function: String::new(),
        module: None,
        owner: Owner::Function,
    };
    let mut info = Vec::new();
    let raw = answer.get(NFGENMSG..).unwrap_or_default();
    attributes(raw, |kind, value| match kind {
        HOOK_PRIORITY => entry.priority = value.try_into().map_or(0, i32::from_be_bytes),
        HOOK_FUNCTION_NAME => entry.function = text(value),
        HOOK_MODULE_NAME => entry.module = Some(text(value)),
        HOOK_CHAIN_INFO => info = value.to_vec(),
        _ => {}
    })?;
    entry.owner = owner(&info)?;
    Ok(entry)
}

fn owner(info: &[u8]) -> io::Result<Owner> {
    let (mut kind, mut description) = (0, Vec::new());
    attributes(info, |attribute, value| match attribute {
        INFO_TYPE => kind = number(value),
        INFO_DESC => description = value.to_vec(),
        _ => {}
    })?;
    if kind == TYPE_BPF {
        let mut id = 0;
        attributes(&description, |attribute, value| {
            if attribute == BPF_ID {
                id = number(value);
            }
        })?;
        return Ok(Owner::Bpf(id));
    }
    let (mut table, mut name, mut family) = (String::new(), String::new(), "");
    attributes(&description, |attribute, value| match attribute {
        CHAIN_TABLE => table = text(value),
        CHAIN_NAME => name = text(value),
        CHAIN_FAMILY => family = family_of(value.first().copied().unwrap_or_default()),
        _ => {}
    })?;
    Ok(match kind {
        TYPE_NFTABLES => Owner::Chain {
            family,
            table,
            name,
        },
        TYPE_FLOWTABLE => Owner::Flowtable {
            family,
            table,
            name,
        },
        _ => Owner::Function,
    })
}

/// As nftables calls them.
const fn family_of(number: u8) -> &'static str {
    match number {
        1 => "inet",
        2 => "ip",
        3 => "arp",
        5 => "netdev",
        7 => "bridge",
        10 => "ip6",
        _ => "?",
    }
}

fn number(value: &[u8]) -> u32 {
    value.try_into().map_or(0, u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use nftrace_core::hook::{Family, Hook};

    use super::*;

    const FORWARD: Place = Place::Hook {
        family: Family::Ipv4,
        hook: Hook::Forward,
    };

    /// What `nft add chain ip filter FORWARD { type filter hook forward priority 0; }`
    /// makes the kernel answer, byte for byte.
    const CHAIN: &[u8] = &[
        0x02, 0x00, 0x00, 0x00, // nfgenmsg: ipv4
        0x0e, 0x00, 0x05, 0x00, b'n', b'f', b'_', b't', b'a', b'b', b'l', b'e', b's', 0, 0, 0,
        0x16, 0x00, 0x04, 0x00, b'n', b'f', b't', b'_', b'd', b'o', b'_', b'c', b'h', b'a', b'i',
        b'n', b'_', b'i', b'p', b'v', b'4', 0, 0, 0, // function, padded
        0x08, 0x00, 0x01, 0x00, 0, 0, 0, 2, // hook
        0x08, 0x00, 0x02, 0x00, 0xff, 0xff, 0xff, 0x38, // priority -200
        0x30, 0x00, 0x06, 0x80, // chain info, nested
        0x08, 0x00, 0x02, 0x00, 0, 0, 0, 1, // nf_tables
        0x24, 0x00, 0x01, 0x80, // description, nested
        0x0b, 0x00, 0x01, 0x00, b'f', b'i', b'l', b't', b'e', b'r', 0, 0, // table
        0x0c, 0x00, 0x03, 0x00, b'F', b'O', b'R', b'W', b'A', b'R', b'D', 0, // name
        0x05, 0x00, 0x02, 0x00, 2, 0, 0, 0, // family
    ];

    #[test]
    fn a_chain_is_read_with_its_table_and_priority() {
        let entry = entry(CHAIN, &FORWARD).unwrap();
        assert_eq!(entry.to_string(), "chain ip filter FORWARD");
        assert_eq!(entry.priority, -200);
        assert_eq!(entry.function, "nft_do_chain_ipv4");
        assert_eq!(entry.module.as_deref(), Some("nf_tables"));
        assert!(entry.decides());
    }

    #[test]
    fn a_cut_answer_is_an_error_or_tells_less_but_never_panics() {
        for end in 0..CHAIN.len() {
            if let Ok(entry) = entry(&CHAIN[..end], &FORWARD) {
                assert!(entry.priority == 0 || entry.priority == -200);
            }
        }
        assert!(entry(&CHAIN[..30], &FORWARD).is_err());
    }

    #[test]
    fn a_bpf_program_goes_by_its_id_and_a_flow_table_by_its_name() {
        let bpf = [
            0x08, 0, 0x02, 0, 0, 0, 0, 2, //
            0x0c, 0, 0x01, 0x80, 0x08, 0, 0x01, 0, 0, 0, 0, 42,
        ];
        assert_eq!(owner(&bpf).unwrap(), Owner::Bpf(42));
        let flowtable = [
            0x08, 0, 0x02, 0, 0, 0, 0, 3, //
            0x1c, 0, 0x01, 0x80, //
            0x06, 0, 0x01, 0, b't', 0, 0, 0, //
            0x07, 0, 0x03, 0, b'f', b't', 0, 0, //
            0x05, 0, 0x02, 0, 1, 0, 0, 0,
        ];
        let expected = Owner::Flowtable {
            family: "inet",
            table: "t".to_owned(),
            name: "ft".to_owned(),
        };
        assert_eq!(owner(&flowtable).unwrap(), expected);
        assert_eq!(owner(&[]).unwrap(), Owner::Function);
    }

    #[test]
    fn a_request_names_the_hook_and_the_device() {
        assert_eq!(request(&FORWARD), [2, 0, 0, 0, 8, 0, 1, 0, 0, 0, 0, 2]);
        let egress = Place::Device {
            device: "eth0".to_owned(),
            hook: Side::Egress,
        };
        let expected = [
            5, 0, 0, 0, 8, 0, 1, 0, 0, 0, 0, 1, // family netdev, hook 1
            9, 0, 3, 0, b'e', b't', b'h', b'0', 0, 0, 0, 0,
        ];
        assert_eq!(request(&egress), expected);
    }

    #[test]
    fn that_a_device_is_gone_is_no_error_and_a_kernel_that_cannot_tell_says_so() {
        let errno = |errno: Errno| io::Error::from(errno);
        let device = Place::Device {
            device: "eth0".to_owned(),
            hook: Side::Ingress,
        };
        assert!(refused(&device, errno(Errno::NODEV)).unwrap().is_empty());
        assert!(matches!(
            refused(&FORWARD, errno(Errno::INVAL)),
            Err(Error::Unsupported)
        ));
        assert!(matches!(
            refused(&FORWARD, errno(Errno::PERM)),
            Err(Error::Permission)
        ));
    }
}
