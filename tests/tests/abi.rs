// SPDX-License-Identifier: GPL-2.0

//! Requests that are none: a command and a module of different versions of the device's
//! interface refuse each other, and nothing changes.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use nftrace_core::abi::{ABI, IOC_GET_FILTER, IOC_SET_FILTER};
use nftrace_core::policy::control::{IOC_BLOB, IOC_CHANGE, IOC_COUNTS, IOC_HISTORY, IOC_LOAD};
use nftrace_tests::checkout::top;
use nftrace_tests::kept::{codes, errors, text};
use nftrace_tests::vm::{Report, Vm};

const OTHER: u32 = ABI + 76;

/// The module, but for its version of the interface.
fn other_module() -> Vec<u8> {
    let output = Command::new(top().join("tests/other-abi"))
        .arg(OTHER.to_string())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "the other module is not compiled");
    let path = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
    std::fs::read(path).unwrap()
}

fn vm(what: &str) -> Vm {
    Vm::new(&format!("abi {what}"))
        .with_command()
        .timeout(Duration::from_secs(600))
}

/// What the module said since it was loaded.
fn said(report: &Report) -> Vec<&str> {
    let ours = report.messages().filter(|line| {
        line.starts_with("nftrace: ") && !line.contains("taint") && !line.contains("verification")
    });
    ours.collect()
}

#[test]
fn the_command_refuses_a_module_of_another_version_and_leaves_it_alone() {
    let report = vm("command")
        .script("tests/lab/abi.sh", &["command"])
        .file("other.ko", other_module())
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"));
    let codes = codes(&report);
    let refusal = format!(
        "the loaded module speaks version {OTHER} of the interface and this command version {ABI}; \
         unload the module (rmmod nftrace) and load the one that this command was built with"
    );
    for name in [
        "watch", "record", "path", "show", "set", "off", "load", "try", "agent", "policy",
        "counters", "history", "confirm", "rollback", "flush", "panic", "ban", "sets", "explain",
    ] {
        let said = errors(&report, name);
        assert_eq!(codes[name], 1, "{name}: {said}");
        if name != "explain" {
            assert_eq!(said.lines().count(), 1, "{name}: {said}");
        }
        assert!(said.contains(&refusal), "{name}: {said}");
        assert_eq!(text(&report, name), "", "{name}");
    }
    let doctor = text(&report, "doctor");
    assert_eq!(
        codes["doctor"], 0,
        "it reports, and that is no failure: {doctor}"
    );
    let words: Vec<&str> = doctor.split_whitespace().collect();
    assert!(words.join(" ").contains(&refusal), "{doctor}");
    assert_ne!(codes["recorded"], 0, "no empty recording is left behind");
    let before = text(&report, "before");
    assert!(before.contains("ports:8080"), "{before}");
    assert_eq!(text(&report, "after"), before);
    let said = said(&report);
    assert!(
        matches!(said[..], [loaded, unloaded] if loaded.contains(" loaded: ports=8080 ")
            && unloaded.starts_with("nftrace: unloaded: ")),
        "{said:?}"
    );
}

static MODULE: LazyLock<Report> = LazyLock::new(|| {
    let words = [
        OTHER,
        ABI,
        IOC_SET_FILTER,
        IOC_GET_FILTER,
        IOC_LOAD,
        IOC_CHANGE,
        IOC_BLOB,
        IOC_COUNTS,
        IOC_HISTORY,
    ]
    .map(|number| number.to_string());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    vm("module")
        .script("tests/lab/abi.sh", &[&["module"], &words[..]].concat())
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"))
});

/// What the kernel refuses it with.
fn refused_with(name: &str, error: &str) {
    let said = errors(&MODULE, name);
    assert_ne!(codes(&MODULE)[name], 0, "{name}");
    assert_eq!(said, format!("{error}\n"), "{name}");
}

#[test]
fn the_module_refuses_a_request_of_another_version_and_keeps_its_filter() {
    let codes = codes(&MODULE);
    for name in ["other-set", "other-get"] {
        refused_with(name, "Protocol not supported");
    }
    let before = text(&MODULE, "before");
    assert_eq!(before, "--port 8080\n");
    assert_eq!(text(&MODULE, "after"), before);
    // It was the version that was wrong with them, and nothing else.
    for name in ["get", "ours-set"] {
        assert_eq!(codes[name], 0, "{name}: {}", errors(&MODULE, name));
    }
    assert!(text(&MODULE, "at-last").contains("nothing is traced"));
    let log = said(&MODULE).join("\n");
    assert!(!log.contains("error") && !log.contains("filter"), "{log}");
}

#[test]
fn the_module_refuses_a_request_of_another_version_and_keeps_its_policy() {
    for name in [
        "other-load",
        "other-blob",
        "other-counts",
        "other-history",
        "other-flush",
    ] {
        refused_with(name, "Protocol not supported");
    }
    let before = text(&MODULE, "policy-before");
    assert_eq!(before.lines().count(), 1, "{before}");
    assert_eq!(text(&MODULE, "policy-after"), before);
    // In our version: generation 0 is not in force, and there is no room for an answer.
    refused_with("ours-load", "Stale file handle");
    for name in ["ours-blob", "ours-history"] {
        refused_with(name, "No space left on device");
    }
    let counts = errors(&MODULE, "ours-counts");
    assert!(!counts.contains("Protocol"), "{counts}");
    let code = codes(&MODULE)["ours-flush"];
    assert_eq!(code, 0, "{}", errors(&MODULE, "ours-flush"));
    let shown = text(&MODULE, "flushed");
    assert!(shown.contains("\"generation\":0"), "{shown}");
}

#[test]
fn a_load_of_which_nobody_could_be_told_does_nothing() {
    refused_with("unanswerable", "Bad address");
    let before = text(&MODULE, "policy-after");
    assert_eq!(text(&MODULE, "policy-still"), before);
}
