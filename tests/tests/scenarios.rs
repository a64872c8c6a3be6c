// SPDX-License-Identifier: GPL-2.0

//! The scenarios: real traffic through real namespaces, and the whole journey of every
//! packet of it, as the command tells it.

use nftrace_tests::scenario::boots::{BRIDGES, BY_HAND, DOCKER, DRIVERS, NAT, QUEUES};
use nftrace_tests::scenario::Boot;

/// Holds every journey of a run against what is expected.
fn check(boot: &Boot, run: &str) {
    boot.run(run)
        .and_then(|run| run.check())
        .unwrap_or_else(|error| panic!("{run}: {error}"));
}

/// The same, and every line of the kernel's log.
fn check_both(boot: &Boot, run: &str) {
    check(boot, run);
    boot.run(run)
        .and_then(|run| run.check_log())
        .unwrap_or_else(|error| panic!("{run}: kernel log: {error}"));
}

#[test]
fn s1_a_published_port_is_seen_from_outside_to_the_container_and_back() {
    check_both(&BRIDGES, "s1-ipv4");
}

#[test]
fn s1_it_is_the_same_for_udp_icmp_and_ipv6() {
    check(&NAT, "s1-udp");
    check(&NAT, "s1-icmp");
    check(&NAT, "s1-ipv6");
}

#[test]
fn s2_two_containers_on_a_bridge_are_seen_in_their_own_namespaces_only() {
    check_both(&BRIDGES, "s2-ipv4");
}

#[test]
fn s2_it_is_the_same_with_br_netfilter_loaded_and_switched_off_over_ipv6() {
    check_both(&BRIDGES, "s2-ipv6-off");
}

#[test]
fn s2_the_bridge_family_shows_the_hop_that_the_ip_hooks_do_not() {
    check(&BRIDGES, "s2-ipv4-bridge");
}

#[test]
fn s3_br_netfilter_shows_bridged_packets_to_the_host_once_when_it_was_there_before_us() {
    check_both(&BRIDGES, "s3-ipv4");
}

#[test]
fn s3_br_netfilter_shows_bridged_packets_to_the_host_once_when_it_came_after_us() {
    check_both(&BRIDGES, "s3-ipv6-before");
}

#[test]
fn s3_a_bridged_packet_for_the_host_itself_is_reported_once_when_br_netfilter_was_there_before_us()
{
    check_both(&BRIDGES, "s3-ipv4-host");
}

#[test]
fn s3_a_bridged_packet_for_the_host_itself_is_reported_once_when_br_netfilter_came_after_us() {
    check_both(&BRIDGES, "s3-ipv4-host-before");
}

#[test]
fn s4_masquerade_shows_behind_the_host_and_is_undone_before_its_forward() {
    check(&NAT, "s4-ipv4");
    check(&NAT, "s4-udp");
    check(&NAT, "s4-icmp");
    check(&NAT, "s4-ipv6");
}

#[test]
fn s4_an_icmp_error_comes_back_to_the_container_that_caused_it() {
    check(&NAT, "s4-icmp-error");
}

#[test]
fn s5_the_host_asks_its_own_address_and_the_packet_leaves_for_the_container() {
    check(&NAT, "s5-ipv4");
}

#[test]
fn s6_a_port_of_127_0_0_1_works_with_masquerade() {
    check(&NAT, "s6-masquerade");
}

#[test]
fn s6_without_masquerade_the_container_drops_the_request_as_from_a_local_network() {
    check(&NAT, "s6-bare");
}

#[test]
fn s6_if_the_container_takes_it_the_reply_dies_in_the_container_itself() {
    check(&NAT, "s6-reply");
}

#[test]
fn s7_a_network_made_by_hand_lets_in_what_is_published() {
    check(&BY_HAND, "s7-in");
    check(&BY_HAND, "s7-in-udp");
    check(&BY_HAND, "s7-in-icmp");
    check(&BY_HAND, "s7-in-ipv6");
}

#[test]
fn s7_a_network_made_by_hand_lets_out_under_the_hosts_address() {
    check(&BY_HAND, "s7-out");
    check(&BY_HAND, "s7-out-udp");
    check(&BY_HAND, "s7-out-icmp");
    check(&BY_HAND, "s7-out-ipv6");
}

#[test]
fn s8_a_redirect_inside_the_container_changes_the_port_between_its_own_hooks() {
    check(&NAT, "s8-ipv4");
}

#[test]
fn s9_a_process_on_the_hosts_network_is_told_from_its_neighbour_by_its_classid() {
    check(&DRIVERS, "s9-classid");
    check(&DRIVERS, "s9-neighbour");
}

#[test]
fn s10_macvlan_shows_the_containers_own_hooks_only() {
    check(&DRIVERS, "s10-between");
    check(&DRIVERS, "s10-outside");
}

#[test]
fn s11_ipvlan_in_mode_l2_shows_the_containers_own_hooks_only() {
    check(&DRIVERS, "s11-l2");
    check(&DRIVERS, "s11-l2-outside");
}

#[test]
fn s11_ipvlan_in_mode_l3_leaves_through_the_hosts_hooks() {
    check(&DRIVERS, "s11-l3");
    check(&DRIVERS, "s11-l3-outside");
}

#[test]
fn s11_ipvlan_in_mode_l3s_comes_in_through_the_hosts_hooks_too() {
    check(&DRIVERS, "s11-l3s-outside");
}

#[test]
fn s12_a_packet_is_followed_into_its_vxlan_datagram_and_out_of_it() {
    check(&DRIVERS, "s12-ipv4");
}

#[test]
fn s13_without_a_network_there_is_lo() {
    check(&DRIVERS, "s13-ipv4");
    check(&DRIVERS, "s13-ipv6");
}

#[test]
fn s14_a_packet_between_two_networks_dies_at_the_hosts_forward() {
    check(&DRIVERS, "s14-iptables");
    check(&DRIVERS, "s14-nft");
}

#[test]
fn s15_a_rootless_container_speaks_through_slirp4netns_which_speaks_for_itself() {
    check(&DRIVERS, "s15-ipv4");
}

#[test]
fn s16_dockers_published_port_leads_to_the_container_by_name() {
    check(&DOCKER, "s16-published");
}

#[test]
fn s16_dockers_containers_speak_through_the_hosts_hooks() {
    check(&DOCKER, "s16-containers");
}

#[test]
fn s16_the_host_reaches_dockers_published_port_on_its_own_address() {
    check(&DOCKER, "s16-host");
}

#[test]
fn s16_docker_proxy_answers_on_127_0_0_1_with_a_connection_of_its_own() {
    check(&DOCKER, "s16-proxy");
}

#[test]
fn s17_a_program_on_the_host_holds_a_containers_packets_and_lets_them_go_or_not() {
    check(&QUEUES, "s17-held");
    check(&QUEUES, "s17-refused");
}

#[test]
fn s17_where_nobody_on_the_host_listens_the_rule_says_what_happens() {
    check(&QUEUES, "s17-bypass");
    check(&QUEUES, "s17-absent");
    check(&QUEUES, "s17-inside");
}
