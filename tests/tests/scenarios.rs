// SPDX-License-Identifier: GPL-2.0

//! The scenarios: real traffic through real namespaces, and every record of it.

use nftrace_tests::scenario::Boot;

/// What needs br_netfilter, or must be without it.
static BRIDGES: Boot = Boot::new(
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
    240,
);

/// What rewrites addresses.
static NAT: Boot = Boot::new(
    "nat",
    &[
        "s4:ipv4",
        "s5:ipv4",
        "s6:masquerade",
        "s6:bare",
        "s6:reply",
        "s7:in",
        "s7:out",
        "s8:ipv4",
    ],
    240,
);

/// Other ways to connect a container.
static DRIVERS: Boot = Boot::new(
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
    300,
);

/// A real Docker.
static DOCKER: Boot =
    Boot::new("docker", &["s16:published,containers,host,proxy"], 300).memory("2G");

/// Holds every record of a run against what is expected.
fn check(boot: &Boot, run: &str) {
    boot.run(run)
        .and_then(|run| run.check())
        .unwrap_or_else(|error| panic!("{run}: {error}"));
}

#[test]
fn s1_a_published_port_is_seen_from_outside_to_the_container_and_back() {
    check(&BRIDGES, "s1-ipv4");
}

#[test]
fn s2_two_containers_on_a_bridge_are_seen_in_their_own_namespaces_only() {
    check(&BRIDGES, "s2-ipv4");
}

#[test]
fn s2_it_is_the_same_with_br_netfilter_loaded_and_switched_off_over_ipv6() {
    check(&BRIDGES, "s2-ipv6-off");
}

#[test]
fn s2_the_bridge_family_shows_the_hop_that_the_ip_hooks_do_not() {
    check(&BRIDGES, "s2-ipv4-bridge");
}

#[test]
fn s3_br_netfilter_shows_bridged_packets_to_the_host_once_when_it_was_there_before_us() {
    check(&BRIDGES, "s3-ipv4");
}

#[test]
fn s3_br_netfilter_shows_bridged_packets_to_the_host_once_when_it_came_after_us() {
    check(&BRIDGES, "s3-ipv6-before");
}

#[test]
fn s3_a_bridged_packet_for_the_host_itself_is_reported_once_when_br_netfilter_was_there_before_us()
{
    check(&BRIDGES, "s3-ipv4-host");
}

#[test]
fn s3_a_bridged_packet_for_the_host_itself_is_reported_once_when_br_netfilter_came_after_us() {
    check(&BRIDGES, "s3-ipv4-host-before");
}

#[test]
fn nat_learn() {
    check(&NAT, "s4-ipv4");
}
#[test]
fn drivers_learn() {
    check(&DRIVERS, "s9-classid");
}
#[test]
fn docker_learn() {
    check(&DOCKER, "s16-published");
}
