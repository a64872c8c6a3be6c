// SPDX-License-Identifier: GPL-2.0

//! Any bytes as a file of a set: refused, with errors that can be shown, or what a line
//! says is in the set from its first address to its last one, for the kernel too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nftrace_core::hook::Hook;
use nftrace_core::packet::{Packet, Protocol, Transport};
use nftrace_core::policy::{classify, verify, Action, Place};
use nftrace_policy::{compile, load_text, resolve, Memory};

use crate::world::{Anything, Everybody, Noted};

const POLICY: &str = "set all = file \"a\"\ndrop from @all at pre_routing\n";

pub(crate) fn run(input: &[u8]) {
    let files = Memory::default().with("a", input);
    let document = match load_text("policy", POLICY, &files) {
        Ok(document) => document,
        Err(report) => return assert!(!report.to_string().is_empty()),
    };
    let program = resolve(&document, &Everybody).expect("there are no names");
    let blob = compile(&program).expect("it is small");
    let tables = blob.tables().expect("it is a blob");
    verify(&tables).expect("it is sound");
    let text = String::from_utf8_lossy(input);
    for address in text.lines().filter_map(ends).flatten() {
        let place = Place {
            hook: Hook::PreRouting,
            is_bridge: false,
        };
        let packet = from(address);
        let decision = classify(
            &tables,
            place,
            Some(&packet),
            &Anything(0),
            &mut Noted::default(),
        );
        assert_eq!(decision.action, Action::Drop, "{address}");
    }
}

/// The first and the last address of an address, a prefix or a range that stands alone on
/// a line. Not as the reader of the language finds them.
fn ends(line: &str) -> Option<[IpAddr; 2]> {
    let line = line.trim();
    if let Some((first, last)) = line.split_once('-') {
        return Some([first.parse().ok()?, last.parse().ok()?]);
    }
    let Some((first, len)) = line.split_once('/') else {
        return Some([line.parse().ok()?; 2]);
    };
    let (first, len): (IpAddr, u32) = (first.parse().ok()?, len.parse().ok()?);
    let last = match first {
        IpAddr::V4(first) => {
            Ipv4Addr::from_bits(first.to_bits() | u32::MAX.checked_shr(len).unwrap_or(0)).into()
        }
        IpAddr::V6(first) => {
            Ipv6Addr::from_bits(first.to_bits() | u128::MAX.checked_shr(len).unwrap_or(0)).into()
        }
    };
    Some([first, last])
}

fn from(src: IpAddr) -> Packet {
    Packet {
        src,
        dst: match src {
            IpAddr::V4(_) => [192, 0, 2, 1].into(),
            IpAddr::V6(_) => [1_u16; 8].into(),
        },
        protocol: Protocol(47),
        fragment: None,
        id: 0,
        transport: Transport::None,
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "10.0.0.0/8\n10.0.0.3\n10.0.0.3-10.0.0.9\n2001:db8::/32\n2001:db8::1\n",
        "10.0.0.1\n10.0.0.0/8\n\n# none\n10.0.0.3-10.0.0.9 # some\n",
        "2001:db8::/32\n::1\n::ffff:10.0.0.1\nfd00::1-fd00::9\n",
        "80\n1-1024\n",
        "@other\n",
        "1.2.3.4\r\n5.6.7.8\r\n\u{feff}9.9.9.9\n",
        "10.0.0.0/33\n300.1.1.1\n10.0.0.9-10.0.0.1\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}
