// SPDX-License-Identifier: GPL-2.0

//! Which packets are sent (tests/lab/verdicts.sh sends them), which hooks they pass, and
//! what each hook knows of them. This is written down from how the kernel works, and not
//! from what the policy says that a hook knows.

/// The mark that every device gives to what comes in, and `ping -m`.
pub(crate) const MARK: u32 = 0x17;
/// How many packets of UDP and ICMP are sent.
pub(crate) const COUNT: u64 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Udp,
    /// One segment that opens a connection.
    Tcp,
    /// An echo request.
    Icmp,
    /// One datagram of UDP in three fragments.
    Fragments,
}

impl Protocol {
    pub(crate) const ALL: [Self; 4] = [Self::Fragments, Self::Udp, Self::Tcp, Self::Icmp];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Icmp => "icmp",
            Self::Fragments => "fragments",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From outside to the container; the host rewrites UDP and TCP to its own port 8081.
    Routed,
    /// From one container to the other.
    Bridged,
    /// From a container to the host.
    ToHost,
}

impl Way {
    pub(crate) const ALL: [Self; 3] = [Self::Routed, Self::Bridged, Self::ToHost];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Routed => "routed",
            Self::Bridged => "bridged",
            Self::ToHost => "tohost",
        }
    }
}

/// An address, the namespace that has it, and a port.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) role: &'static str,
    pub(crate) address: &'static str,
    pub(crate) port: u16,
}

/// Whose the local socket is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) classid: u32,
    pub(crate) cgroup: &'static str,
}

pub(crate) const SENDER: Owner = Owner {
    uid: 1234,
    classid: 0x10_0001,
    cgroup: "/sender",
};
pub(crate) const RECEIVER: Owner = Owner {
    uid: 2345,
    classid: 0x20_0002,
    cgroup: "/receiver",
};

/// What one hook in one namespace knows of the packets.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) is_ipv4: bool,
    pub(crate) protocol: Protocol,
    pub(crate) hook: &'static str,
    pub(crate) namespace: &'static str,
    pub(crate) src: End,
    pub(crate) dst: End,
    /// Where it went before the host rewrote it, as this namespace knows it.
    pub(crate) original: End,
    pub(crate) iif: Option<&'static str>,
    pub(crate) oif: Option<&'static str>,
    pub(crate) mark: u32,
    pub(crate) owner: Option<Owner>,
    /// How many pass the hook.
    pub(crate) packets: u64,
    /// Those of them that are later fragments.
    pub(crate) later: u64,
}

impl Facts {
    pub(crate) fn is_bridge(&self) -> bool {
        self.hook.starts_with("bridge ")
    }
}

fn address(role: &str, is_ipv4: bool) -> &'static str {
    match (role, is_ipv4) {
        ("outside", true) => "10.10.10.3",
        ("outside", false) => "fd00:10::3",
        ("ctr", true) => "172.17.0.2",
        ("ctr", false) => "fd00:17::2",
        ("other", true) => "172.17.0.4",
        ("other", false) => "fd00:17::4",
        ("published", true) => "10.10.10.2",
        ("published", false) => "fd00:10::2",
        (_, true) => "172.17.0.1",
        (_, false) => "fd00:17::1",
    }
}

/// A hook, the namespace, and the devices.
type Step = (
    &'static str,
    &'static str,
    Option<&'static str>,
    Option<&'static str>,
);

fn steps(way: Way) -> Vec<Step> {
    match way {
        Way::Routed => vec![
            ("local_out", "netns:outside", None, Some("eth0")),
            ("post_routing", "netns:outside", None, Some("eth0")),
            ("pre_routing", "host", Some("ens160"), None),
            ("forward", "host", Some("ens160"), Some("br0")),
            ("post_routing", "host", Some("ens160"), Some("br0")),
            ("bridge local_out", "host", None, Some("veth0")),
            ("bridge post_routing", "host", None, Some("veth0")),
            ("pre_routing", "netns:ctr", Some("eth0"), None),
            ("local_in", "netns:ctr", Some("eth0"), None),
        ],
        Way::Bridged => vec![
            ("bridge pre_routing", "host", Some("veth1"), None),
            ("bridge forward", "host", Some("veth1"), Some("veth0")),
            ("bridge post_routing", "host", None, Some("veth0")),
        ],
        Way::ToHost => vec![
            ("bridge pre_routing", "host", Some("veth1"), None),
            ("bridge local_in", "host", Some("veth1"), None),
            ("pre_routing", "host", Some("br0"), None),
            ("local_in", "host", Some("br0"), None),
        ],
    }
}

/// How many packets pass a hook, and how many of them are later fragments.
fn packets(protocol: Protocol, is_ipv4: bool, hook: &str, namespace: &str) -> (u64, u64) {
    match protocol {
        Protocol::Udp | Protocol::Icmp => (COUNT, 0),
        Protocol::Tcp => (1, 0),
        // It is cut behind POST_ROUTING, and put together before LOCAL_IN for IPv4, behind
        // it for IPv6.
        Protocol::Fragments if namespace == "netns:outside" => (1, 0),
        Protocol::Fragments if hook == "local_in" && is_ipv4 => (1, 0),
        Protocol::Fragments => (3, 2),
    }
}

fn end(role: &'static str, is_ipv4: bool, port: u16) -> End {
    End {
        role,
        address: address(role, is_ipv4),
        port,
    }
}

/// What the hooks on a way know of the packets of a protocol.
pub(crate) fn facts(way: Way, protocol: Protocol, is_ipv4: bool) -> Vec<Facts> {
    let rewritten = way == Way::Routed && matches!(protocol, Protocol::Udp | Protocol::Tcp);
    let from = if way == Way::Routed {
        "outside"
    } else {
        "other"
    };
    let to = if way == Way::ToHost { "host" } else { "ctr" };
    let src = end(from, is_ipv4, 5555);
    let last = end(to, is_ipv4, 8080);
    let first = if rewritten {
        end("published", is_ipv4, 8081)
    } else {
        last.clone()
    };
    let mut behind = false;
    let mut all = Vec::new();
    for (hook, namespace, iif, oif) in steps(way) {
        behind |= hook == "forward";
        let (packets, later) = packets(protocol, is_ipv4, hook, namespace);
        let is_ping = protocol == Protocol::Icmp;
        let is_sent_here = namespace == "netns:outside";
        let owner = match hook {
            "local_out" if is_ping => Some(Owner { uid: 0, ..SENDER }),
            "local_out" => Some(SENDER),
            "local_in" if !is_ping => Some(RECEIVER),
            _ => None,
        };
        all.push(Facts {
            is_ipv4,
            protocol,
            hook,
            namespace,
            src: src.clone(),
            dst: if behind { last.clone() } else { first.clone() },
            original: if namespace == "netns:ctr" {
                last.clone()
            } else {
                first.clone()
            },
            iif,
            oif,
            mark: if is_sent_here && !is_ping { 0 } else { MARK },
            owner,
            packets,
            later,
        });
    }
    all
}
