// SPDX-License-Identifier: GPL-2.0

//! `nftrace path` on kernel logs, as a user runs it.

use serde_json::Value;

mod support;

use support::path::{first_packet, lines, log, objects, run, shown, with_stdin};
use support::{stderr, stdout};

#[test]
fn a_request_to_a_published_port_is_one_block_from_the_client_to_the_container() {
    let text = shown(&["--journey", "1", &log("published-port.log")]);
    assert_eq!(
        lines(&text),
        [
            "journey 1 · tcp SYN · 10.10.10.3:38478 → 10.10.10.2:8081 · request of connection 1",
            "netns 4026532248",
            "LOCAL_OUT → eth0",
            "POST_ROUTING → eth0",
            "host (4026531833)",
            "PRE_ROUTING ens160 →",
            "dnat 10.10.10.2:8081 ⇒ 172.17.0.2:8080",
            "FORWARD ens160 → br0",
            "POST_ROUTING ens160 → br0",
            "netns 4026532298",
            "PRE_ROUTING eth0 →",
            "LOCAL_IN eth0 →",
            "✓ delivered to netns 4026532298",
        ]
    );
}

#[test]
fn the_reply_is_of_the_same_connection_and_is_translated_back_behind_the_host() {
    let text = shown(&[
        "--connection",
        "1",
        "--journey",
        "2",
        &log("published-port.log"),
    ]);
    let lines = lines(&text);
    assert_eq!(
        lines[0],
        "journey 2 · tcp SYN ACK · 172.17.0.2:8080 → 10.10.10.3:38478 · reply of connection 1"
    );
    let nat = lines
        .iter()
        .position(|line| line == "un-dnat 172.17.0.2:8080 ⇒ 10.10.10.2:8081");
    assert_eq!(nat, Some(8), "{lines:?}");
    assert_eq!(lines[7], "POST_ROUTING br0 → ens160");
}

#[test]
fn the_block_format_of_other_programs_is_read_with_their_prefix_pointers_and_free_text() {
    let text = shown(&[&log("classic.log")]);
    assert_eq!(
        lines(&text)[..],
        [
            "journey 1 · packet · 172.17.0.4:41050 → 172.17.0.2:8080 · request of connection 1",
            "netns ffff9710acf85200",
            "LOCAL_OUT → eth0",
            "POST_ROUTING → eth0 +16 µs",
            "host (ffffffff8d911640)",
            "PRE_ROUTING docker0 → +18 µs",
            "FORWARD docker0 → docker0 [veth77] +13 µs",
            "POST_ROUTING docker0 → docker0 [veth77] +13 µs",
            "netns ffff9710e6a9a100",
            "PRE_ROUTING eth0 → +13 µs",
            "LOCAL_IN eth0 → +13 µs",
            "✓ delivered to netns ffff9710e6a9a100 86 µs in all",
        ]
    );
}

#[test]
fn the_example_of_one_block_alone_is_a_journey_whose_end_is_not_known() {
    let example = std::fs::read_to_string(log("classic.log")).unwrap();
    let first: Vec<&str> = example.lines().take(4).collect();
    let output = with_stdin(&["--json", "-"], first.join("\n").as_bytes());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let journey: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(journey["end"], "unknown");
    let record = &journey["records"][0];
    assert_eq!(record["hook"], "LOCAL_OUT");
    assert_eq!(record["out"], "eth0");
    assert_eq!(record["in"], Value::Null);
    assert_eq!(record["src"], "172.17.0.4:41050");
    assert_eq!(record["dst"], "172.17.0.2:8080");
}

#[test]
fn a_packet_that_died_shows_where_and_why_and_what_to_look_at() {
    let text = shown(&["--dropped", &log("dropped.log")]);
    let lines = lines(&text);
    let end = lines.iter().position(|line| line.starts_with('✗')).unwrap();
    assert_eq!(lines[end - 1], "FORWARD br0 → br1");
    assert_eq!(
        lines[end],
        "✗ dropped at FORWARD in host: NETFILTER_DROP in nft_do_chain"
    );
    assert!(lines[end + 1].contains("nft list ruleset"), "{lines:?}");
    assert_eq!(lines.len(), end + 2, "only the dropped one: {lines:?}");
}

#[test]
fn lost_records_are_shown_where_they_are_missing_and_counted_at_the_end() {
    let output = run(&[&log("dropped.log")]);
    assert!(
        stdout(&output).contains("12 records lost here"),
        "{}",
        stdout(&output)
    );
    assert!(
        stderr(&output).contains("12 records lost"),
        "{}",
        stderr(&output)
    );
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn filters_choose_by_connection_journey_namespace_and_port_before_or_after_nat() {
    let numbers = |args: &[&str], file: &str| -> Vec<u64> {
        let journeys = objects(&[args, &[&log(file)]].concat());
        journeys
            .iter()
            .map(|journey| journey["journey"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(numbers(&[], "published-port.log"), [1, 2, 3, 4, 5]);
    assert_eq!(
        numbers(&["--journey", "2", "--journey", "4"], "published-port.log"),
        [2, 4]
    );
    assert_eq!(numbers(&["--port", "8080"], "published-port.log").len(), 5);
    assert_eq!(numbers(&["--port", "8081"], "published-port.log").len(), 5);
    assert_eq!(numbers(&["--port", "22"], "published-port.log").len(), 0);
    assert_eq!(numbers(&["--connection", "2"], "dropped.log"), [2]);
    assert_eq!(numbers(&["--ns", "host"], "dropped.log"), [1]);
    assert_eq!(numbers(&["--ns", "4026532298"], "dropped.log"), [1, 2]);
    assert_eq!(numbers(&["--ns", "22"], "dropped.log"), [1, 2]);
}

#[test]
fn what_is_asked_for_and_not_there_is_an_error_that_says_what_is() {
    for (args, said) in [
        (["--ns", "web"], "4026532298, host"),
        (["--connection", "9"], "there are connections 1 to 2"),
        (["--journey", "9"], "there are journeys 1 to 2"),
    ] {
        let output = run(&[args[0], args[1], &log("dropped.log")]);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(
            stderr(&output).contains(said),
            "{args:?}: {}",
            stderr(&output)
        );
        assert!(stdout(&output).is_empty());
    }
}

#[test]
fn a_file_that_is_neither_recording_nor_log_is_an_error_that_says_what_was_looked_for() {
    for text in ["", "Linux version 7.3\n", "\u{0}\u{1}\u{2}"] {
        let output = with_stdin(&["-"], text.as_bytes());
        assert_eq!(output.status.code(), Some(1));
        let said = stderr(&output);
        for part in [
            "standard input",
            "neither a recording",
            "nftrace: v1 ",
            "PRE_ROUTING",
            "dmesg",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    let output = run(&["/nonexistent/file"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("/nonexistent/file"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn usage_errors_have_their_own_code() {
    for args in [
        &["--json", "--mermaid", "-"][..],
        &["--port", "70000", "-"],
        &["--connection", "x", "-"],
    ] {
        assert_eq!(run(args).status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn the_end_of_a_hook_is_no_second_station_and_its_absence_is_where_a_packet_died() {
    let ends = first_packet(|line| {
        let end = format!("{line} at=exit");
        match line {
            line if line.contains("ns=4026532298") => vec![],
            line if line.contains("loaded: ") || line.contains("hook=FORWARD") => {
                vec![line.to_owned()]
            }
            line if line.contains("ns=4026531833") && line.contains("hook=POST") => vec![],
            line => vec![line.to_owned(), end],
        }
    });
    let output = with_stdin(&["-"], ends.as_bytes());
    let text = lines(&stdout(&output));
    assert_eq!(
        text[1..],
        [
            "netns 4026532248",
            "LOCAL_OUT → eth0",
            "POST_ROUTING → eth0",
            "host (4026531833)",
            "PRE_ROUTING ens160 →",
            "dnat 10.10.10.2:8081 ⇒ 172.17.0.2:8080",
            "FORWARD ens160 → br0",
            "✗ dropped at FORWARD in host: it entered the hook and did not leave it",
        ]
    );
}
