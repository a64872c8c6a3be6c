// SPDX-License-Identifier: GPL-2.0

//! Who is who, on a real kernel: `nftrace ns`, `nftrace exec` and `nftrace doctor`.

use std::collections::HashMap;
use std::time::Duration;

use nftrace_tests::kept::{by_name, codes, errors, objects, text};
use nftrace_tests::vm::{Report, Vm};
use serde_json::Value;

#[test]
fn namespaces_are_named_entered_and_examined() {
    let report = Vm::new("names")
        .script("tests/lab/names.sh", &[])
        .with_command()
        .timeout(Duration::from_secs(600))
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"));
    every_namespace_has_its_name(&report);
    what_is_gone_is_remembered(&report);
    a_user_sees_less_and_is_told(&report);
    programs_run_inside(&report);
    the_doctor_knows_the_hooks(&report);
}

fn every_namespace_has_its_name(report: &Report) {
    let namespaces = objects(report, "ns");
    assert_eq!(namespaces.len(), 3, "{namespaces:?}");
    let roles: HashMap<String, u64> = report
        .file("roles.txt")
        .unwrap()
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(role, inode)| (role.to_owned(), inode.parse().unwrap()))
        .collect();
    for role in ["host", "blue"] {
        assert_eq!(by_name(&namespaces, role)["inode"], roles[role]);
    }
    // The cookie is the one that records carry; the host's never changes.
    assert_eq!(by_name(&namespaces, "host")["cookie"], 7);
    let blue = by_name(&namespaces, "blue");
    assert_eq!(blue["kind"], "netns");
    assert_eq!(blue["devices"].as_array().unwrap().len(), 2);
    assert!(blue["processes"].as_array().unwrap().is_empty());
    let web = by_name(&namespaces, "web");
    assert_eq!(web["kind"], "docker");
    assert!(web["processes"].as_array().unwrap().len() >= 2, "{web}");
    assert!(text(report, "table").contains("web"));
}

fn what_is_gone_is_remembered(report: &Report) {
    let before = objects(report, "ns");
    let after = objects(report, "gone");
    let web = by_name(&after, "web (gone)");
    assert_eq!(web["gone"], true);
    assert_eq!(web["cookie"], by_name(&before, "web")["cookie"]);
    assert_eq!(codes(report)["gone-exec"], 1);
    assert!(
        errors(report, "gone-exec").contains("gone"),
        "{}",
        errors(report, "gone-exec")
    );
}

fn a_user_sees_less_and_is_told(report: &Report) {
    let codes = codes(report);
    assert_eq!(codes["user-ns"], 0);
    // The mount in /run/netns is everybody's to see, the container is not.
    let namespaces = objects(report, "user-ns");
    assert_eq!(by_name(&namespaces, "blue")["kind"], "netns");
    assert!(
        namespaces.iter().all(|one| one["name"] != "web"),
        "{namespaces:?}"
    );
    assert!(errors(report, "user-ns").contains("run as root"));
    assert_eq!(codes["user-doctor"], 1);
    assert!(errors(report, "user-doctor").contains("root"));
    assert_eq!(codes["user-exec"], 1);
    assert!(errors(report, "user-exec").contains("CAP_SYS_ADMIN"));
}

fn programs_run_inside(report: &Report) {
    let codes = codes(report);
    assert_eq!(codes["exec-netns"], 0);
    let links = text(report, "exec-netns");
    assert!(links.contains("eth0") && !links.contains("br0"), "{links}");
    assert_eq!(codes["exec-code"], 7);
    assert_eq!(codes["exec-killed"], 128 + 15);
    assert_eq!(codes["exec-absent"], 127);
    assert_eq!(codes["exec-refused"], 126);
    assert_eq!(codes["exec-signalled"], 33);
    // SIGHUP and SIGTERM.
    let ignored = text(report, "exec-ignored");
    assert_eq!(ignored, "SigIgn:\t0000000000004001\n");
    assert_eq!(codes["exec-unknown"], 1);
    let unknown = errors(report, "exec-unknown");
    assert!(
        unknown.contains("unknown container 'wep': did you mean web?"),
        "{unknown}"
    );

    assert_eq!(codes["exec-all"], 9);
    let all = text(report, "exec-all");
    let all: Vec<&str> = all.lines().collect();
    assert_eq!(all[0], "web");
    assert!(all[1].starts_with("/proc/1 "), "{all:?}");
    assert_eq!(all.len(), 3, "only lo: {all:?}");
}

fn the_doctor_knows_the_hooks(report: &Report) {
    assert_eq!(codes(report)["doctor"], 0, "{}", errors(report, "doctor"));
    let lines = objects(report, "doctor");
    let finding = |subject: &str| -> &Value {
        let mut found = lines.iter().filter(|line| line["subject"] == subject);
        found
            .next()
            .unwrap_or_else(|| panic!("no {subject}: {lines:#?}"))
    };
    // The guest has a kernel and its modules, and nothing that tells its configuration.
    assert_eq!(finding("kernel")["severity"], "note");
    assert_eq!(finding("module")["severity"], "ok");
    assert_eq!(finding("ip_forward")["severity"], "warning");
    assert_eq!(
        finding("ip_forward")["namespaces"],
        serde_json::json!(["host"])
    );
    assert_eq!(finding("flowtable")["severity"], "warning");
    let flowtable = finding("flowtable")["found"].as_str().unwrap();
    assert!(flowtable.contains("v0 ingress"), "{flowtable}");
    // The bridge came after us, and with it br_netfilter's hooks.
    let order = finding("order")["found"].as_str().unwrap();
    assert!(
        order.starts_with("ip_sabotage_in [br_netfilter] comes before nftrace"),
        "{order}"
    );
    finding("br_netfilter");
    finding("route_localnet");

    // In `blue`, at FORWARD: nftrace, then the chain.
    let blue = lines
        .iter()
        .find(|line| line["namespace"] == "blue")
        .unwrap();
    let forward: Vec<&Value> = blue["hooks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["family"] == "ipv4" && entry["hook"] == "FORWARD")
        .collect();
    assert_eq!(forward[0]["module"], "nftrace", "{forward:?}");
    assert_eq!(forward[0]["priority"], i64::from(i32::MIN));
    let chain =
        serde_json::json!({"chain": {"family": "ip", "table": "filter", "name": "FORWARD"}});
    assert_eq!(forward[1]["owner"], chain, "{forward:?}");
    assert!(text(report, "doctor-text").contains("chain ip filter FORWARD"));
    assert_hooks_are_nfts(report, &lines);
}

/// As many hooks in the host, with the same priorities, as nft(8) lists there.
fn assert_hooks_are_nfts(report: &Report, lines: &[Value]) {
    let host = lines
        .iter()
        .find(|line| line["namespace"] == "host")
        .unwrap();
    let mut ours: Vec<i64> = host["hooks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["family"] == "ipv4")
        .map(|entry| entry["priority"].as_i64().unwrap())
        .collect();
    let nft = report.file("nft.txt").unwrap();
    let ipv4 = nft
        .split("family ")
        .find(|part| part.starts_with("ip {"))
        .unwrap();
    // Lines are as `+0000000100 function [module]`.
    let mut theirs: Vec<i64> = ipv4
        .lines()
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .collect();
    ours.sort_unstable();
    theirs.sort_unstable();
    assert_eq!(ours, theirs, "{nft}");
}
