// SPDX-License-Identifier: GPL-2.0

//! What surrounds a packet, made of a number; who is on the machine; what notes are taken.

use std::net::IpAddr;

use nftrace_core::policy::dynamic::Elements;
use nftrace_core::policy::layout::{Cgroup, Range128, Range32, Rule};
use nftrace_core::policy::{Observer, Subject};
use nftrace_core::record::Socket;
use nftrace_policy::ast::NamespaceSpec;
use nftrace_policy::{compile, load_text, resolve, Blob, Memory, Resolver};

/// Whatever is asked, the answer is a part of this number.
pub(crate) struct Anything(pub(crate) u64);

impl Anything {
    /// Its lower half.
    fn low(&self) -> u32 {
        let [a, b, c, d, ..] = self.0.to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }
}

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
        self.low()
    }

    fn state(&self) -> u32 {
        1 << (self.0 & 7).min(4)
    }

    fn original_destination(&self) -> Option<(IpAddr, Option<u16>)> {
        let [.., high, low] = self.low().to_be_bytes();
        let port = u16::from_be_bytes([high, low]);
        (self.0 & 8 != 0).then_some((self.low().to_be_bytes().into(), Some(port)))
    }

    fn socket(&self) -> Option<Socket> {
        (self.0 & 16 != 0).then_some(Socket {
            uid: self.low(),
            classid: self.low(),
            cgroup: 1,
        })
    }

    fn is_of(&self, cgroup: &Cgroup) -> bool {
        cgroup.id == self.0 & 7
    }

    fn elements(&self, number: u16) -> Option<Elements<'_>> {
        (self.0 & (32 << (number & 1)) != 0).then_some(LATER)
    }
}

/// What has become of a dynamic set.
const LATER: Elements<'static> = Elements {
    v4: &[Range32 {
        low: 0x0a01_0101,
        high: 0x0a01_0102,
    }],
    v6: &[Range128 {
        low: [0x2001_0db8 << 32, 0],
        high: [0x2001_0db8 << 32, 1],
    }],
};

/// Rules with a limit may match where their number is even; it notes what else they do.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Noted(Vec<(u32, bool)>);

impl Observer for Noted {
    fn is_within_limit(&mut self, number: u32, _rule: &Rule) -> bool {
        self.0.push((number, true));
        number % 2 == 0
    }

    fn shadowed(&mut self, number: u32, _rule: &Rule) {
        self.0.push((number, false));
    }
}

/// A machine where every name means something.
pub(crate) struct Everybody;

impl Resolver for Everybody {
    fn addresses(&self, of: &NamespaceSpec) -> Result<Vec<IpAddr>, String> {
        Ok(match of {
            NamespaceSpec::Pid(_) => vec![],
            _ => vec![[10, 0, 0, 1].into(), [10, 0, 0, 1].into()],
        })
    }

    fn namespace(&self, spec: &NamespaceSpec) -> Result<u64, String> {
        Ok(spec.to_string().len() as u64)
    }

    fn cgroup(&self, path: &str) -> Result<(u64, u32), String> {
        Ok((path.len() as u64, 1))
    }

    fn host(&self) -> Result<u64, String> {
        Ok(1)
    }
}

/// The blob of a policy that is sound.
pub(crate) fn compiled(text: &str) -> Blob {
    let document = load_text("policy", text, &Memory::default());
    let document = document.unwrap_or_else(|report| panic!("{report}"));
    let program = resolve(&document, &Everybody).expect("every name means something");
    compile(&program).expect("it is small")
}

/// Policies that together have every clause, and one of which the index has trees.
pub(crate) const POLICIES: [&str; 10] = [
    "drop tcp to any port 25",
    "accept established at forward\ndefault drop at forward",
    "set a = { 10.0.0.0/8, 198.51.100.0/24, 2001:db8::/32 }\nreject from @a at local_in limit 5/s log",
    "queue 5 else accept udp to any port 53 at forward\ndefault drop in new",
    "shadow drop icmp type 8 iif veth* mark 1/3 at bridge forward",
    "drop tcp flags syn/syn,ack uid 1-9 classid 7 at local_out in cookie:3",
    "drop tcp from 10.0.0.0/8 port { 1, 5-9 } to { 10.1.0.0/16, fd00::/8 } port { 25, 80 }\n\
     accept udp to 10.2.0.0/16 port 53\naccept tcp to 10.1.2.3 log\ndrop from 10.0.0.0/9\n\
     accept tcp from 10.1.1.1 port 1\ndrop udp to any port 1-1000\naccept icmp\n\
     drop to 10.1.0.0/17 in cookie:1\naccept from fd00::/16\ndrop to fd00::1",
    "shadow drop tcp\naccept tcp to any port 80 limit 5/s\ndrop tcp to any port 1-100\n\
     accept from 10.0.0.1 limit 1/s\nshadow accept udp\ndrop from 10.0.0.0/24\n\
     drop from 10.0.1.0/24 port 5\ndrop from 10.0.2.0/24\naccept to 10.0.0.1\ndrop udp",
    "drop from 198.51.100.0/25 to 198.51.100.2 log\naccept tcp from 198.51.100.1 port 1-40000 to any port 8080\n\
     reject udp to 198.51.100.0/24 port 8080 at local_in\nshadow drop from 2001:db8::/64\n\
     drop tcp from 2001:db8::1 to 2001:db8::2 port { 80, 8080 }\naccept sctp\ndrop icmp type 8\n\
     accept from 2001:db8::/96 in cookie:2\ndrop to 2001:db8::2 mark 3\ndrop dccp to any port 8080\n\
     default malformed drop\ndefault fragments drop",
    "set banned dynamic = { 10.1.0.0/16, 2001:db8::/64 }\nset known dynamic = {}\n\
     drop tcp from @banned to any port 80\naccept from { @known, 10.0.0.1 }\n\
     drop udp from 10.1.1.0/24 to not @banned\nreject tcp from 10.0.0.0/8 port 1-100 at local_in\naccept to @known log",
];
