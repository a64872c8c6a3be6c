// SPDX-License-Identifier: GPL-2.0

//! `nftrace ns` as a user meets it on any machine, root or not.

use std::process::Output;

#[path = "../src/names/tests/fake.rs"]
#[allow(dead_code, reason = "not every test needs all of it")]
mod fake;

mod support;

use support::without_engines;

fn ns(args: &[&str], environment: &[(&str, &str)]) -> Output {
    without_engines(&[&["ns"], args].concat(), environment)
}

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The number of the namespace that we are in.
fn own_inode() -> u64 {
    let link = std::fs::read_link("/proc/self/ns/net").unwrap();
    let text = link.to_str().unwrap();
    text.trim_start_matches("net:[")
        .trim_end_matches(']')
        .parse()
        .unwrap()
}

#[test]
fn the_namespace_that_we_are_in_is_listed() {
    let output = ns(&["--json"], &[]);
    assert!(output.status.success(), "{}", errors(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let all: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let own = all
        .iter()
        .find(|one| one["inode"] == own_inode())
        .expect("our own");
    assert!(own["cookie"].as_u64().is_some(), "{own}");
    let devices = own["devices"].as_array().unwrap();
    assert!(devices.iter().any(|device| device == "lo"), "{own}");
}

#[test]
fn a_container_of_an_engine_that_the_environment_names_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("engine.sock");
    let id = "a".repeat(64);
    fake::serve(
        &socket,
        fake::Framing::Chunked,
        &[
            (
                "/containers/json?all=true",
                format!("[{}]", fake::listed(&id, "web", "running")),
            ),
            (
                &format!("/containers/{id}/json"),
                fake::inspected(std::process::id(), "bridge"),
            ),
        ],
    );
    let host = format!("unix://{}", socket.display());
    let output = ns(&["container:web", "--json"], &[("DOCKER_HOST", &host)]);
    assert!(output.status.success(), "{}", errors(&output));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["inode"], own_inode());

    let output = ns(&["container:wbe"], &[("DOCKER_HOST", &host)]);
    assert_eq!(output.status.code(), Some(1));
    let said = errors(&output);
    assert!(
        said.contains("unknown container 'wbe': did you mean web?"),
        "{said}"
    );
}

#[test]
fn an_unknown_namespace_is_an_error_that_says_where_to_look() {
    let output = ns(&["no-such-namespace"], &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = errors(&output);
    assert!(
        said.contains("unknown namespace 'no-such-namespace'"),
        "{said}"
    );
    assert!(said.contains("'nftrace ns' lists what there is"), "{said}");
    assert!(output.stdout.is_empty());
}

#[test]
fn an_engine_that_is_named_and_not_there_is_said_and_the_rest_shown() {
    let output = ns(&[], &[("DOCKER_HOST", "unix:///nonexistent/docker.sock")]);
    assert!(output.status.success());
    let said = errors(&output);
    assert!(
        said.contains("/nonexistent/docker.sock is not there"),
        "{said}"
    );
    assert!(output.stdout.starts_with(b"NAME"));
}

#[test]
fn an_engine_on_another_machine_is_not_asked_about_this_one() {
    let output = ns(&[], &[("DOCKER_HOST", "tcp://192.0.2.1:2375")]);
    assert!(output.status.success());
    let said = errors(&output);
    assert!(
        said.contains("DOCKER_HOST=tcp://192.0.2.1:2375 was not asked"),
        "{said}"
    );
}

#[test]
fn a_path_that_is_no_namespace_is_refused() {
    let output = ns(&["/proc/self/status"], &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = errors(&output);
    assert!(
        said.contains("/proc/self/status: it is not a network namespace"),
        "{said}"
    );
}
