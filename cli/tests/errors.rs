// SPDX-License-Identifier: GPL-2.0

//! What goes wrong is said with what to do about it, and the exit code tells it too.

use std::io::{BufRead as _, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

mod support;

use support::{nftrace, stderr};

#[test]
fn without_the_module_every_command_that_needs_it_says_how_to_load_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new.nft");
    let file = file.to_str().unwrap();
    for arguments in [
        &["watch"][..],
        &["record", file],
        &["trace", "show"],
        &["trace", "off"],
        &["trace", "set", "--port", "80"],
    ] {
        let output = nftrace(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let text = stderr(&output);
        assert!(
            text.contains("module is not loaded"),
            "{arguments:?}: {text}"
        );
        assert!(text.contains("insmod nftrace.ko"), "{arguments:?}: {text}");
    }
    assert!(
        !std::path::Path::new(file).exists(),
        "no empty recording is left behind"
    );
}

#[test]
fn another_device_is_not_taken_for_the_module() {
    let output = nftrace(&["watch", "--device", "/dev/null"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("/dev/null: this is not the device"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_device_that_may_not_be_opened_asks_for_the_capability() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let device = folder.path().join("nftrace");
    std::fs::write(&device, "").unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&device, std::fs::Permissions::from_mode(0o000)).unwrap();
    // Root may open everything, so somebody else tries.
    let mut command = Command::new("setpriv");
    let binary = folder.path().join("command");
    std::fs::copy(env!("CARGO_BIN_EXE_nftrace"), &binary).unwrap();
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(binary);
    let output = command
        .args(["watch", "--device"])
        .arg(&device)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("CAP_NET_ADMIN"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_reader_that_has_enough_ends_the_command_quietly() {
    let frames = support::way().repeat(5000);
    let (_folder, path) = support::file("long.nft", &support::recording(&frames));
    let mut command = Command::new(env!("CARGO_BIN_EXE_nftrace"));
    let command = command
        .args(["watch", &path])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    // Reads one line and closes the pipe.
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(line.contains("FORWARD"), "{line}");
    assert_eq!(
        (output.status.code(), stderr(&output).as_str()),
        (Some(0), "")
    );
}

#[test]
fn nobody_who_reads_is_no_failure_whatever_is_written() {
    let (_folder, path) = support::file("way.nft", &support::recording(&support::way()));
    for arguments in [
        &["lab", "list"][..],
        &["lab", "list", "S6"],
        &["lab", "list", "--json"],
        &["ns"],
        &["ns", "--json"],
        &["watch", &path],
        &["watch", "--journeys", &path],
        &["path", &path],
        &["path", "--json", &path],
        &["path", "--html", &path],
        &["record", "--from", &path, "-"],
        &["record", "--pcapng", "--from", &path, "-"],
    ] {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(ours);
        let output = Command::new(env!("CARGO_BIN_EXE_nftrace"))
            .args(arguments)
            .stdout(OwnedFd::from(theirs))
            .output()
            .unwrap();
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {text}");
        assert!(!text.contains("pipe"), "{arguments:?}: {text}");
    }
}

#[test]
fn an_output_that_takes_no_more_is_named() {
    let (_folder, path) = support::file("way.nft", &support::recording(&support::way()));
    for arguments in [
        &["lab", "list"][..],
        &["ns"],
        &["watch", &path],
        &["path", &path],
        &["record", "--from", &path, "-"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_nftrace"))
            .args(arguments)
            .stdout(std::fs::File::create("/dev/full").unwrap())
            .output()
            .unwrap();
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
        let line = text.lines().last().unwrap_or_default();
        assert!(
            line.contains("standard output: No space left on device"),
            "{arguments:?}: {text}"
        );
    }
}
