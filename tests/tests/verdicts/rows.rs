// SPDX-License-Identifier: GPL-2.0

//! Clauses about packets, those that hold for them and those that do not.

use super::paths::{End, Facts, Protocol};

/// What a clause asks for, so that some hooks refuse it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    Headers,
    Conntrack,
    Socket,
    Input,
    Output,
}

/// One rule, and how many packets it has to match.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) about: About,
    pub(crate) clause: String,
    pub(crate) at: String,
    pub(crate) expected: u64,
}

impl Row {
    pub(crate) fn rule(&self) -> String {
        format!("shadow drop {} {}", self.clause, self.at)
    }
}

/// Before all rules: every address that there is, and none of them.
pub(crate) const SETS: &str = "\
set all = { 10.10.10.0/24, 172.17.0.0/16, fd00::/8 }
set none = { 10.99.0.0/16, 192.0.2.1, fd99::/32 }
set web = { 80, 8080-8081 }
";

/// The clauses of one hook.
struct Rows<'a> {
    facts: &'a Facts,
    rows: Vec<Row>,
}

fn family(facts: &Facts) -> &'static str {
    if facts.is_ipv4 {
        "ipv4"
    } else {
        "ipv6"
    }
}

impl Rows<'_> {
    /// A clause that holds for so many of the packets.
    fn count(&mut self, about: About, clause: impl Into<String>, expected: u64) {
        let clause = clause.into();
        self.rows.push(Row {
            about,
            clause: format!("{} {clause}", family(self.facts)),
            at: format!("at {} in {}", self.facts.hook, self.facts.namespace),
            expected,
        });
    }

    /// A clause that holds for all of the packets, or for none.
    fn all(&mut self, about: About, clause: impl Into<String>, holds: bool) {
        let expected = if holds { self.facts.packets } else { 0 };
        self.count(about, clause, expected);
    }

    /// The same of what later fragments do not have.
    fn first(&mut self, about: About, clause: impl Into<String>, holds: bool) {
        let facts = self.facts;
        let expected = if holds {
            facts.packets - facts.later
        } else {
            0
        };
        self.count(about, clause, expected);
    }

    /// `word` is from, to or original to.
    fn addresses(&mut self, about: About, word: &str, end: &End) {
        let (is_ipv4, address) = (self.facts.is_ipv4, end.address);
        let (net, elsewhere, far) = if is_ipv4 {
            let (net, _) = address.rsplit_once('.').expect("dots");
            (format!("{net}.0/24"), "10.99.0.1", format!("{net}.99"))
        } else {
            let (net, _) = address.rsplit_once("::").expect("colons");
            (format!("{net}::/64"), "fd99::1", format!("{net}::99"))
        };
        for (operand, holds) in [
            (address.to_owned(), true),
            (elsewhere.to_owned(), false),
            (net.clone(), true),
            (format!("{address}-{far}"), true),
            (format!("{far}-{far}"), false),
            (format!("{{ {elsewhere}, {address} }}"), true),
            ("@all".to_owned(), true),
            ("@none".to_owned(), false),
            (format!("{{ @none, {net} }}"), true),
        ] {
            self.all(about, format!("{word} {operand}"), holds);
            self.all(about, format!("{word} not {operand}"), !holds);
        }
        if about == About::Headers {
            for role in ["outside", "ctr", "other"] {
                self.all(about, format!("{word} netns:{role}"), role == end.role);
            }
        }
    }

    fn protocols(&mut self) {
        let v4 = self.facts.is_ipv4;
        let (name, number, other) = match self.facts.protocol {
            Protocol::Udp | Protocol::Fragments => ("udp", 17, "tcp"),
            Protocol::Tcp => ("tcp", 6, "udp"),
            Protocol::Icmp if v4 => ("icmp", 1, "udp"),
            Protocol::Icmp => ("icmpv6", 58, "udp"),
        };
        let about = About::Headers;
        self.all(about, "", true);
        self.all(about, name, true);
        self.all(about, format!("protocol {number}"), true);
        self.all(about, format!("{{ {name}, sctp }}"), true);
        self.all(about, format!("not {{ sctp, {other} }}"), true);
        self.all(about, format!("not {name}"), false);
        self.all(about, other, false);
        self.all(about, "sctp", false);
        self.all(about, "protocol 47", false);
    }

    fn ports(&mut self) {
        let (about, src, dst) = (
            About::Headers,
            self.facts.src.clone(),
            self.facts.dst.clone(),
        );
        let (from, to) = (src.port, dst.port);
        let has_ports = self.facts.protocol != Protocol::Icmp;
        let dst_in_web = to == 8080 || to == 8081;
        for (clause, holds) in [
            (format!("from any port {from}"), true),
            (format!("from any port {to}"), false),
            (format!("from any port not {to}"), true),
            (format!("from any port not {from}"), false),
            (format!("to any port {to}"), true),
            (format!("to any port {from}"), false),
            (format!("to any port not {from}"), true),
            (format!("to any port not {to}"), false),
            (format!("to any port {}-{}", to - 7, to + 7), true),
            (format!("to any port {}-{}", to + 1, to + 7), false),
            (format!("to any port {{ 1, {to} }}"), true),
            ("to any port @web".to_owned(), dst_in_web),
            ("to any port not @web".to_owned(), !dst_in_web),
            ("from any port @web".to_owned(), false),
            (format!("port {from}"), true),
            (format!("port {to}"), true),
            ("port 1".to_owned(), false),
            ("port not 1".to_owned(), true),
            (
                format!(
                    "from {} port {from} to {} port {to}",
                    src.address, dst.address
                ),
                true,
            ),
            (
                format!(
                    "from {} port {to} to {} port {from}",
                    src.address, dst.address
                ),
                false,
            ),
        ] {
            // What has no ports is neither one nor not one.
            self.first(about, clause, holds && has_ports);
        }
    }

    fn types_and_flags(&mut self) {
        let (about, protocol) = (About::Headers, self.facts.protocol);
        let (icmp, request, reply, number) = if self.facts.is_ipv4 {
            ("icmp", "echo-request", "echo-reply", 8)
        } else {
            ("icmpv6", "echo-request", "echo-reply", 128)
        };
        let is_icmp = protocol == Protocol::Icmp;
        for (clause, holds) in [
            (format!("{icmp} type {request}"), true),
            (format!("{icmp} type {number} code 0"), true),
            (format!("{icmp} type {number} code 1"), false),
            (format!("{icmp} type {reply}"), false),
        ] {
            self.all(about, clause, holds && is_icmp);
        }
        let is_tcp = protocol == Protocol::Tcp;
        for (clause, holds) in [
            ("flags syn", true),
            ("flags syn/syn,ack,fin", true),
            ("flags none/fin,rst,psh", true),
            ("flags ack", false),
            ("flags syn,ack", false),
            ("flags ack/ack", false),
        ] {
            self.all(about, format!("tcp {clause}"), holds && is_tcp);
        }
        let later = self.facts.later;
        self.count(about, "fragment", later);
    }

    /// `word` is iif or oif. Where there is no device, no name is its.
    fn devices(&mut self, about: About, word: &str, device: Option<&str>) {
        let Some(name) = device else {
            self.all(about, format!("{word} eth0, ens160, br0, veth*"), false);
            return;
        };
        let start = &name[..2];
        for (operand, holds) in [
            (name.to_owned(), true),
            (format!("{start}*"), true),
            (format!("{{ lo, {name} }}"), true),
            ("lo".to_owned(), false),
            // A name is not the beginning of one.
            (start.to_owned(), false),
            ("dummy*".to_owned(), false),
        ] {
            self.all(about, format!("{word} {operand}"), holds);
            self.all(about, format!("{word} not {operand}"), !holds);
        }
    }

    fn marks(&mut self) {
        let (about, mark) = (About::Headers, self.facts.mark);
        for (operand, holds) in [
            ("0x17", mark == 0x17),
            ("0", mark == 0),
            ("0x10/0xf0", mark & 0xf0 == 0x10),
            ("0x7/0xf", mark & 0xf == 7),
            ("0x100/0x100", false),
        ] {
            self.all(about, format!("mark {operand}"), holds);
            self.all(about, format!("mark not {operand}"), !holds);
        }
    }

    fn connection(&mut self) {
        let about = About::Conntrack;
        for (states, holds) in [
            ("new", true),
            ("established", false),
            ("established, related", false),
            ("new, established", true),
            ("invalid", false),
            ("untracked", false),
        ] {
            // A family stands behind the states.
            self.all(about, states, holds);
        }
        let original = self.facts.original.clone();
        self.addresses(about, "original to", &original);
        if self.facts.protocol == Protocol::Icmp {
            return;
        }
        let End { address, port, .. } = original;
        for (operand, holds) in [
            (format!("{address} port {port}"), true),
            (format!("{address} port not {port}"), false),
            (format!("any port {port}"), true),
            ("any port 9".to_owned(), false),
        ] {
            self.all(about, format!("original to {operand}"), holds);
        }
    }

    fn owner(&mut self) {
        let about = About::Socket;
        let owner = self.facts.owner;
        let (uid, classid, cgroup) = owner.map_or((7, 7, "/sender"), |owner| {
            (owner.uid, owner.classid, owner.cgroup)
        });
        let is_known = owner.is_some();
        let (low, high) = (uid.saturating_sub(100), uid + 100);
        for (clause, holds) in [
            (format!("uid {uid}"), true),
            (format!("uid not {uid}"), false),
            (format!("uid {low}-{high}"), true),
            (format!("uid {{ 65534, {uid} }}"), true),
            ("uid 65534".to_owned(), false),
            ("uid not 65534".to_owned(), true),
            (format!("classid {classid:#x}"), true),
            (format!("classid not {classid:#x}"), false),
            ("classid 0x999".to_owned(), false),
            ("classid not 0x999".to_owned(), true),
            (format!("cgroup \"{cgroup}\""), true),
            (format!("cgroup \"{cgroup}/inner\""), true),
            (format!("cgroup not \"{cgroup}\""), false),
            ("cgroup \"/bystander\"".to_owned(), false),
            ("cgroup not \"/bystander\"".to_owned(), true),
        ] {
            self.all(about, clause, holds && is_known);
        }
    }

    fn limits(&mut self) {
        let packets = self.facts.packets;
        self.rows.push(Row {
            about: About::Headers,
            clause: family(self.facts).to_owned(),
            at: format!(
                "at {} in {} limit 1/hour burst 2",
                self.facts.hook, self.facts.namespace
            ),
            expected: packets.min(2),
        });
    }

    /// Only hooks that packets pass in one namespace; at LOCAL_OUT others send, too.
    fn namespaces(&mut self) {
        let Facts {
            hook,
            namespace,
            packets,
            ..
        } = *self.facts;
        if hook.ends_with("_routing") || hook == "local_out" {
            return;
        }
        for (operand, holds) in [
            (format!("not {namespace}"), false),
            ("netns:bystander".to_owned(), false),
            ("not netns:bystander".to_owned(), true),
            (format!("{{ netns:bystander, {namespace} }}"), true),
            ("all".to_owned(), true),
        ] {
            self.rows.push(Row {
                about: About::Headers,
                clause: family(self.facts).to_owned(),
                at: format!("at {hook} in {operand}"),
                expected: if holds { packets } else { 0 },
            });
        }
    }
}

/// All rows about a hook, those too that it refuses.
pub(crate) fn rows(facts: &Facts) -> Vec<Row> {
    let mut rows = Rows {
        facts,
        rows: Vec::new(),
    };
    rows.addresses(About::Headers, "from", &facts.src);
    rows.addresses(About::Headers, "to", &facts.dst);
    rows.protocols();
    rows.ports();
    rows.types_and_flags();
    rows.devices(About::Input, "iif", facts.iif);
    rows.devices(About::Output, "oif", facts.oif);
    rows.marks();
    rows.limits();
    rows.namespaces();
    // Conntrack would put fragments together, and a part of a datagram has no socket.
    if facts.protocol != Protocol::Fragments {
        rows.connection();
        rows.owner();
    }
    rows.rows
}

/// Why a hook refuses a clause, in words of the error; none where it takes it.
pub(crate) fn refusal(about: About, facts: &Facts) -> Option<&'static str> {
    let hook = facts.hook.trim_start_matches("bridge ");
    match (about, facts.is_bridge(), hook) {
        (About::Headers, ..) => None,
        (About::Conntrack, true, _) => Some("conntrack does not see bridged packets"),
        (About::Conntrack, _, "pre_routing" | "local_out") => {
            Some("conntrack has not seen the packet there yet")
        }
        (About::Socket, false, "local_in" | "local_out") => None,
        (About::Socket, ..) => Some("the local socket is known at local_out and local_in only"),
        (About::Input, _, "local_out") => Some("came through no device"),
        (About::Input, true, "post_routing") => Some("the bridge does not say any more"),
        (About::Output, _, "pre_routing" | "local_in") => {
            Some("routing has not chosen the device there yet")
        }
        _ => None,
    }
}
