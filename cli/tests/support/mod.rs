// SPDX-License-Identifier: GPL-2.0

//! Runs the command, and makes recordings as `docs/recording.md` describes them: not
//! with the command's own writer, so that the page is tested too.

#![allow(dead_code, reason = "not every test needs everything")]

use std::process::{Command, Output};

use nftrace_core::abi::{Frame, FRAMES, FRAME_SIZE};
use nftrace_core::hook::{Family, Hook};
use nftrace_core::packet::{Packet, Ports, Protocol, Tcp, Transport};
use nftrace_core::record::{Device, Kind, Record, Site};
use zerocopy::IntoBytes as _;

pub(crate) mod path;

/// The command with these arguments.
pub(crate) fn nftrace(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nftrace"));
    let command = command
        .env("NFTRACE_DEVICE", "/nonexistent/nftrace")
        .env("NO_COLOR", "1");
    command.args(arguments).output().unwrap()
}

/// The command where there are no engines but those of the environment.
pub(crate) fn without_engines(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_nftrace"))
        .args(arguments)
        .env_remove("DOCKER_HOST")
        .env_remove("CONTAINER_HOST")
        .env("XDG_RUNTIME_DIR", folder.path())
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// One object a line.
pub(crate) fn json_lines(text: &str) -> Vec<serde_json::Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn device(name: &str) -> Device {
    let mut bytes = [0; 16];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    Device {
        index: 2,
        name: bytes,
    }
}

/// A SYN to a container, at a hook, `micros` after the others began.
pub(crate) fn frame(
    micros: u64,
    hook: Hook,
    cookie: u64,
    input: &str,
    output: &str,
    lost: u64,
) -> Frame {
    let site = Site {
        kind: Kind::Entry,
        hook,
        family: Family::Ipv4,
        time: 5_000_000_000 + micros * 1000,
        cookie,
        inode: 4_026_531_000 + u32::try_from(cookie).unwrap(),
        dev: device(if output.is_empty() { input } else { output }),
        input: device(input),
        output: device(output),
        skb: 0x5f3a_9c10,
        len: 60,
        mark: 0,
        gso_segs: 0,
        cpu: 1,
        conntrack: None,
        socket: None,
        logged: false,
    };
    let packet = Packet {
        src: "10.10.10.3".parse().unwrap(),
        dst: "172.17.0.2".parse().unwrap(),
        protocol: Protocol::TCP,
        fragment: None,
        id: 7,
        transport: Transport::Tcp(Tcp {
            ports: Ports {
                src: 5000,
                dst: 8080,
            },
            seq: 1,
            ack: 0,
            flags: 2,
        }),
    };
    Frame {
        position: micros,
        lost,
        record: Record::new(&site, &packet),
    }
}

/// From the host's bridge into the container `web`; 12 records are lost in between.
pub(crate) fn way() -> Vec<Frame> {
    vec![
        frame(0, Hook::Forward, 1, "ens160", "br0", 0),
        frame(20, Hook::PostRouting, 1, "ens160", "br0", 0),
        frame(50, Hook::PreRouting, 7, "eth0", "", 12),
        frame(60, Hook::LocalIn, 7, "eth0", "", 0),
    ]
}

fn block(tag: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_le_bytes();
    let head = [&tag[..], &len].concat();
    let sum = |bytes: &[u8]| crc32fast::hash(bytes).to_le_bytes();
    [&head[..], &sum(&head), payload, &sum(payload)].concat()
}

/// A recording that ends as it should.
pub(crate) fn recording(frames: &[Frame]) -> Vec<u8> {
    let mut bytes = b"\x89NFT\r\n\x1a\n".to_vec();
    for number in [1, FRAMES, u32::try_from(FRAME_SIZE).unwrap()] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    let host = serde_json::json!({
        "kernel": "7.3.0", "hostname": "lab", "init_cookie": 1, "init_inode": 4_026_531_001_u32,
        "realtime_offset": 1_700_000_000_000_000_000_u64, "filter": "--port 8080",
    });
    bytes.extend(block(b"HOST", host.to_string().as_bytes()));
    let names = serde_json::json!([{ "cookie": 7, "inode": 4_026_531_007_u32, "name": "web", "gone": true }]);
    bytes.extend(block(b"NAME", names.to_string().as_bytes()));
    for frames in frames.chunks(2) {
        bytes.extend(block(b"FRMS", frames.as_bytes()));
    }
    let lost: u64 = frames.iter().map(|frame| frame.lost).sum();
    let end = serde_json::json!({ "records": frames.len(), "lost": lost });
    bytes.extend(block(b"END.", end.to_string().as_bytes()));
    bytes
}

/// A folder with that file in it, and the file's path.
pub(crate) fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}
