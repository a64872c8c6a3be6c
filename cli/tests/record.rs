// SPDX-License-Identifier: GPL-2.0

//! Recordings: shown again, converted, cut off, damaged.

use std::process::Command;

mod support;

use support::{file, json_lines, nftrace, recording, stderr, stdout, way};

#[test]
fn a_recording_is_shown_by_name_with_its_gap_and_a_summary() {
    let (_folder, path) = file("a.nft", &recording(&way()));
    let output = nftrace(&["watch", &path]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 5, "{text}");
    assert!(
        lines[0].contains("host") && lines[0].contains("FORWARD"),
        "{text}"
    );
    assert!(
        lines[2].contains("12 records lost on CPU 1"),
        "the gap is where it was: {text}"
    );
    assert!(
        lines[3].contains("web") && lines[3].contains("10.10.10.3:5000"),
        "{text}"
    );
    let summary = stderr(&output);
    assert!(summary.starts_with("4 records, 12 lost\n"), "{summary}");
    assert!(summary.contains("2  host (4026531001)"), "{summary}");
    assert!(summary.contains("2  web (4026531007)"), "{summary}");
}

#[test]
fn in_json_a_gap_is_an_object_where_it_was() {
    let (_folder, path) = file("a.nft", &recording(&way()));
    let objects = json_lines(&stdout(&nftrace(&["watch", "--json", &path])));
    assert_eq!(objects.len(), 5);
    assert_eq!(objects[2], serde_json::json!({ "lost": 12, "cpu": 1 }));
    assert_eq!(objects[3]["hook"], "PRE_ROUTING");
    assert_eq!(objects[3]["name"], "web");
    assert_eq!(objects[3]["src"], "10.10.10.3:5000");
}

#[test]
fn journeys_of_a_recording_are_blocks_or_objects() {
    let (_folder, path) = file("a.nft", &recording(&way()));
    let output = nftrace(&["watch", "--journeys", "--json", &path]);
    let objects = json_lines(&stdout(&output));
    let journey = objects
        .iter()
        .find(|object| object["journey"] == 1)
        .expect("a journey");
    assert_eq!(journey["records"].as_array().unwrap().len(), 4);
    assert_eq!(journey["end"], "delivered");
    let text = stdout(&nftrace(&["watch", "--journeys", &path]));
    assert!(text.contains("journey 1") && text.contains("web"), "{text}");
}

#[test]
fn no_more_is_shown_than_was_asked_for() {
    let (_folder, path) = file("a.nft", &recording(&way()));
    let output = nftrace(&["watch", "-c", "1", &path]);
    assert_eq!(stdout(&output).lines().count(), 1);
}

#[test]
fn a_recording_that_was_cut_off_is_shown_up_to_there_and_the_offset_is_told() {
    let bytes = recording(&way());
    let cut = bytes.len() - 400;
    let (_folder, path) = file("cut.nft", &bytes[..cut]);
    for arguments in [&["watch"][..], &["path"]] {
        let output = nftrace(&[arguments, &[&path]].concat());
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(
            stdout(&output).contains("POST_ROUTING"),
            "{arguments:?}: {}",
            stdout(&output)
        );
        let text = stderr(&output);
        assert!(
            text.contains(&format!("damaged at offset {cut}")),
            "{arguments:?}: {text}"
        );
    }
}

#[test]
fn a_damaged_recording_can_be_written_again_without_the_damage() {
    let mut bytes = recording(&way());
    let at = bytes.len() - 300;
    bytes[at] ^= 1;
    let (folder, path) = file("broken.nft", &bytes);
    let new = folder.path().join("mended.nft");
    let new = new.to_str().unwrap();
    let output = nftrace(&["record", "--from", &path, new]);
    assert_eq!(output.status.code(), Some(1), "the damage is told");
    assert!(
        stderr(&output).contains("damaged at offset"),
        "{}",
        stderr(&output)
    );
    let output = nftrace(&["watch", new]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.contains("host"), "{text}");
}

#[test]
fn what_is_no_recording_and_what_is_not_there_are_told() {
    let (_folder, path) = file("text.log", b"nothing of this kind\n");
    let output = nftrace(&["watch", &path]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("no recording of nftrace"), "{text}");
    assert!(
        text.contains("a kernel log is for 'nftrace path'"),
        "{text}"
    );
    let output = nftrace(&["watch", "/nonexistent/file"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("cannot open /nonexistent/file"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn nothing_is_overwritten_unless_that_is_wanted_and_never_the_source() {
    let (folder, path) = file("a.nft", &recording(&way()));
    let other = folder.path().join("other");
    std::fs::write(&other, "precious").unwrap();
    let other = other.to_str().unwrap();
    let output = nftrace(&["record", "--from", &path, other]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("other exists; --force overwrites it"),
        "{}",
        stderr(&output)
    );
    assert_eq!(std::fs::read(other).unwrap(), b"precious");
    assert_eq!(
        nftrace(&["record", "--force", "--from", &path, other])
            .status
            .code(),
        Some(0)
    );
    assert!(stdout(&nftrace(&["watch", other])).contains("web"));
    let output = nftrace(&["record", "--force", "--from", &path, &path]);
    assert!(
        stderr(&output).contains("over itself"),
        "{}",
        stderr(&output)
    );
    assert_eq!(std::fs::read(&path).unwrap(), recording(&way()));
}

#[test]
fn a_recording_becomes_pcapng_in_which_tshark_finds_names_hooks_and_the_gap() {
    let (folder, path) = file("a.nft", &recording(&way()));
    let new = folder.path().join("a.pcapng");
    let new = new.to_str().unwrap();
    let output = nftrace(&["record", "--pcapng", "--from", &path, new]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let mut tshark = Command::new("tshark");
    tshark.args(["-r", new, "-T", "fields"]);
    for field in [
        "frame.interface_name",
        "ip.src",
        "tcp.dstport",
        "tcp.flags.str",
        "frame.comment",
    ] {
        tshark.args(["-e", field]);
    }
    let output = tshark.output().expect("tshark has to be installed");
    let text = stdout(&output);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(
        lines[0].starts_with("host/br0\t10.10.10.3\t8080\t"),
        "{text}"
    );
    assert!(lines[0].contains("hook=FORWARD verdict=accept"), "{text}");
    assert!(lines[2].starts_with("web/eth0\t"), "{text}");
    assert!(lines[2].contains("lost 12 records on CPU 1 here"), "{text}");
    // A display filter finds what is in the comments.
    let mut tshark = Command::new("tshark");
    let found = tshark
        .args(["-r", new, "-Y", "frame.comment contains \"hook=LOCAL_IN\""])
        .output();
    assert_eq!(stdout(&found.unwrap()).lines().count(), 1);
}
