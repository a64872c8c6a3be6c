// SPDX-License-Identifier: GPL-2.0

//! Which scenarios share a machine, and as what they run.

use super::Boot;

/// What needs br_netfilter, or must be without it. The kernel's log is looked at, too.
pub static BRIDGES: Boot = Boot::new(
    "bridges",
    &[
        "s1:ipv4",
        "s2:ipv4",
        "s2:ipv4:bridge",
        "s2:ipv6-off",
        "s3:ipv4",
        "s3:ipv6:before",
        "s3:ipv4-host",
        "s3:ipv4-host:before",
    ],
    300,
);

/// What rewrites addresses.
pub static NAT: Boot = Boot::new(
    "nat",
    &[
        "s1:udp",
        "s1:icmp",
        "s1:ipv6",
        "s4:ipv4",
        "s4:udp",
        "s4:icmp",
        "s4:ipv6",
        "s4:icmp-error",
        "s5:ipv4",
        "s6:masquerade",
        "s6:bare",
        "s6:reply",
        "s8:ipv4",
    ],
    600,
);

/// A network made by hand.
pub static BY_HAND: Boot = Boot::new(
    "by hand",
    &[
        "s7:in",
        "s7:out",
        "s7:in-udp",
        "s7:out-udp",
        "s7:in-icmp",
        "s7:out-icmp",
        "s7:in-ipv6",
        "s7:out-ipv6",
    ],
    400,
);

/// Other ways to connect a container, or not to.
pub static DRIVERS: Boot = Boot::new(
    "drivers",
    &[
        "s9:classid,neighbour",
        "s10:between,outside",
        "s11:l2",
        "s11:l2-outside",
        "s11:l3",
        "s11:l3-outside",
        "s11:l3s-outside",
        "s12:ipv4",
        "s13:ipv4",
        "s13:ipv6",
        "s14:iptables",
        "s14:nft",
        "s15:ipv4",
    ],
    600,
);

/// A real Docker.
pub static DOCKER: Boot =
    Boot::new("docker", &["s16:published,containers,host,proxy"], 500).memory("2G");

/// What a policy hands to programs.
pub static QUEUES: Boot = Boot::new(
    "queues",
    &[
        "s17:held",
        "s17:refused",
        "s17:bypass",
        "s17:absent",
        "s17:inside",
    ],
    400,
);

/// All of them.
pub static ALL: [&Boot; 6] = [&BRIDGES, &NAT, &BY_HAND, &DRIVERS, &DOCKER, &QUEUES];
