// SPDX-License-Identifier: GPL-2.0

//! What is printed reads as the same, and what is wrong is said where it is.

mod any;

use nftrace_policy::parse;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_reads_as_the_same_statements(policy in any::policy()) {
        let text = policy.to_string();
        prop_assert_eq!(text.lines().count(), policy.statements.len());
        match parse(&text) {
            Ok(read) => prop_assert_eq!(read, policy),
            Err(report) => prop_assert!(false, "{report}"),
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,60}") {
        let _ = parse(&text);
    }

    #[test]
    fn words_in_any_order_are_read_or_refused_and_shown(
        words in proptest::collection::vec(proptest::sample::select(WORDS.to_vec()), 0..14),
    ) {
        match parse(&words.join(" ")) {
            Ok(policy) => prop_assert_eq!(parse(&policy.to_string()).ok(), Some(policy)),
            Err(report) => prop_assert!(report.to_string().contains("policy:")),
        }
    }
}

const WORDS: [&str; 50] = [
    "accept",
    "drop",
    "reject",
    "queue",
    "shadow",
    "set",
    "default",
    "include",
    "from",
    "to",
    "port",
    "not",
    "any",
    "{",
    "}",
    ",",
    "=",
    "\n",
    "\"a\"",
    "@a",
    "10.0.0.0/8",
    "10.0.0.1/8",
    "::1",
    "80",
    "80-90",
    "90-80",
    "tcp",
    "udp",
    "icmp",
    "type",
    "code",
    "established",
    "at",
    "bridge",
    "forward",
    "local_in",
    "in",
    "host",
    "container:web",
    "limit",
    "5/s",
    "burst",
    "log",
    "name",
    "mark",
    "0x1/0xff",
    "flags",
    "syn",
    "\\\n",
    "original",
];
