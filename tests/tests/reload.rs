// SPDX-License-Identifier: GPL-2.0

//! The module comes and goes under traffic and leaves nothing behind.

use std::collections::BTreeSet;
use std::time::Duration;

use nftrace_core::record::v1;
use nftrace_tests::hooks;
use nftrace_tests::vm::Vm;
use regex::Regex;

const COUNT: usize = 50;

#[test]
fn fifty_loads_and_unloads_under_traffic_leave_no_hook_and_break_no_connection() {
    let report = Vm::new("reload")
        .script("tests/lab/reload.sh", &[&COUNT.to_string()])
        .timeout(Duration::from_secs(900))
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"));

    let unloaded = Regex::new(r"^nftrace: unloaded: printed=(\d+) ").unwrap();
    let (mut cycles, mut records, mut is_loaded, mut is_over) = (0, 0, false, false);
    for message in report.messages() {
        if message.starts_with("nftrace: ") && message.contains(" loaded: ") {
            assert!(!is_loaded, "loaded twice: {message}");
            (is_loaded, records) = (true, 0);
        } else if v1::parse(message).is_some() {
            assert!(is_loaded, "a record while not loaded: {message}");
            records += 1;
        } else if let Some(captures) = unloaded.captures(message) {
            assert!(is_loaded, "unloaded twice: {message}");
            assert_eq!(captures[1].parse(), Ok(records), "{message}");
            assert!(records > 0, "load {cycles} saw no traffic");
            (is_loaded, cycles) = (false, cycles + 1);
        } else if message == "lab: over" {
            is_over = true;
        } else {
            assert!(!message.contains("not loaded"), "{message}");
        }
    }
    assert!(is_over && !is_loaded);
    assert_eq!(cycles, COUNT);

    let fetches = report.file("fetches.txt").unwrap();
    let (good, bad) = fetches.trim().split_once(' ').expect("two words");
    assert_eq!(bad, "0", "pages that could not be fetched");
    assert!(good.parse::<usize>().unwrap() > COUNT, "{good} pages only");
    let churned: usize = report.file("churned.txt").unwrap().trim().parse().unwrap();
    assert!(churned > 10, "{churned} rounds only");
    eprintln!("{good} pages, {churned} rounds of namespaces");

    let before = report.file("before.txt").unwrap();
    let before: BTreeSet<String> = before.lines().map(str::to_owned).collect();
    let all = hooks::all(["host", "ctrA", "ctrB"].into_iter(), &["ip", "ip6"]);
    assert_eq!(before, all);
    assert_eq!(report.file("after.txt").unwrap(), "");
    let modules = report.file("modules.txt").unwrap();
    assert!(modules.contains("br_netfilter") && !modules.contains("nftrace"));
}
