// SPDX-License-Identifier: GPL-2.0

//! The module's parameters: what is refused and how, and that changes take effect at once.

use std::collections::BTreeMap;

use nftrace_core::hook::Hook;
use nftrace_core::packet::Transport;
use nftrace_core::record::{v1, Kind};
use nftrace_tests::vm::{Report, Vm};

/// A setting that is refused, and the reason that the kernel log gives.
const REFUSED: &[(&str, &str)] = &[
    (
        "ports=70000",
        "'70000' is not a port; ports are numbers from 1 to 65535",
    ),
    (
        "ports=80,,81",
        "item 2 is empty; separate ports by single commas",
    ),
    (
        "ports=9-5",
        "the range '9-5' ends before it starts; write the lower port first",
    ),
    (
        "ports=a",
        "'a' is not a port; ports are numbers from 1 to 65535",
    ),
    ("format=json", "there is no such format; use v1 or classic"),
];

const TOO_MANY: &str = "65 items are too many; at most 64 ports and ranges are taken";

/// A list of so many ports, 8080 the last of them.
fn list_of(items: u16) -> String {
    let mut ports: Vec<String> = (1..items).map(|port| port.to_string()).collect();
    ports.push("8080".to_owned());
    ports.join(",")
}

/// Settings that are refused, with their reasons; the list of 65 among them.
fn refused() -> Vec<(String, &'static str)> {
    let mut all: Vec<_> = REFUSED
        .iter()
        .map(|&(setting, reason)| (setting.to_owned(), reason))
        .collect();
    all.push((format!("ports={}", list_of(65)), TOO_MANY));
    all
}

/// The line of the kernel log that a refusal leaves; a long value is cut short.
fn refusal(setting: &str, reason: &str) -> String {
    let (name, value) = setting.split_once('=').expect("a setting");
    let dots = if value.len() > 64 { "..." } else { "" };
    let value = &value[..value.len().min(64)];
    format!("nftrace: {name}={value}{dots}: refused: {reason}")
}

fn run(name: &str, args: &[&str]) -> Report {
    Vm::new(name)
        .script("tests/lab/parameters.sh", args)
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"))
}

/// What the kernel itself says of a module like ours, in its name.
const NOT_OURS: &[&str] = &[
    "loading out-of-tree module",
    "module verification failed",
    "invalid for parameter",
];

/// What the module said after each mark.
fn said_after<'a>(report: &'a Report, mark: &str) -> Vec<Vec<&'a str>> {
    let mut parts: Vec<Vec<&str>> = Vec::new();
    let mut inside = false;
    for message in report.messages() {
        if let Some(text) = message.strip_prefix("lab: ") {
            inside = text == mark;
            if inside {
                parts.push(Vec::new());
            }
        } else if inside
            && message.starts_with("nftrace: ")
            && !NOT_OURS.iter().any(|text| message.contains(text))
        {
            parts.last_mut().expect("pushed above").push(message);
        }
    }
    parts
}

/// The lines `exit code <tab> text` of a file of the script's.
fn results(report: &Report, file: &str) -> Vec<(i32, String)> {
    let text = report.file(file).unwrap_or_else(|error| panic!("{error}"));
    text.lines()
        .map(|line| {
            let (code, said) = line.split_once('\t').expect("two fields");
            (code.parse().expect("a number"), said.to_owned())
        })
        .collect()
}

#[test]
fn a_bad_value_at_load_is_refused_with_one_line_that_says_why() {
    let mut cases = refused();
    cases.push(("counters=1".to_owned(), "the counters can only be read"));
    let mut args = vec!["load"];
    args.extend(cases.iter().map(|(setting, _)| setting.as_str()));
    let report = run("parameters: load", &args);

    let loads = results(&report, "loads.txt");
    let said = said_after(&report, "load");
    assert_eq!((loads.len(), said.len()), (cases.len(), cases.len()));
    for (((setting, reason), (code, error)), said) in cases.iter().zip(loads).zip(said) {
        assert_ne!(code, 0, "{setting}");
        // What insmod makes of EINVAL.
        assert!(error.ends_with("Invalid parameters"), "{setting}: {error}");
        assert_eq!(said, [refusal(setting, reason)], "{setting}");
    }

    let empty = said_after(&report, "empty").concat();
    assert_eq!(results(&report, "reads.txt"), [(0, String::new())]);
    assert_eq!(empty.len(), 2, "{empty:?}");
    assert!(empty[0].contains(" loaded: ports= hooks="), "{empty:?}");
    assert!(
        empty[1].starts_with("nftrace: unloaded: printed=0 suppressed=0 lost=0 "),
        "{empty:?}"
    );
}

#[test]
fn a_write_to_sysfs_takes_effect_at_the_next_packet_or_changes_nothing() {
    // The setting; why it is refused, if it is; the list after it; which of the
    // ports 8080 and 9090 is traced then.
    type Step = (String, Option<&'static str>, String, Vec<u16>);
    let mut steps: Vec<Step> = Vec::new();
    for (setting, reason) in refused() {
        steps.push((setting, Some(reason), "8080".to_owned(), vec![8080]));
    }
    for (value, after, traced) in [
        ("9090", "9090", vec![9090]),
        ("8080", "8080", vec![8080]),
        ("", "", vec![]),
        ("1-8079,8081-9999", "1-8079,8081-9999", vec![9090]),
        (" 8080,9000-9090 ", "8080,9000-9090", vec![8080, 9090]),
    ] {
        steps.push((format!("ports={value}"), None, after.to_owned(), traced));
        // What was refused before must leave any list in force, the empty one too.
        let (_, _, after, traced) = steps[steps.len() - 1].clone();
        let reason = Some(REFUSED[0].1);
        steps.push((REFUSED[0].0.to_owned(), reason, after, traced));
    }
    let most = list_of(64);
    steps.push((format!("ports={most}"), None, most, vec![8080]));

    let mut args = vec!["write"];
    args.extend(steps.iter().map(|(setting, ..)| setting.as_str()));
    let report = run("parameters: write", &args);

    // The hooks at which each datagram was recorded, by its payload's length and port.
    let mut seen: BTreeMap<(usize, u16), Vec<Hook>> = BTreeMap::new();
    let records = report.messages().filter_map(v1::parse);
    // Nobody listens: where each datagram ended is none of our business here.
    for record in records.filter(|record| record.kind() == Kind::Entry) {
        if let Transport::Ports(ports) = record.packet().transport {
            let payload = record.len as usize - 28;
            let hooks = seen.entry((payload, ports.dst)).or_default();
            hooks.extend(record.hook());
        }
    }
    let mut expected = BTreeMap::new();
    let way = [
        Hook::LocalOut,
        Hook::PostRouting,
        Hook::PreRouting,
        Hook::LocalIn,
    ];

    let writes = results(&report, "writes.txt");
    let reads = results(&report, "reads.txt");
    let said = said_after(&report, "write");
    assert_eq!(
        (writes.len(), reads.len(), said.len()),
        (steps.len(), steps.len(), steps.len())
    );
    for (index, (setting, reason, after, traced)) in steps.iter().enumerate() {
        let (code, error) = &writes[index];
        let complaints: Vec<_> = said[index]
            .iter()
            .filter(|message| !message.starts_with(v1::PREFIX))
            .collect();
        match reason {
            Some(reason) => {
                assert_ne!(*code, 0, "{setting}");
                assert!(error.ends_with("Invalid argument"), "{setting}: {error}");
                assert_eq!(complaints, [&refusal(setting, reason)], "{setting}");
            }
            None => {
                assert_eq!((*code, error.as_str()), (0, ""), "{setting}");
                assert!(complaints.is_empty(), "{setting}: {complaints:?}");
            }
        }
        assert_eq!(reads[index], (0, after.clone()), "after {setting}");
        for port in traced {
            expected.insert((index + 1, *port), way.to_vec());
        }
    }
    assert_eq!(seen, expected);

    let counters = results(&report, "counters.txt");
    assert_ne!(counters[0].0, 0, "the counters were written");
    let records = report.messages().filter_map(v1::parse).count();
    assert_eq!(
        counters[1],
        (
            0,
            format!("printed={records} suppressed=0 lost=0 truncated=0 malformed=0")
        )
    );
    assert_eq!(results(&report, "formats.txt"), [(0, "v1".to_owned())]);
}

/// What there is in the log of a datagram from a container to a port of its own
/// where nobody listens, and of the error about it. `P`, `S`: whatever number.
const CLASSIC: &str = "\
==================================================== LOCAL_OUT
DEV: (no dev), NS:           (null), INITNET: HOST
IN DEV: (null), NS:           (null), OUT DEV: lo, NS: CTR
[3]: 127.0.0.1:P->127.0.0.1:8080, skb: S
==================================================== POST_ROUTING
DEV: lo, NS: CTR, INITNET: HOST
IN DEV: (null), NS:           (null), OUT DEV: lo, NS: CTR
[4]: 127.0.0.1:P->127.0.0.1:8080, skb: S
==================================================== PRE_ROUTING
DEV: lo, NS: CTR, INITNET: HOST
IN DEV: lo, NS: CTR, OUT DEV: (null), NS:           (null)
[0]: 127.0.0.1:P->127.0.0.1:8080, skb: S
==================================================== LOCAL_IN
DEV: lo, NS: CTR, INITNET: HOST
IN DEV: lo, NS: CTR, OUT DEV: (null), NS:           (null)
[1]: 127.0.0.1:P->127.0.0.1:8080, skb: S
==================================================== LOCAL_OUT
DEV: (no dev), NS:           (null), INITNET: HOST
IN DEV: (null), NS:           (null), OUT DEV: lo, NS: CTR
[3]: 127.0.0.1->127.0.0.1, skb: S
==================================================== POST_ROUTING
DEV: lo, NS: CTR, INITNET: HOST
IN DEV: (null), NS:           (null), OUT DEV: lo, NS: CTR
[4]: 127.0.0.1->127.0.0.1, skb: S
==================================================== PRE_ROUTING
DEV: lo, NS: CTR, INITNET: HOST
IN DEV: lo, NS: CTR, OUT DEV: (null), NS:           (null)
[0]: 127.0.0.1->127.0.0.1, skb: S
==================================================== LOCAL_IN
DEV: lo, NS: CTR, INITNET: HOST
IN DEV: lo, NS: CTR, OUT DEV: (null), NS:           (null)
[1]: 127.0.0.1->127.0.0.1, skb: S";

#[test]
fn the_classic_format_prints_four_lines_a_record_and_can_be_switched_to_and_from() {
    let report = run("parameters: classic", &["classic"]);
    let roles = report.file("roles.txt").unwrap();
    let inode = |role: &str| {
        let line = roles.lines().find_map(|line| line.strip_prefix(role));
        line.expect("a role").trim().to_owned()
    };
    let port = regex::Regex::new(r"127\.0\.0\.1:\d+->").unwrap();
    let skb = regex::Regex::new("skb: [0-9a-f]{8}$").unwrap();
    let block = CLASSIC
        .replace("HOST", &inode("host"))
        .replace("CTR", &inode("ctr"));
    let block: Vec<_> = block.lines().collect();

    let parts = said_after(&report, "format");
    assert_eq!(parts.len(), 3);
    for part in [&parts[0], &parts[2]] {
        let lines: Vec<_> = part
            .iter()
            .map(|line| line.trim_start_matches("nftrace: "))
            .filter(|line| !line.starts_with("unloaded"))
            .map(|line| port.replace(line, "127.0.0.1:P->").into_owned())
            .map(|line| skb.replace(&line, "skb: S").into_owned())
            .collect();
        assert_eq!(lines, block);
    }
    // In version 1 the end of the datagram, for which nobody listens, has a line too.
    let kinds: Vec<_> = parts[1]
        .iter()
        .map(|line| v1::parse(line).map(|record| record.kind()))
        .collect();
    let entries = kinds
        .iter()
        .filter(|kind| **kind == Some(Kind::Entry))
        .count();
    assert_eq!((entries, kinds.len()), (8, 9), "{:?}", parts[1]);
    let formats: Vec<_> = results(&report, "formats.txt");
    let names: Vec<_> = formats.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["classic", "v1", "classic"]);
}
