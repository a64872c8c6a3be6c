// SPDX-License-Identifier: GPL-2.0

//! What of `nftrace trace` can be told without the module: what is refused, and why.

mod support;

use support::{nftrace, stderr, stdout};

fn refused(arguments: &[&str]) -> String {
    let output = nftrace(&[&["trace", "set"], arguments].concat());
    assert_eq!(
        output.status.code(),
        Some(2),
        "{arguments:?}: {}",
        stderr(&output)
    );
    stderr(&output)
}

#[test]
fn a_filter_that_libpcap_refuses_is_shown_with_its_message_and_the_place() {
    let text = refused(&["--", "tcp prot 80"]);
    assert!(
        text.contains("libpcap refuses the filter: can't parse filter expression: syntax error"),
        "{text}"
    );
    assert!(text.ends_with("\n  tcp prot 80\n      ^^^^\n"), "{text}");
    let text = refused(&["--", "port", "99999"]);
    assert!(text.contains("illegal port number 99999"), "{text}");
    assert!(text.ends_with("\n  port 99999\n       ^^^^^\n"), "{text}");
}

#[test]
fn a_filter_that_lacks_something_is_marked_behind_its_end() {
    let text = refused(&["--", "host 10.0.0.1 and"]);
    assert!(
        text.ends_with("\n  host 10.0.0.1 and\n                   ^\n"),
        "{text}"
    );
}

#[test]
fn conditions_that_cannot_be_are_refused_with_what_could() {
    assert!(refused(&["--port", "70000"]).contains("ports are numbers from 1 to 65535"));
    assert!(refused(&["--port", "90-80"]).contains("write the lower port first"));
    // As of a variable that is not set: it must not mean every port.
    assert!(refused(&["--port", ""]).contains("ports are numbers from 1 to 65535"));
    assert!(refused(&["--port", " "]).contains("ports are numbers from 1 to 65535"));
    assert!(refused(&["--proto", "tpc"]).contains("tcp, udp"));
    assert!(refused(&["--host", "10.0.0.0/40"]).contains("from 0 to 32"));
    assert!(refused(&["--dev", "a-name-that-is-too-long"]).contains("1 to 15 bytes"));
    assert!(refused(&[]).contains("--all"));
    assert!(refused(&["--all", "--port", "80"]).contains("--all stands alone"));
}

#[test]
fn the_help_says_that_flows_are_followed_through_nat() {
    let output = nftrace(&["trace", "set", "--help"]);
    let text = stdout(&output)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert!(text.contains("A flow is followed through NAT"), "{text}");
}
