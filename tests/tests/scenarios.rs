// SPDX-License-Identifier: GPL-2.0

//! The scenarios: real traffic through real namespaces, and every record of it.

use nftrace_tests::scenario::expected::{
    S1, S2_BRIDGE, S2_IPV4, S2_IPV6, S3_IPV4, S3_IPV6, S3_LOCAL,
};
use nftrace_tests::scenario::{Expected, Trace};
use nftrace_tests::vm::Vm;

/// Runs a lab script and holds every record that it caused against what is expected.
fn scenario(vm: &Vm, expected: &Expected) {
    let report = vm.run().unwrap_or_else(|failure| panic!("{failure}"));
    let flow = report.file("flow.txt").expect("the script fetches a page");
    assert!(flow.trim_end().ends_with(" 200"), "the page came: {flow}");
    let trace = Trace::of(&report).unwrap_or_else(|error| panic!("{error}"));
    let journeys = trace
        .journeys(expected)
        .unwrap_or_else(|error| panic!("{error}"));
    // The module counted what it printed, and the log holds all of it.
    let printed: usize = journeys.iter().map(|journey| journey.records.len()).sum();
    let farewell =
        format!("nftrace: unloaded: printed={printed} suppressed=0 lost=0 truncated=0 malformed=0");
    assert!(
        report.messages().any(|message| message == farewell),
        "the log has no line '{farewell}'"
    );
}

#[test]
fn s1_a_published_port_is_seen_from_outside_to_the_container_and_back() {
    scenario(&Vm::new("S1").script("tests/lab/s1.sh", &[]), &S1);
}

#[test]
fn s2_two_containers_on_a_bridge_are_seen_in_their_own_namespaces_only() {
    scenario(
        &Vm::new("S2").script("tests/lab/s2.sh", &["ipv4", "without"]),
        &S2_IPV4,
    );
}

#[test]
fn s2_it_is_the_same_with_br_netfilter_loaded_and_switched_off_over_ipv6() {
    scenario(
        &Vm::new("S2 IPv6").script("tests/lab/s2.sh", &["ipv6", "with"]),
        &S2_IPV6,
    );
}

#[test]
fn s2_the_bridge_family_shows_the_hop_that_the_ip_hooks_do_not() {
    scenario(
        &Vm::new("S2 bridge")
            .script("tests/lab/s2.sh", &["ipv4", "without"])
            .env("MODULE_PARAMETERS", "bridge=1"),
        &S2_BRIDGE,
    );
}

#[test]
fn s3_br_netfilter_shows_bridged_packets_to_the_host_once_when_it_was_there_before_us() {
    scenario(
        &Vm::new("S3 before").script("tests/lab/s3.sh", &["ipv4", "before"]),
        &S3_IPV4,
    );
}

#[test]
fn s3_br_netfilter_shows_bridged_packets_to_the_host_once_when_it_came_after_us() {
    scenario(
        &Vm::new("S3 after").script("tests/lab/s3.sh", &["ipv6", "after"]),
        &S3_IPV6,
    );
}

#[test]
fn s3_a_bridged_packet_for_the_host_itself_is_reported_once_when_br_netfilter_was_there_before_us()
{
    scenario(
        &Vm::new("S3 local before").script("tests/lab/s3.sh", &["ipv4", "before", "host"]),
        &S3_LOCAL,
    );
}

#[test]
fn s3_a_bridged_packet_for_the_host_itself_is_reported_once_when_br_netfilter_came_after_us() {
    scenario(
        &Vm::new("S3 local after").script("tests/lab/s3.sh", &["ipv4", "after", "host"]),
        &S3_LOCAL,
    );
}
