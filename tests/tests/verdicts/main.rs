// SPDX-License-Identifier: GPL-2.0

//! Every match at every hook that knows it, for packets that it holds for and for those
//! that it does not, in both families; and every verdict at every hook that can give it.

mod enforced;
mod paths;
mod rows;
mod states;

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use nftrace_policy::{load_text, Memory};
use nftrace_tests::kept::{codes, errors, objects, text};
use nftrace_tests::vm::{Report, Vm};

use enforced::Attempt;
use paths::{facts, Facts, Protocol, Way};
use rows::{refusal, rows, Row, SETS};

/// One policy, while the packets of one protocol go one way in both families.
struct Event {
    way: Way,
    protocol: Protocol,
    rows: Vec<Row>,
}

impl Event {
    fn name(&self) -> String {
        format!("{}-{}", self.way.name(), self.protocol.name())
    }

    fn policy(&self) -> String {
        let rules: Vec<String> = self.rows.iter().map(Row::rule).collect();
        format!("{SETS}{}\n", rules.join("\n"))
    }
}

fn all_facts() -> impl Iterator<Item = (Way, Protocol, Facts)> {
    let ways = Way::ALL.into_iter();
    let both = ways.flat_map(|way| Protocol::ALL.map(|protocol| (way, protocol)));
    both.flat_map(|(way, protocol)| {
        let families = [true, false].into_iter();
        let facts = families.flat_map(move |is_ipv4| facts(way, protocol, is_ipv4));
        facts.map(move |facts| (way, protocol, facts))
    })
}

fn events() -> Vec<Event> {
    let mut events = BTreeMap::new();
    for (way, protocol, facts) in all_facts() {
        let event = events
            .entry((way.name(), protocol.name()))
            .or_insert_with(|| Event {
                way,
                protocol,
                rows: Vec::new(),
            });
        let taken = |row: &Row| refusal(row.about, &facts).is_none();
        event.rows.extend(rows(&facts).into_iter().filter(taken));
    }
    events.into_values().collect()
}

static REPORT: LazyLock<Report> = LazyLock::new(|| {
    let attempts = enforced::attempts();
    let last = attempts.last().expect("there are attempts").port;
    let first = enforced::FIRST_PORT;
    let program = |path: &str| std::fs::read(path).unwrap();
    let mut vm = Vm::new("verdicts")
        .script(
            "tests/lab/verdicts.sh",
            &[&first.to_string(), &last.to_string()],
        )
        .file("knock", program(env!("CARGO_BIN_EXE_knock")))
        .file("queue", program(env!("CARGO_BIN_EXE_queue")))
        .file("enforced.policy", enforced::policy(&attempts).into_bytes())
        .with_command()
        .timeout(Duration::from_secs(900));
    let states: Vec<String> = states::rules().into_iter().map(|(rule, _)| rule).collect();
    vm = vm.file("states.policy", (states.join("\n") + "\n").into_bytes());
    for from in ["outside", "other"] {
        let list = enforced::list(&attempts, from);
        vm = vm.file(&format!("{from}.list"), list.into_bytes());
    }
    for event in events() {
        vm = vm.file(
            &format!("{}.policy", event.name()),
            event.policy().into_bytes(),
        );
    }
    vm.run().unwrap_or_else(|failure| panic!("{failure}"))
});

/// What is wrong about the rows of one event.
fn wrong(event: &Event) -> Vec<String> {
    let name = event.name();
    let loaded = codes(&REPORT)[&format!("{name}-load")];
    assert_eq!(loaded, 0, "{}", errors(&REPORT, &format!("{name}-load")));
    let shown = &objects(&REPORT, &name)[0];
    let rules = shown["rules"].as_array().unwrap();
    assert_eq!(rules.len(), event.rows.len(), "{name}");
    let mut wrong = Vec::new();
    for (row, rule) in event.rows.iter().zip(rules) {
        let packets = rule["packets"].as_u64().unwrap();
        if packets != row.expected {
            let rule = row.rule();
            wrong.push(format!(
                "{name}: {packets} instead of {}: {rule}",
                row.expected
            ));
        }
    }
    wrong
}

#[test]
fn every_match_holds_for_its_packets_and_for_no_others_at_every_hook() {
    let events = events();
    let wrong: Vec<String> = events.iter().flat_map(wrong).collect();
    let rows = events.iter().flat_map(|event| &event.rows);
    let (held, not): (Vec<&Row>, Vec<&Row>) = rows.partition(|row| row.expected > 0);
    println!("{} rows that match, {} that do not", held.len(), not.len());
    assert!(
        wrong.is_empty(),
        "{} are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(held.len() > 1000 && not.len() > 1000);
}

#[test]
fn every_state_of_conntrack_holds_for_its_packets_and_for_no_others() {
    let rules = states::rules();
    let loaded = codes(&REPORT)["states-load"];
    assert_eq!(loaded, 0, "{}", errors(&REPORT, "states-load"));
    let shown = &objects(&REPORT, "states")[0];
    let counted = shown["rules"].as_array().unwrap();
    assert_eq!(counted.len(), rules.len());
    let wrong = |((rule, matches), counted): (&(String, bool), &serde_json::Value)| {
        let packets = counted["packets"].as_u64().unwrap();
        ((packets > 0) != *matches).then(|| format!("{packets} packets: {rule}"))
    };
    let wrong: Vec<String> = rules.iter().zip(counted).filter_map(wrong).collect();
    assert!(
        wrong.is_empty(),
        "{} are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn a_hook_refuses_what_it_cannot_know_and_says_why() {
    let mut count = 0;
    for (_, _, facts) in all_facts() {
        for row in rows(&facts) {
            let Some(reason) = refusal(row.about, &facts) else {
                continue;
            };
            let rule = row.rule();
            let text = format!("{SETS}{rule}\n");
            let report = load_text("policy", &text, &Memory::default())
                .expect_err(&format!("taken: {rule}"))
                .to_string();
            assert!(report.contains(reason), "{rule}: no '{reason}' in {report}");
            count += 1;
        }
    }
    for (rule, reason) in enforced::refused() {
        let report = load_text("policy", &format!("{rule}\n"), &Memory::default())
            .expect_err(&format!("taken: {rule}"))
            .to_string();
        assert!(report.contains(reason), "{rule}: no '{reason}' in {report}");
        count += 1;
    }
    assert!(count > 500, "{count} only");
}

#[test]
fn every_verdict_does_what_it_says_at_every_hook_that_can() {
    let attempts = enforced::attempts();
    let loaded = codes(&REPORT)["enforced-load"];
    assert_eq!(loaded, 0, "{}", errors(&REPORT, "enforced-load"));
    let mut outcomes = BTreeMap::new();
    for from in ["outside", "other"] {
        for line in text(&REPORT, &format!("{from}-knocks")).lines() {
            let (attempt, outcome) = line.rsplit_once(' ').expect("an outcome");
            outcomes.insert((from, attempt.to_owned()), outcome.to_owned());
        }
    }
    let wrong = |attempt: &Attempt| {
        let outcome = outcomes.get(&(attempt.from, attempt.name()));
        let outcome = outcome.map_or("nothing", String::as_str);
        (outcome != attempt.expected).then(|| {
            let (name, rule) = (attempt.name(), &attempt.rule);
            format!("{name}: {outcome} instead of {}: {rule}", attempt.expected)
        })
    };
    let wrong: Vec<String> = attempts.iter().filter_map(wrong).collect();
    println!("{} attempts", attempts.len());
    assert!(
        wrong.is_empty(),
        "{} are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
