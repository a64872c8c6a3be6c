// SPDX-License-Identifier: GPL-2.0

//! `nftrace lab`: the scenarios as a user's tool, and what it leaves behind.

use std::time::Duration;

use nftrace_tests::scenario::journeys;
use nftrace_tests::scenario::ways;
use nftrace_tests::vm::Vm;

#[test]
fn a_lab_shows_its_journeys_and_leaves_nothing_behind_even_when_it_is_killed() {
    let report = Vm::new("lab leaves nothing")
        .script("tests/lab/lab.sh", &["clean"])
        .with_command()
        .timeout(Duration::from_secs(240))
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(report.file("left.txt").unwrap(), "");
    // The lab's host is none of the machine's.
    let expected = include_str!("../ways/s8.txt").replace("    host ", "    lab-host ");
    let ways = ways::parse(&expected, "ipv4").unwrap();
    for file in ["run.json", "up.json"] {
        let text = report.file(file).unwrap();
        journeys::packets(&text, &ways).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
    let listed: serde_json::Value =
        serde_json::from_str(&report.file("list.json").unwrap()).unwrap();
    assert_eq!(listed["name"], "S8");
    assert_eq!(listed["ready"], true);
    assert!(listed["up"].is_u64(), "{listed}");
}
