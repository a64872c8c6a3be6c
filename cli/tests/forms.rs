// SPDX-License-Identifier: GPL-2.0

//! The forms in which `nftrace path` shows journeys.

use serde_json::Value;

mod support;

use support::path::{first_packet, lines, log, objects, run, shown, with_stdin};
use support::{stderr, stdout};

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

#[test]
fn there_is_no_colour_where_the_output_is_no_terminal() {
    assert!(!shown(&[&log("dropped.log")]).contains('\u{1b}'));
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
        stdout(&output)
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
