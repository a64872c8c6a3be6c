// SPDX-License-Identifier: GPL-2.0

//! `nftrace path` on kernel logs, as a user runs it.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn log(name: &str) -> String {
    format!("{}/tests/logs/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Names are not looked up: those of the machine that runs the test are no concern.
fn nftrace(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nftrace"));
    command.args(["path", "--no-names"]).args(args);
    command
}

fn run(args: &[&str]) -> Output {
    nftrace(args).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// Standard output of what has to succeed.
fn shown(args: &[&str]) -> String {
    let output = run(args);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    stdout(&output).to_owned()
}

fn objects(args: &[&str]) -> Vec<Value> {
    let text = shown(&[&["--json"], args].concat());
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Lines without what aligns them.
fn lines(text: &str) -> Vec<String> {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text.lines().map(words).collect()
}

fn with_stdin(args: &[&str], input: &[u8]) -> Output {
    let mut child = nftrace(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_request_to_a_published_port_is_one_block_from_the_client_to_the_container() {
    let text = shown(&["--journey", "1", &log("published-port.log")]);
    assert_eq!(
        lines(&text),
        [
            "journey 1 · tcp SYN · 10.10.10.3:38478 → 10.10.10.2:8081 · request of connection 1",
            "netns 4026532248",
            "LOCAL_OUT → eth0",
            "POST_ROUTING → eth0",
            "host (4026531833)",
            "PRE_ROUTING ens160 →",
            "dnat 10.10.10.2:8081 ⇒ 172.17.0.2:8080",
            "FORWARD ens160 → br0",
            "POST_ROUTING ens160 → br0",
            "netns 4026532298",
            "PRE_ROUTING eth0 →",
            "LOCAL_IN eth0 →",
            "✓ delivered to netns 4026532298",
        ]
    );
}

#[test]
fn the_reply_is_of_the_same_connection_and_is_translated_back_behind_the_host() {
    let text = shown(&[
        "--connection",
        "1",
        "--journey",
        "2",
        &log("published-port.log"),
    ]);
    let lines = lines(&text);
    assert_eq!(
        lines[0],
        "journey 2 · tcp SYN ACK · 172.17.0.2:8080 → 10.10.10.3:38478 · reply of connection 1"
    );
    let nat = lines
        .iter()
        .position(|line| line == "un-dnat 172.17.0.2:8080 ⇒ 10.10.10.2:8081");
    assert_eq!(nat, Some(8), "{lines:?}");
    assert_eq!(lines[7], "POST_ROUTING br0 → ens160");
}

#[test]
fn the_block_format_of_other_programs_is_read_with_their_prefix_pointers_and_free_text() {
    let text = shown(&[&log("classic.log")]);
    assert_eq!(
        lines(&text)[..],
        [
            "journey 1 · packet · 172.17.0.4:41050 → 172.17.0.2:8080 · request of connection 1",
            "netns ffff9710acf85200",
            "LOCAL_OUT → eth0",
            "POST_ROUTING → eth0 +16 µs",
            "host (ffffffff8d911640)",
            "PRE_ROUTING docker0 → +18 µs",
            "FORWARD docker0 → docker0 [veth77] +13 µs",
            "POST_ROUTING docker0 → docker0 [veth77] +13 µs",
            "netns ffff9710e6a9a100",
            "PRE_ROUTING eth0 → +13 µs",
            "LOCAL_IN eth0 → +13 µs",
            "✓ delivered to netns ffff9710e6a9a100 86 µs in all",
        ]
    );
}

#[test]
fn the_example_of_one_block_alone_is_a_journey_whose_end_is_not_known() {
    let example = std::fs::read_to_string(log("classic.log")).unwrap();
    let first: Vec<&str> = example.lines().take(4).collect();
    let output = with_stdin(&["--json", "-"], first.join("\n").as_bytes());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let journey: Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!(journey["end"], "unknown");
    let record = &journey["records"][0];
    assert_eq!(record["hook"], "LOCAL_OUT");
    assert_eq!(record["out"], "eth0");
    assert_eq!(record["in"], Value::Null);
    assert_eq!(record["src"], "172.17.0.4:41050");
    assert_eq!(record["dst"], "172.17.0.2:8080");
}

#[test]
fn a_packet_that_died_shows_where_and_why_and_what_to_look_at() {
    let text = shown(&["--dropped", &log("dropped.log")]);
    let lines = lines(&text);
    let end = lines.iter().position(|line| line.starts_with('✗')).unwrap();
    assert_eq!(lines[end - 1], "FORWARD br0 → br1");
    assert_eq!(
        lines[end],
        "✗ dropped at FORWARD in host: NETFILTER_DROP in nft_do_chain"
    );
    assert!(lines[end + 1].contains("nft list ruleset"), "{lines:?}");
    assert_eq!(lines.len(), end + 2, "only the dropped one: {lines:?}");
}

#[test]
fn lost_records_are_shown_where_they_are_missing_and_counted_at_the_end() {
    let output = run(&[&log("dropped.log")]);
    assert!(
        stdout(&output).contains("12 records lost here"),
        "{}",
        stdout(&output)
    );
    assert!(
        stderr(&output).contains("12 records lost"),
        "{}",
        stderr(&output)
    );
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn json_has_one_object_a_line_with_the_keys_of_its_documentation() {
    let journeys = objects(&[&log("published-port.log")]);
    assert_eq!(journeys.len(), 5);
    let first = &journeys[0];
    assert_eq!(first["journey"], 1);
    assert_eq!(first["proto"], "tcp");
    assert_eq!(first["end"], "delivered");
    assert_eq!(first["drop"], Value::Null);
    let nat = &first["nat"][0];
    assert_eq!(nat["after"], 2);
    assert_eq!(nat["kind"], "dnat");
    assert_eq!(nat["from"], "10.10.10.2:8081");
    assert_eq!(nat["to"], "172.17.0.2:8080");
    let host = &first["records"][2];
    assert_eq!(host["hook"], "PRE_ROUTING");
    assert_eq!(host["ns"], "4026531833");
    assert_eq!(host["name"], "host");
    assert_eq!(host["in"], "ens160");
    assert_eq!(host["out"], Value::Null);
    let joins: Vec<_> = first["joins"]
        .as_array()
        .unwrap()
        .iter()
        .map(|join| &join["by"])
        .collect();
    assert_eq!(joins, ["skb", "skb"]);
}

#[test]
fn filters_choose_by_connection_journey_namespace_and_port_before_or_after_nat() {
    let numbers = |args: &[&str], file: &str| -> Vec<u64> {
        let journeys = objects(&[args, &[&log(file)]].concat());
        journeys
            .iter()
            .map(|journey| journey["journey"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(numbers(&[], "published-port.log"), [1, 2, 3, 4, 5]);
    assert_eq!(
        numbers(&["--journey", "2", "--journey", "4"], "published-port.log"),
        [2, 4]
    );
    assert_eq!(numbers(&["--port", "8080"], "published-port.log").len(), 5);
    assert_eq!(numbers(&["--port", "8081"], "published-port.log").len(), 5);
    assert_eq!(numbers(&["--port", "22"], "published-port.log").len(), 0);
    assert_eq!(numbers(&["--connection", "2"], "dropped.log"), [2]);
    assert_eq!(numbers(&["--ns", "host"], "dropped.log"), [1]);
    assert_eq!(numbers(&["--ns", "4026532298"], "dropped.log"), [1, 2]);
    assert_eq!(numbers(&["--ns", "22"], "dropped.log"), [1, 2]);
}

#[test]
fn what_is_asked_for_and_not_there_is_an_error_that_says_what_is() {
    for (args, said) in [
        (["--ns", "web"], "4026532298, host"),
        (["--connection", "9"], "there are connections 1 to 2"),
        (["--journey", "9"], "there are journeys 1 to 2"),
    ] {
        let output = run(&[args[0], args[1], &log("dropped.log")]);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(
            stderr(&output).contains(said),
            "{args:?}: {}",
            stderr(&output)
        );
        assert!(stdout(&output).is_empty());
    }
}

#[test]
fn a_file_that_is_neither_recording_nor_log_is_an_error_that_says_what_was_looked_for() {
    for text in ["", "Linux version 7.3\n", "\u{0}\u{1}\u{2}"] {
        let output = with_stdin(&["-"], text.as_bytes());
        assert_eq!(output.status.code(), Some(1));
        let said = stderr(&output);
        for part in [
            "standard input",
            "neither a recording",
            "nftrace: v1 ",
            "PRE_ROUTING",
            "dmesg",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    let output = run(&["/nonexistent/file"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("/nonexistent/file"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn usage_errors_have_their_own_code() {
    for args in [
        &["--json", "--mermaid", "-"][..],
        &["--port", "70000", "-"],
        &["--connection", "x", "-"],
    ] {
        assert_eq!(run(args).status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn there_is_no_colour_where_the_output_is_no_terminal() {
    assert!(!shown(&[&log("dropped.log")]).contains('\u{1b}'));
}

#[test]
fn a_reader_that_closes_early_is_no_error() {
    let mut child = nftrace(&["-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Nobody reads any more when the first block is written.
    drop(child.stdout.take());
    let log = std::fs::read(log("published-port.log")).unwrap();
    child.stdin.take().unwrap().write_all(&log).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
}

#[test]
fn mermaid_has_namespaces_as_participants_hooks_nat_and_the_cross_of_a_drop() {
    let text = shown(&["--mermaid", &log("published-port.log")]);
    assert!(text.starts_with("sequenceDiagram\n"), "{text}");
    let order = [
        "participant n0 as netns 4026532248",
        "participant n1 as host (4026531833)",
        "Note over n0: LOCAL_OUT → eth0",
        "n0->>n1: tcp SYN 10.10.10.3:38478 → 10.10.10.2:8081",
        "Note over n1: PRE_ROUTING ens160 →",
        "Note right of n1: dnat 10.10.10.2:8081 → 172.17.0.2:8080",
        "Note over n1: FORWARD ens160 → br0",
        "n1->>n2: tcp SYN 10.10.10.3:38478 → 172.17.0.2:8080",
        "Note over n2: ✓ delivered",
    ];
    let mut rest = &text[..];
    for part in order {
        let at = rest
            .find(part)
            .unwrap_or_else(|| panic!("{part} is not there, or too early: {text}"));
        rest = &rest[at + part.len()..];
    }
    let dropped = shown(&["--mermaid", "--dropped", &log("dropped.log")]);
    assert!(
        dropped.contains("n1-xn1: ✗ dropped at FORWARD"),
        "{dropped}"
    );
}

#[test]
fn a_page_and_a_drawing_are_written_to_the_file_that_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    shown(&[
        &format!("--html={}", page.display()),
        &log("published-port.log"),
    ]);
    assert!(std::fs::read_to_string(page)
        .unwrap()
        .starts_with("<!DOCTYPE html>"));
    let drawing = folder.path().join("drawing.svg");
    shown(&[
        &format!("--svg={}", drawing.display()),
        &log("published-port.log"),
    ]);
    assert!(std::fs::read_to_string(drawing)
        .unwrap()
        .starts_with("<svg xmlns="));
    let output = run(&["--svg", &log("dropped.log")]);
    assert_eq!(
        output.status.code(),
        Some(1),
        "two connections do not fit in one drawing"
    );
    assert!(
        stderr(&output).contains("--connection"),
        "{}",
        stderr(&output)
    );
}

/// The first packet of the log, its lines changed by `change`.
fn first_packet(change: impl Fn(&str) -> Vec<String>) -> String {
    let log = std::fs::read_to_string(log("published-port.log")).unwrap();
    let lines = log
        .lines()
        .filter(|line| line.contains("loaded: ") || line.contains("skb=27caa7bf"));
    let lines: Vec<String> = lines.flat_map(change).collect();
    lines.join("\n") + "\n"
}

#[test]
fn a_join_that_is_only_inferred_is_marked_as_such_in_every_form() {
    let rebuilt = first_packet(|line| {
        let container = line.contains("ns=4026532298");
        vec![if container {
            line.replace("27caa7bf", "99999999")
        } else {
            line.to_owned()
        }]
    });
    let shown = |form: &[&str]| {
        let output = with_stdin(&[form, &["-"]].concat(), rebuilt.as_bytes());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output).to_owned()
    };
    let text = lines(&shown(&[]));
    let mark = text
        .iter()
        .position(|line| line.starts_with("┄┄ inferred: the same packet by "));
    assert_eq!(
        mark.map(|at| text[at + 1].as_str()),
        Some("netns 4026532298"),
        "{text:?}"
    );
    assert!(shown(&["--html"]).contains(">inferred: "));
    assert!(shown(&["--mermaid"]).contains("n1-->>n2: "));
    // And one that is proved is not.
    assert!(!self::shown(&["--journey", "1", &log("published-port.log")]).contains("inferred"));
}

#[test]
fn the_end_of_a_hook_is_no_second_station_and_its_absence_is_where_a_packet_died() {
    let ends = first_packet(|line| {
        let end = format!("{line} at=exit");
        match line {
            line if line.contains("ns=4026532298") => vec![],
            line if line.contains("loaded: ") || line.contains("hook=FORWARD") => {
                vec![line.to_owned()]
            }
            line if line.contains("ns=4026531833") && line.contains("hook=POST") => vec![],
            line => vec![line.to_owned(), end],
        }
    });
    let output = with_stdin(&["-"], ends.as_bytes());
    let text = lines(stdout(&output));
    assert_eq!(
        text[1..],
        [
            "netns 4026532248",
            "LOCAL_OUT → eth0",
            "POST_ROUTING → eth0",
            "host (4026531833)",
            "PRE_ROUTING ens160 →",
            "dnat 10.10.10.2:8081 ⇒ 172.17.0.2:8080",
            "FORWARD ens160 → br0",
            "✗ dropped at FORWARD in host: it entered the hook and did not leave it",
        ]
    );
}
