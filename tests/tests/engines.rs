// SPDX-License-Identifier: GPL-2.0

//! Names of containers that real engines run: Docker, Podman with and without root,
//! containerd. Debian has no CRI-O: its names are tested on files only, with those of
//! LXC and Kubernetes (`cli/src/names/tests`).

use std::time::Duration;

use nftrace_tests::kept::{by_name, codes, errors, objects, text};
use nftrace_tests::vm::{Report, Vm};
use serde_json::Value;

/// As `ns` shows the namespace, of which kind; and how the container is called.
const CONTAINERS: [(&str, &str, &str); 5] = [
    ("docker-web", "docker", "docker:docker-web"),
    ("podman-web", "podman", "podman:podman-web"),
    ("rootless-web", "podman", "podman:rootless-web"),
    ("ctr-web", "containerd", "containerd:ctr-web"),
    ("shop/cart", "pod", "containerd:shop/cart/app"),
];

#[test]
fn containers_of_real_engines_are_named_entered_watched_and_remembered() {
    let report = Vm::new("engines")
        .script("tests/lab/engines.sh", &[])
        .with_command()
        .size(2, "2G")
        .timeout(Duration::from_secs(900))
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"));
    every_container_has_its_name_and_its_engine(&report);
    a_user_has_the_names_of_her_own_containers(&report);
    programs_run_inside(&report);
    records_come_with_the_names(&report);
    files_tell_the_names_of_engines_that_do_not_run(&report);
    what_is_gone_is_remembered(&report);
}

/// The full name of each container in a namespace.
fn known_as(namespace: &Value) -> Vec<String> {
    let names = namespace["names"].as_array().unwrap().iter();
    let containers = names.filter(|name| name["id"].is_string());
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    containers
        .map(|name| format!("{}:{}", word(&name["kind"]), word(&name["name"])))
        .collect()
}

fn every_container_has_its_name_and_its_engine(report: &Report) {
    let namespaces = objects(report, "ns");
    assert_eq!(errors(report, "ns"), "");
    for (name, kind, full) in CONTAINERS {
        let one = by_name(&namespaces, name);
        assert_eq!(one["kind"], kind, "{one}");
        assert!(one["cookie"].is_u64(), "{one}");
        // Docker's containers are containerd's too, and have one name all the same.
        assert_eq!(known_as(one), [full], "{one}");
    }
    assert_eq!(namespaces.len(), 1 + CONTAINERS.len(), "{namespaces:?}");
}

fn a_user_has_the_names_of_her_own_containers(report: &Report) {
    let namespaces = objects(report, "user-ns");
    assert_eq!(
        known_as(by_name(&namespaces, "rootless-web")),
        ["podman:rootless-web"]
    );
    let said = errors(report, "user-ns");
    assert!(said.contains("run as root"), "{said}");
}

fn programs_run_inside(report: &Report) {
    let namespaces = objects(report, "ns");
    let codes = codes(report);
    for (name, _, full) in CONTAINERS {
        let run = full.split_once(':').unwrap().1.replace('/', "-");
        let run = format!("exec-{run}");
        assert_eq!(codes[&run], 5, "{name}: {}", errors(report, &run));
        let inode = &by_name(&namespaces, name)["inode"];
        let wanted = format!("/bin/busybox httpd -f -p 8080 -h /www \nnet:[{inode}]\na page\n");
        assert_eq!(text(report, &run).replace('\0', " "), wanted);
    }
}

fn records_come_with_the_names(report: &Report) {
    let watched = report.file("watch.txt").unwrap();
    for (name, ..) in CONTAINERS {
        let of_it = |line: &&str| line.split_whitespace().nth(1) == Some(name);
        assert!(watched.lines().filter(of_it).count() >= 20, "{name}");
    }
}

fn files_tell_the_names_of_engines_that_do_not_run(report: &Report) {
    let namespaces = objects(report, "files");
    for (name, kind, full) in CONTAINERS {
        assert_eq!(by_name(&namespaces, name)["kind"], kind);
        assert_eq!(known_as(by_name(&namespaces, name)), [full]);
    }
}

fn what_is_gone_is_remembered(report: &Report) {
    let before = objects(report, "ns");
    let after = objects(report, "gone");
    for (name, kind, _) in CONTAINERS {
        let gone = by_name(&after, &format!("{name} (gone)"));
        // Docker's namespace is mounted until somebody starts Docker again.
        assert_eq!(gone["gone"], name != "docker-web", "{gone}");
        assert_eq!(gone["kind"], kind);
        assert_eq!(gone["cookie"], by_name(&before, name)["cookie"]);
    }
    assert_eq!(codes(report)["gone-exec"], 1);
    let said = errors(report, "gone-exec");
    assert!(said.contains("gone"), "{said}");
}
