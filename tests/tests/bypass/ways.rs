// SPDX-License-Identifier: GPL-2.0

//! Ways around a hook, and the rule that looks for a datagram there.

/// One datagram, on a way of its own.
pub(crate) struct Attempt {
    /// As `tests/lab/bypass-ways.sh` calls it; it is what the datagram carries.
    pub(crate) name: &'static str,
    /// `PORT` stands for the attempt's own.
    pub(crate) rule: &'static str,
    /// How many packets the rule decides about.
    pub(crate) counted: u64,
    /// Whether the datagram arrives, where that is a datagram's to do.
    pub(crate) arrives: Option<bool>,
}

const fn arrives(name: &'static str, rule: &'static str, counted: u64) -> Attempt {
    Attempt {
        name,
        rule,
        counted,
        arrives: Some(true),
    }
}

const fn stopped(name: &'static str, rule: &'static str) -> Attempt {
    Attempt {
        name,
        rule,
        counted: 1,
        arrives: Some(false),
    }
}

const fn other(name: &'static str, rule: &'static str, counted: u64) -> Attempt {
    Attempt {
        name,
        rule,
        counted,
        arrives: None,
    }
}

pub(crate) const ATTEMPTS: &[Attempt] = &[
    arrives(
        "raw_socket_accepted",
        "accept udp to any port PORT at local_out in netns:ctr",
        1,
    ),
    stopped(
        "raw_socket_dropped",
        "drop udp to any port PORT at local_out in netns:ctr",
    ),
    // A packet socket gives the device what no hook of the sender has seen.
    arrives(
        "packet_socket_own_hooks",
        "drop udp to any port PORT at local_out, post_routing in netns:ctr",
        0,
    ),
    stopped(
        "packet_socket_host",
        "drop udp to any port PORT at forward in host",
    ),
    stopped(
        "captured",
        "drop udp to any port PORT at pre_routing in netns:ctr",
    ),
    // Of a tunnel, the host sees the outer packet only.
    arrives(
        "ipip_inside_host",
        "drop udp to any port PORT at forward in host",
        0,
    ),
    stopped(
        "ipip_inside_ctr",
        "drop udp to any port PORT at pre_routing in netns:ctr",
    ),
    other("ipip", "accept ipip at forward in host", 2),
    arrives(
        "gre_inside_host",
        "drop udp to any port PORT at forward in host",
        0,
    ),
    stopped(
        "gre_inside_ctr",
        "drop udp to any port PORT at pre_routing in netns:ctr",
    ),
    other("gre", "accept gre at forward in host", 2),
    arrives(
        "vxlan_inside_host",
        "drop udp to any port PORT at forward in host",
        0,
    ),
    stopped(
        "vxlan_inside_ctr",
        "drop udp to any port PORT at pre_routing in netns:ctr",
    ),
    other("vxlan", "accept udp to any port 4789 at forward in host", 2),
    arrives(
        "multicast4_accepted",
        "accept udp to any port PORT at local_in in netns:ctr",
        1,
    ),
    stopped(
        "multicast4_dropped",
        "drop udp to any port PORT at local_in in netns:ctr",
    ),
    arrives(
        "multicast6_accepted",
        "accept udp to any port PORT at local_in in netns:ctr",
        1,
    ),
    stopped(
        "multicast6_dropped",
        "drop udp to any port PORT at local_in in netns:ctr",
    ),
    arrives(
        "broadcast_accepted",
        "accept udp to any port PORT at local_in in netns:ctr",
        1,
    ),
    stopped(
        "broadcast_dropped",
        "drop udp to any port PORT at local_in in netns:ctr",
    ),
    arrives(
        "loopback_accepted",
        "accept udp to any port PORT at local_in in netns:ctr",
        1,
    ),
    stopped(
        "loopback_dropped",
        "drop udp to any port PORT at local_in in netns:ctr",
    ),
    // The packet keeps its address; it comes to the host's LOCAL_IN with it.
    other(
        "tproxy_accepted",
        "accept udp to 172.17.0.2 port PORT at local_in in host",
        1,
    ),
    other(
        "tproxy_dropped",
        "drop udp to 172.17.0.2 port PORT at local_in in host",
        1,
    ),
    // Each was sent to the port that is greater by 1000.
    arrives(
        "redirect_accepted",
        "accept udp to any port PORT at local_in in netns:ctr",
        1,
    ),
    stopped(
        "redirect_old_at_pre_routing",
        "drop udp to any port OLD at pre_routing in netns:ctr",
    ),
    stopped(
        "redirect_new_at_local_in",
        "drop udp to any port PORT at local_in in netns:ctr",
    ),
    stopped(
        "redirect_original",
        "drop udp original to any port OLD at local_in in netns:ctr",
    ),
    arrives(
        "redirect_old_at_local_in",
        "drop udp to any port OLD at local_in in netns:ctr",
        0,
    ),
    other(
        "error_accepted",
        "accept icmp type destination-unreachable code 3 from 10.10.10.3 at forward in host",
        1,
    ),
    other(
        "error_dropped",
        "drop icmp type destination-unreachable code 3 from 10.10.10.4 at forward in host",
        1,
    ),
    other(
        "newborn_accepted",
        "accept udp to any port PORT at local_out, post_routing",
        2,
    ),
    other("newborn_dropped", "accept udp from any port PORT", 0),
];

/// Over TCP, with segments that devices split and join.
pub(crate) const SEGMENTS: [(&str, &str); 2] = [
    (
        "segments_accepted",
        "accept tcp to any port PORT at forward in host",
    ),
    (
        "segments_dropped",
        "drop tcp to any port PORT at forward in host",
    ),
];

/// Behind a bridge with br_netfilter, in another namespace.
pub(crate) const ON_A_BRIDGE: &[Attempt] = &[
    arrives(
        "macvlan_accepted",
        "accept udp to any port PORT at pre_routing in netns:mac",
        1,
    ),
    stopped(
        "macvlan_dropped",
        "drop udp to any port PORT at pre_routing in netns:mac",
    ),
];

/// Past the hooks of the host, and past none of the container's.
pub(crate) const BLIND: &[Attempt] = &[
    arrives(
        "tc_host",
        "drop udp to any port PORT at pre_routing, forward in host",
        0,
    ),
    stopped(
        "tc_ctr",
        "drop udp to any port PORT at pre_routing in netns:ctr",
    ),
    arrives(
        "xdp_host",
        "drop udp to any port PORT at pre_routing, forward in host",
        0,
    ),
    stopped(
        "xdp_ctr",
        "drop udp to any port PORT at pre_routing in netns:ctr",
    ),
];

/// The rule that comes too late for a flow that a flow table has.
pub(crate) const LATE: &str = "drop udp to any port 8999 at pre_routing, forward in host";
