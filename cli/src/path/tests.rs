// SPDX-License-Identifier: GPL-2.0

use std::path::Path;

use clap::Parser as _;
use nftrace_core::abi::Frame;
use nftrace_core::record::v1;

use super::*;
use crate::recording::{Host, NamespaceName, Writer};

#[derive(clap::Parser)]
struct Command {
    #[command(flatten)]
    args: Args,
}

/// The records of a kernel log, recorded by a host that calls one namespace `web`.
fn recording() -> Vec<u8> {
    let log = include_str!("../../tests/logs/published-port.log");
    let host = Host {
        init_cookie: 7,
        init_inode: 4026531833,
        ..Host::default()
    };
    let mut writer = Writer::new(Vec::new(), &host).unwrap();
    for (position, mut record) in log.lines().filter_map(v1::parse).enumerate() {
        let position = position as u64;
        record.time = 1_000_000 + 12_000 * position;
        let lost = if position == 15 { 3 } else { 0 };
        writer
            .frame(&Frame {
                position,
                lost,
                record,
            })
            .unwrap();
        // What is flushed is whole, whatever comes then.
        writer.flush().unwrap();
    }
    let name = NamespaceName {
        cookie: 22,
        inode: 4026532298,
        name: "web".into(),
        gone: true,
    };
    writer.names(&[name]).unwrap();
    writer.finish().unwrap()
}

/// What `nftrace path` with these arguments returns, and the page that it writes.
fn run_on(recording: &[u8], args: &[&str]) -> (anyhow::Result<ExitCode>, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let file = path("recording");
    std::fs::write(&file, recording).unwrap();
    let html = format!("--html={}", path("page"));
    let all = [&["path", &html, &file], args].concat();
    let result = run(&Command::parse_from(all).args);
    let page = std::fs::read_to_string(Path::new(&path("page"))).unwrap_or_default();
    (result, page)
}

#[test]
fn a_recording_is_told_by_its_content_and_brings_its_times_names_and_losses() {
    let (result, page) = run_on(&recording(), &[]);
    assert_eq!(result.unwrap(), ExitCode::SUCCESS);
    for part in [
        "5 journeys · 1 connection",
        "3 records lost",
        "web (4026532298)",
        "host (4026531833)",
        "+12 µs",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn of_a_damaged_recording_all_before_the_damage_is_shown_and_then_the_error() {
    let whole = recording();
    let damaged = &whole[..whole.len() * 2 / 3];
    let (result, page) = run_on(damaged, &["--journey", "1"]);
    let error = format!("{:#}", result.unwrap_err());
    assert!(error.contains("damaged at offset"), "{error}");
    assert!(error.contains("recording"), "{error}");
    assert!(page.contains("1 journey · 1 connection"), "{page}");
    assert!(page.contains("LOCAL_IN"), "{page}");
}
