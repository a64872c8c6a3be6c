// SPDX-License-Identifier: GPL-2.0

//! Compiled policies of any bytes: the verifier refuses them or not, and of what it takes
//! the index says the same about packets as the rules in order; nothing ever panics.

#![no_main]

use std::net::IpAddr;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use nftrace_core::abi::ABI;
use nftrace_core::packet::{parse, Network, MAX_HEADERS};
use nftrace_core::policy::layout::{Cgroup, Header, Rule, MAGIC};
use nftrace_core::policy::{
    classify, classify_in_order, verify, Observer, Place, Subject, Tables,
};
use nftrace_core::record::Socket;
use nftrace_policy::{compile, load_text, resolve, Memory};
use zerocopy::IntoBytes as _;

/// Whatever is asked, the answer is a part of this number.
struct Anything(u64);

impl Subject for Anything {
    fn cookie(&self) -> u64 {
        self.0 & 3
    }

    fn is_in_new_namespace(&self) -> bool {
        self.0 & 4 != 0
    }

    fn input(&self) -> [u8; 16] {
        self.output()
    }

    fn output(&self) -> [u8; 16] {
        let [a, b, ..] = self.0.to_le_bytes();
        [a, b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    }

    fn mark(&self) -> u32 {
        self.0 as u32
    }

    fn state(&self) -> u32 {
        1 << (self.0 & 7).min(4)
    }

    fn original_destination(&self) -> Option<(IpAddr, Option<u16>)> {
        let address = IpAddr::from((self.0 as u32).to_be_bytes());
        (self.0 & 8 != 0).then_some((address, Some(self.0 as u16)))
    }

    fn socket(&self) -> Option<Socket> {
        (self.0 & 16 != 0).then_some(Socket {
            uid: self.0 as u32,
            classid: self.0 as u32,
            cgroup: 1,
        })
    }

    fn is_of(&self, cgroup: &Cgroup) -> bool {
        cgroup.id == self.0 & 7
    }
}

/// Rules with a limit may match where their number is even; it notes what else they do.
#[derive(Debug, Default, PartialEq)]
struct Noted(Vec<(u32, bool)>);

impl Observer for Noted {
    fn is_within_limit(&mut self, number: u32, _rule: &Rule) -> bool {
        self.0.push((number, true));
        number % 2 == 0
    }

    fn shadowed(&mut self, number: u32, _rule: &Rule) {
        self.0.push((number, false));
    }
}

fuzz_target!(init: seed(), |data: &[u8]| {
    // The first bytes are a packet and what surrounds it, the others a blob, whose
    // magic and ABI are given: they are not what is looked for.
    let Some((packet, blob)) = data.split_at_checked(48) else {
        return;
    };
    let mut words = vec![0_u64; blob.len().div_ceil(8)];
    words.as_mut_bytes()[..blob.len()].copy_from_slice(blob);
    let bytes = &mut words.as_mut_bytes()[..blob.len()];
    if bytes.len() < size_of::<Header>() {
        return;
    }
    bytes[..4].copy_from_slice(&MAGIC.to_ne_bytes());
    bytes[4..8].copy_from_slice(&ABI.to_ne_bytes());
    let Ok(tables) = Tables::read(bytes) else {
        return;
    };
    if verify(&tables).is_err() {
        return;
    }
    let (around, packet) = packet.split_at(8);
    let subject = Anything(u64::from_le_bytes(around.try_into().unwrap_or_default()));
    for network in [Network::Ipv4, Network::Ipv6] {
        let parsed = parse(network, packet, packet.len().max(MAX_HEADERS)).ok();
        for place in Place::all() {
            let (mut by_index, mut in_order) = (Noted::default(), Noted::default());
            let found = classify(&tables, place, parsed.as_ref(), &subject, &mut by_index);
            let wanted =
                classify_in_order(&tables, place, parsed.as_ref(), &subject, &mut in_order);
            assert_eq!((found, by_index), (wanted, in_order), "{place:?}");
        }
    }
});

/// Fills an empty corpus, which is a folder among the arguments, with small policies.
fn seed() {
    const POLICIES: [&str; 8] = [
        "drop tcp to any port 25",
        "accept established at forward\ndefault drop at forward",
        "set a = { 10.0.0.0/8, 2001:db8::/32 }\nreject from @a at local_in limit 5/s log",
        "queue 5 else accept udp to any port 53 at forward\ndefault drop in new",
        "shadow drop icmp type 8 iif veth* mark 1/3 at bridge forward",
        "drop tcp flags syn/syn,ack uid 1-9 classid 7 at local_out in cookie:3",
        "drop tcp from 10.0.0.0/8 port { 1, 5-9 } to { 10.1.0.0/16, fd00::/8 } port { 25, 80 }\n\
         accept udp to 10.2.0.0/16 port 53\naccept tcp to 10.1.2.3\ndrop from 10.0.0.0/9\n\
         accept tcp from 10.1.1.1 port 1\ndrop udp to any port 1-1000\naccept icmp\n\
         drop to 10.1.0.0/17 in cookie:1\naccept from fd00::/16\ndrop to fd00::1",
        "shadow drop tcp\naccept tcp to any port 80 limit 5/s\ndrop tcp to any port 1-100\n\
         accept from 10.0.0.1 limit 1/s\nshadow accept udp\ndrop from 10.0.0.0/24\n\
         drop from 10.0.1.0/24 port 5\ndrop from 10.0.2.0/24\naccept to 10.0.0.1\ndrop udp",
    ];
    let is_empty = |path: &Path| path.read_dir().is_ok_and(|mut dir| dir.next().is_none());
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    for corpus in arguments.iter().map(Path::new).filter(|path| is_empty(path)) {
        for (number, text) in POLICIES.iter().enumerate() {
            let Ok(document) = load_text("policy", text, &Memory::default()) else {
                panic!("{text}");
            };
            let program = resolve(&document, &Nobody).expect("there are no names");
            let blob = compile(&program).expect("it is small");
            let mut bytes = vec![0; 48];
            bytes.extend(blob.bytes());
            std::fs::write(corpus.join(format!("policy-{number}")), bytes)
                .expect("the corpus can be written to");
        }
    }
}

/// A machine where no name means anything.
struct Nobody;

impl nftrace_policy::Resolver for Nobody {
    fn addresses(&self, _: &nftrace_policy::ast::NamespaceSpec) -> Result<Vec<IpAddr>, String> {
        Err(String::new())
    }

    fn namespace(&self, spec: &nftrace_policy::ast::NamespaceSpec) -> Result<u64, String> {
        Ok(spec.to_string().len() as u64)
    }

    fn cgroup(&self, _: &str) -> Result<(u64, u32), String> {
        Err(String::new())
    }

    fn host(&self) -> Result<u64, String> {
        Ok(1)
    }
}
