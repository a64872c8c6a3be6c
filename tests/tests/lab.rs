// SPDX-License-Identifier: GPL-2.0

//! `nftrace lab`: the scenarios as a user's tool, and what it leaves behind.

use std::time::Duration;

use nftrace_tests::kept::{by_name, codes, errors, objects, text};
use nftrace_tests::scenario::journeys;
use nftrace_tests::scenario::ways;
use nftrace_tests::vm::Vm;

#[test]
fn a_lab_shows_its_journeys_and_leaves_nothing_behind_even_when_it_is_killed() {
    let report = Vm::new("lab leaves nothing")
        .script("tests/lab/lab.sh", &["clean"])
        .with_command()
        .timeout(Duration::from_secs(900))
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

#[test]
fn docker_in_a_lab_shows_its_journeys_by_the_names_of_its_containers() {
    let report = Vm::new("lab with Docker")
        .script("tests/lab/lab.sh", &["docker"])
        .with_command()
        .size(2, "2G")
        .timeout(Duration::from_secs(600))
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"));
    let expected = include_str!("../ways/s16.txt").replace("    host ", "    lab-host ");
    let ways = ways::parse(&expected, "published").unwrap();
    journeys::packets(&report.file("s16.json").unwrap(), &ways).unwrap();
}

#[test]
fn a_user_runs_what_takes_no_root_and_is_told_what_does() {
    let report = Vm::new("lab of a user")
        .script("tests/lab/lab.sh", &["user"])
        .with_command()
        .timeout(Duration::from_secs(900))
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"));
    let codes = codes(&report);
    assert_eq!(codes["list"], 0);
    let listed = objects(&report, "list");
    for (name, ready) in [
        ("S1", true),
        ("S3", false),
        ("S9", false),
        ("S16", false),
        ("S17", false),
    ] {
        assert_eq!(by_name(&listed, name)["ready"], ready, "{name}");
    }

    // The page of S8's server: its traffic ran, in the user's own namespaces.
    assert_eq!(codes["traffic"], 0, "{}", errors(&report, "traffic"));
    let said = errors(&report, "traffic");
    assert!(said.contains("hello from ctr"), "{said}");
    assert!(said.contains("no journeys"), "{said}");
    assert!(said.contains("as root"), "{said}");
    assert_eq!(codes["journeys"], 1);
    assert_eq!(text(&report, "journeys"), "");
    assert!(errors(&report, "journeys").contains("as root"));

    for verb in ["up", "again", "down"] {
        assert_eq!(codes[verb], 0, "{verb}: {}", errors(&report, verb));
    }
    for (name, scenario) in [("docker", "S16"), ("bridge", "S3")] {
        assert_eq!(codes[name], 1);
        let said = errors(&report, name);
        assert!(said.contains("it needs root"), "{said}");
        let hint = format!("make lab SCENARIO={scenario}");
        assert!(said.contains(&hint), "{said}");
    }
}
