// SPDX-License-Identifier: GPL-2.0

//! The scenarios that need neither Docker nor a kernel without br_netfilter: every packet
//! goes the way that it goes on the stock kernel, and no rule is broken on it.

use nftrace_tests::scenario::Boot;
use nftrace_tests::vm::DebugKernel;

const ITEMS: &[&str] = &[
    "s1:ipv4",
    "s1:udp",
    "s1:icmp",
    "s1:ipv6",
    "s4:ipv4",
    "s4:udp",
    "s4:ipv6",
    "s4:icmp-error",
    "s5:ipv4",
    "s6:masquerade",
    "s6:bare",
    "s6:reply",
    "s8:ipv4",
    "s9:classid,neighbour",
    "s11:l2",
    "s12:ipv4",
    "s13:ipv4",
    "s13:ipv6",
    "s14:iptables",
    "s14:nft",
    "s15:ipv4",
];

static MEMORY: Boot =
    Boot::new("debug kasan scenarios", ITEMS, super::LIMIT).debug(DebugKernel::Kasan);
static LOCKS: Boot =
    Boot::new("debug lockdep scenarios", ITEMS, super::LIMIT).debug(DebugKernel::Lockdep);

fn check(boot: &Boot) {
    let wrong: Vec<String> = boot
        .runs()
        .filter_map(|run| {
            let result = boot.run(&run).and_then(|run| run.check());
            result.err().map(|error| format!("{run}: {error}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_scenarios_go_their_ways_and_break_no_rule_of_memory() {
    check(&MEMORY);
}

#[test]
fn the_scenarios_go_their_ways_and_break_no_rule_of_locks() {
    check(&LOCKS);
}
