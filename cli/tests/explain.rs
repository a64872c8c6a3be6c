// SPDX-License-Identifier: GPL-2.0

//! `nftrace explain` and `nftrace test`, with files only.

mod support;

use std::path::{Path, PathBuf};

use support::{json_lines, nftrace, stderr, stdout};

const POLICY: &str = "\
set office = { 10.10.10.0/24, 2001:db8::/32 }
default drop at forward
accept established at local_in, forward
accept tcp from @office to container:web port 8080 at forward
drop tcp to any port 25 in container:web at local_out name \"no mail\"
reject udp to any port 53 at forward
";

const NAMES: &str = "\
policy = \"web.policy\"
[names]
web = { addresses = [\"172.17.0.2\"] }
";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("web.policy", POLICY);
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Runs a file of these cases: whether all passed, and what was printed.
    fn test(&self, cases: &str, options: &[&str]) -> (Option<i32>, String, String) {
        let file = self.write("cases.toml", &format!("{NAMES}{cases}"));
        let arguments: Vec<&str> = ["test", &file].iter().chain(options).copied().collect();
        let output = nftrace(&arguments);
        (output.status.code(), stdout(&output), stderr(&output))
    }
}

const PASSING: &str = "
[[case]]
name = 'the office reaches the site'
packet = 'tcp 10.10.10.7 > 172.17.0.2:8080 in eth0 out docker0'
at = ['pre_routing', 'forward', 'post_routing']
expect = 'accept'
[[case]]
packet = 'tcp 192.0.2.1 > 172.17.0.2:8080'
at = 'forward'
expect = 'drop'
rule = 'default'
[[case]]
packet = 'tcp 172.17.0.2 > 192.0.2.1:25'
at = 'local_out'
in = 'web'
expect = 'drop'
rule = 'no mail'
[[case]]
packet = 'tcp 172.17.0.2 > 192.0.2.1:25'
at = 'local_out'
expect = 'accept'
[[case]]
packet = 'udp 172.17.0.2 > 192.0.2.1:53'
at = 'forward'
expect = 'reject'
rule = 4
[[case]]
packet = 'tcp 192.0.2.1:1 > 172.17.0.2:8080'
at = 'forward'
state = 'established'
expect = 'accept'
rule = 'accept  established at  local_in,forward'
";

#[test]
fn cases_that_pass_are_counted_and_need_neither_root_nor_containers() {
    let (code, out, err) = Folder::new().test(PASSING, &[]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert_eq!(out, "6 cases: all passed\n");
    let (_, out, _) = Folder::new().test(PASSING, &["--verbose"]);
    assert!(out.contains("ok the office reaches the site ("), "{out}");
}

#[test]
fn a_case_that_fails_is_explained_rule_by_rule() {
    let case = "
[[case]]
name = 'mail is let out'
packet = 'tcp 172.17.0.2 > 192.0.2.1:25'
at = 'local_out'
in = 'web'
expect = 'accept'
";
    let folder = Folder::new();
    let junit = folder.path("junit.xml");
    let (code, out, _) = folder.test(case, &["--junit", junit.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    for part in [
        "FAILED mail is let out",
        "cases.toml:5)",
        "expected accept, got drop by rule 3",
        "drop tcp to any port 25 at local_out in container:web name \"no mail\"",
        "web.policy:5)",
        "1 case: 1 failed",
    ] {
        assert!(out.contains(part), "{part} is not in:\n{out}");
    }
    let xml = std::fs::read_to_string(junit).unwrap();
    assert!(
        xml.contains("failures=\"1\"") && xml.contains("got drop by rule 3"),
        "{xml}"
    );
}

#[test]
fn the_right_verdict_by_the_wrong_rule_fails() {
    for rule in ["'default'", "1", "'another name'", "'drop udp'"] {
        let case = format!(
            "[[case]]\npacket = 'tcp 172.17.0.2 > 192.0.2.1:25'\nat = 'local_out'\nin = 'web'\n\
             expect = 'drop'\nrule = {rule}\n"
        );
        let (code, out, _) = Folder::new().test(&case, &[]);
        assert_eq!(code, Some(1), "{rule}");
        assert!(out.contains("got it by rule 3"), "{rule}: {out}");
    }
}

#[test]
fn what_is_wrong_with_a_file_of_cases_is_said_with_its_place() {
    for (case, said) in [
        ("[[case]]\npackt = 'x'\n", "packt"),
        ("[[case]]\npacket = 'tcp 10.0.0.1 > 10.0.0.2:1'\nexpect = 'drop'\n", "at"),
        ("[[case]]\nat = 'forwad'\npacket = 'tcp 10.0.0.1 > 10.0.0.2:1'\nexpect = 'drop'\n", "did you mean `forward`?"),
        ("[[case]]\nat = 'forward'\npacket = 'tcp 10.0.0.1 > 10.0.0.2'\nexpect = 'drop'\n", "as in 10.0.0.2:80"),
        ("[[case]]\nat = 'forward'\npacket = 'tcp 10.0.0.1 > 10.0.0.2:1'\nexpect = 'dorp'\n", "accept, drop, reject or queue"),
        ("[[case]]\nat = 'forward'\nin = 'wbe'\npacket = 'tcp 10.0.0.1 > 10.0.0.2:1'\nexpect = 'drop'\n", "did you mean `web`?"),
        ("", "no [[case]]"),
    ] {
        let (code, _, err) = Folder::new().test(case, &[]);
        assert_eq!(code, Some(1), "{case}");
        assert!(err.contains(said) && err.contains("cases.toml"), "{case}: {err}");
    }
    let folder = Folder::new();
    folder.write("web.policy", "drop to container:wbe\n");
    let (code, _, err) = folder.test(PASSING, &[]);
    assert_eq!(code, Some(1));
    assert!(
        err.contains("container:wbe") && err.contains("[names]"),
        "{err}"
    );
}

fn explain(policy: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut all = vec!["explain", "--policy", policy.to_str().unwrap()];
    all.extend(arguments);
    let output = nftrace(&all);
    (output.status.code(), stdout(&output), stderr(&output))
}

#[test]
fn a_packet_is_followed_up_to_the_hook_where_it_ends() {
    let folder = Folder::new();
    let names = folder.write("names.toml", NAMES);
    let policy = folder.path("web.policy");
    let packet = "udp 10.10.10.7 > 192.0.2.1:53 in eth0 out docker0";
    let (code, out, err) = explain(&policy, &[packet, "--names", &names]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(
        out.starts_with("udp 10.10.10.7:49152 > 192.0.2.1:53 in eth0 out docker0, new, in host\n"),
        "{out}"
    );
    assert!(
        out.contains("pre_routing: accept, by the default at pre_routing"),
        "{out}"
    );
    assert!(out.ends_with("forward: reject, by rule 4\n"), "{out}");

    let (_, out, _) = explain(
        &policy,
        &[packet, "--names", &names, "--quiet", "--at", "all"],
    );
    assert_eq!(out.lines().count(), 6, "{out}");
}

#[test]
fn programs_read_each_rule_that_was_tried_as_json() {
    let folder = Folder::new();
    let names = folder.write("names.toml", NAMES);
    let arguments = [
        "tcp 172.17.0.2 > 192.0.2.1:25",
        "--at",
        "local_out,bridge forward",
        "--container",
        "web",
        "--names",
        &names,
        "--json",
    ];
    let (_, out, _) = explain(&folder.path("web.policy"), &arguments);
    let lines = json_lines(&out);
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["verdict"], "drop");
    assert_eq!(lines[0]["rule"], 3);
    assert_eq!(lines[0]["tried"][0]["matches"], true);
    assert_eq!(lines[0]["tried"][0]["name"], "no mail");
    assert_eq!(lines[1]["at"], "bridge forward");
    assert_eq!(lines[1]["rule"], serde_json::Value::Null);
}

#[test]
fn without_names_and_containers_it_is_said_what_is_not_known() {
    let folder = Folder::new();
    let arguments = [
        "tcp 172.17.0.2 > 192.0.2.1:25",
        "--at",
        "local_out",
        "--container",
        "web",
    ];
    let (code, out, err) = explain(&folder.path("web.policy"), &arguments);
    assert_eq!(code, Some(0), "{err}");
    assert!(
        err.contains("the addresses of container:web are not known here"),
        "{err}"
    );
    // That it is in the container is known all the same.
    assert!(out.ends_with("local_out: drop, by rule 3\n"), "{out}");
}

#[test]
fn without_the_module_the_policy_in_force_is_not_guessed() {
    let output = nftrace(&["explain", "tcp 10.0.0.1 > 10.0.0.2:1"]);
    assert_eq!(output.status.code(), Some(1));
    let err = stderr(&output);
    assert!(
        err.contains("--policy FILE") && err.contains("not loaded"),
        "{err}"
    );
}

#[test]
fn a_packet_that_cannot_be_read_is_answered_with_its_place() {
    let folder = Folder::new();
    let (code, _, err) = explain(&folder.path("web.policy"), &["tpc 10.0.0.1 > 10.0.0.2:1"]);
    assert_eq!(code, Some(1));
    assert!(
        err.contains("^^^") && err.contains("did you mean `tcp`?"),
        "{err}"
    );
}
