// SPDX-License-Identifier: GPL-2.0

//! `/dev/nftrace` on a real kernel: who reads it, how, and that every record is
//! accounted for; and the commands that use it, live.

use std::time::Duration;

use nftrace_tests::kept::{accounted, codes, errors, objects, text};
use nftrace_tests::vm::{Report, Vm};
use serde_json::Value;

fn run(what: &str) -> Report {
    let probe = std::fs::read(env!("CARGO_BIN_EXE_device")).unwrap();
    Vm::new(&format!("device {what}"))
        .script("tests/lab/device.sh", &[what])
        .file("device", probe)
        .with_command()
        .timeout(Duration::from_secs(900))
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"))
}

fn json(report: &Report, name: &str) -> Value {
    let text = text(report, name);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}: {text}"))
}

#[test]
fn the_device_is_read_in_every_way_by_those_who_may() {
    let report = run("read");
    let codes = codes(&report);
    assert_eq!(codes["checks"], 0, "{}", errors(&report, "checks"));
    let checks = json(&report, "checks");
    // Not blocking: nothing comes at once. Polling: nothing comes in time.
    assert_eq!(checks["empty"], 0, "{checks}");
    assert_eq!(checks["woken_by_nothing"], false, "{checks}");
    assert!(checks["waited_ms"].as_u64().unwrap() >= 200, "{checks}");
    // Blocking: it sleeps until a packet comes.
    assert_eq!(checks["slept"], true, "{checks}");
    assert!(checks["blocking_frames"].as_u64().unwrap() >= 1, "{checks}");
    // Every reader has a position of its own, and mapped memory shows the same.
    let first = checks["first"].as_array().unwrap();
    assert!(
        first.len() >= 4,
        "out and in at four hooks at least: {checks}"
    );
    assert_eq!(checks["first"], checks["second"]);
    assert_eq!(checks["first"], checks["mapped"]);
    assert_eq!(checks["late"], 0, "who comes later starts behind: {checks}");
    assert_eq!(
        checks["oldest"].as_u64().unwrap(),
        first.len() as u64,
        "{checks}"
    );
    assert_eq!(
        checks["read"].as_u64().unwrap(),
        first.len() as u64,
        "{checks}"
    );
    assert_eq!(
        (&checks["lost"], &checks["unread"]),
        (&Value::from(0), &Value::from(0))
    );
    assert_eq!(
        checks["writable"], false,
        "the rings can be read, not written"
    );
    for refused in [
        "broken_filter_refused",
        "large_filter_refused",
        "filter_kept",
    ] {
        assert_eq!(checks[refused], true, "{refused}: {checks}");
    }
    for powerless in ["user", "powerless"] {
        assert_eq!(codes[powerless], 1, "{powerless}");
        let text = errors(&report, powerless);
        assert!(text.contains("CAP_NET_ADMIN"), "{powerless}: {text}");
    }
    assert_eq!(
        codes["busy"], 1,
        "a module that is read from cannot be unloaded"
    );
    assert!(
        errors(&report, "busy").contains("in use"),
        "{}",
        errors(&report, "busy")
    );
}

#[test]
fn under_a_flood_every_reader_knows_exactly_what_it_lost() {
    let report = run("flood");
    let flood = json(&report, "flood");
    let produced = accounted(&flood);
    let passed: u64 = text(&report, "passed").trim().parse().unwrap();
    assert!(passed > 0);
    assert_eq!(
        produced,
        2 * passed,
        "each packet has a record of its hook, and one of its end there"
    );
    assert!(
        flood["idle"]["read"].as_u64().unwrap() > 0,
        "the newest records are kept: {flood}"
    );
    // The module counted the same.
    for (reader, told) in ["fast", "slow", "idle"]
        .iter()
        .zip(flood["told"].as_array().unwrap())
    {
        assert_eq!(told["read"], flood[*reader]["read"], "{reader}: {flood}");
        assert_eq!(told["lost"], flood[*reader]["lost"], "{reader}: {flood}");
        assert_eq!(told["unread"], 0, "{reader}: {flood}");
    }
}

#[test]
fn what_is_set_is_traced_watched_recorded_and_read_again() {
    let report = run("command");
    let codes = codes(&report);
    assert!(text(&report, "nothing").contains("nothing is traced"));
    assert_eq!(codes["set"], 0, "{}", errors(&report, "set"));
    let filter = "--proto udp --host 127.0.0.0/8 -- 'udp port 8080'";
    assert_eq!(text(&report, "show"), format!("{filter}\n"));
    let told = json(&report, "json");
    assert_eq!(told["filter"], filter);
    assert_eq!(told["hosts"][0], "127.0.0.0/8");
    assert!(told["instructions"].as_u64().unwrap() > 0);

    // The kernel's own record, that nobody has the port, is not of a hook.
    let is_ours = |record: &Value| record["len"] == 77 + 28 && record["at"] == "entry";
    let hooks = |records: &[Value]| -> Vec<String> {
        let ours = records.iter().filter(|record| is_ours(record));
        ours.map(|record| record["hook"].as_str().unwrap().to_owned())
            .collect()
    };
    let way = ["LOCAL_OUT", "POST_ROUTING", "PRE_ROUTING", "LOCAL_IN"];
    let watched = objects(&report, "watch");
    assert_eq!(hooks(&watched), way, "{watched:?}");
    assert_eq!(watched[0]["name"], "host");
    assert_eq!(watched.len(), 4, "it ends after as many as were asked for");

    // Ctrl-C ends with a summary, and that is no failure.
    assert_eq!(codes["interrupted"], 0);
    let summary = errors(&report, "interrupted");
    assert!(summary.contains("records, none lost"), "{summary}");
    assert!(summary.contains("host ("), "{summary}");
    assert!(text(&report, "interrupted").contains("LOCAL_OUT"));

    assert_eq!(
        codes["record"],
        7,
        "its program's: {}",
        errors(&report, "record")
    );
    assert_eq!(codes["replay"], 0, "{}", errors(&report, "replay"));
    let replayed = objects(&report, "replay");
    assert_eq!(hooks(&replayed), way, "{replayed:?}");
    assert_eq!(replayed[0]["name"], "host");
    assert!(
        replayed
            .iter()
            .all(|record| record["dst"] != "127.0.0.1:9090"),
        "only what the expression says: {replayed:?}"
    );
    assert_eq!(codes["pcapng"], 0, "{}", errors(&report, "pcapng"));
    let pcapng = std::fs::read(report.files.join("live.pcapng")).unwrap();
    let name = b"host/lo";
    assert!(pcapng.windows(name.len()).any(|window| window == name));
    assert_eq!(codes["timed"], 0, "{}", errors(&report, "timed"));

    assert_eq!(codes["off"], 0);
    let after = objects(&report, "after");
    assert!(
        !after.is_empty(),
        "the ring still has what was traced before"
    );
    assert!(
        after.iter().all(|record| record["len"] != 99 + 28),
        "{after:?}"
    );
}
