// SPDX-License-Identifier: GPL-2.0

//! What is not printed is counted: no record is lost in silence.

use std::collections::HashMap;

use nftrace_core::record::v1;
use nftrace_tests::vm::{Report, Vm};
use regex::Regex;

fn run(name: &str, args: &[&str]) -> Report {
    Vm::new(name)
        .script("tests/lab/limits.sh", args)
        .run()
        .unwrap_or_else(|failure| panic!("{failure}"))
}

/// How many packets passed in each namespace: inode and number, by role.
fn passed(report: &Report) -> HashMap<String, (u32, u64)> {
    let text = report.file("passed.txt").unwrap();
    text.lines()
        .map(|line| {
            let mut words = line.split(' ');
            let mut word = || words.next().expect("three words");
            let (role, inode, packets) = (word(), word(), word());
            (
                role.to_owned(),
                (inode.parse().unwrap(), packets.parse().unwrap()),
            )
        })
        .collect()
}

/// The numbers of a line that matches.
fn numbers(pattern: &Regex, message: &str) -> Option<Vec<u64>> {
    let captures = pattern.captures(message)?;
    let all = captures.iter().skip(1).flatten();
    Some(all.map(|group| group.as_str().parse().unwrap()).collect())
}

/// What the log says of one namespace.
#[derive(Debug, Default)]
struct Account {
    /// Records that were printed in each window that suppressed some or was waited for.
    printed: Vec<u64>,
    suppressed: u64,
    cookies: Vec<u64>,
}

impl Account {
    fn total(&self) -> u64 {
        self.printed.iter().sum::<u64>() + self.suppressed
    }
}

/// The account of each namespace, by inode, and how many records were lost.
fn accounts(report: &Report, rate: u64) -> (HashMap<u32, Account>, u64, usize) {
    let suppressed =
        Regex::new(r"^nftrace: suppressed (\d+) records of ns=(\d+) cookie=(\d+): log_rate=(\d+)$")
            .unwrap();
    let lost =
        Regex::new(r"^nftrace: lost (\d+) records on CPU (\d+): its ring was full$").unwrap();
    let mut accounts: HashMap<u32, Account> = HashMap::new();
    let (mut all_lost, mut losses) = (0, 0);
    for message in report.messages() {
        if let Some(record) = v1::parse(message) {
            let account = accounts.entry(record.inode).or_default();
            if account.printed.is_empty() {
                account.printed.push(0);
            }
            *account.printed.last_mut().unwrap() += 1;
            account.cookies.push(record.cookie);
        } else if let Some(numbers) = numbers(&suppressed, message) {
            let inode = u32::try_from(numbers[1]).unwrap();
            let account = accounts.entry(inode).or_default();
            account.suppressed += numbers[0];
            account.printed.push(0);
            account.cookies.push(numbers[2]);
            assert_eq!(numbers[3], rate, "{message}");
        } else if message == "lab: both" {
            // The windows before are over, those that suppressed nothing too.
            for account in accounts.values_mut() {
                account.printed.push(0);
            }
        } else if let Some(numbers) = numbers(&lost, message) {
            all_lost += numbers[0];
            losses += 1;
        }
    }
    for account in accounts.values_mut() {
        account.cookies.dedup();
        assert_eq!(account.cookies.len(), 1, "{account:?}");
    }
    (accounts, all_lost, losses)
}

/// The module's own counters, as the script read them.
fn counters(report: &Report) -> [u64; 3] {
    let text = report.file("counters.txt").unwrap();
    let pattern =
        Regex::new(r"^printed=(\d+) suppressed=(\d+) lost=(\d+) truncated=0 malformed=0\n$");
    let numbers = numbers(&pattern.unwrap(), &text).unwrap_or_else(|| panic!("{text}"));
    [numbers[0], numbers[1], numbers[2]]
}

#[test]
fn a_namespace_that_floods_the_log_is_held_to_its_rate_and_starves_no_other() {
    let report = run("limits: rate", &["rate"]);
    let passed = passed(&report);
    let (accounts, lost, _) = accounts(&report, 10);
    let (left, left_packets) = passed["left"];
    let (right, right_packets) = passed["right"];
    assert_eq!((left_packets, right_packets), (800, 202));

    // At LOCAL_OUT, POST_ROUTING and PRE_ROUTING, where each was dropped, and that.
    assert_eq!(lost, 0);
    assert_eq!(accounts[&left].total(), 4 * left_packets);
    assert_eq!(accounts[&right].total(), 4 * right_packets);
    assert_eq!(accounts.len(), 2);
    for account in accounts.values() {
        assert!(account.suppressed > 0, "{account:?}");
        assert!(account.printed.contains(&10), "{account:?}");
        assert!(account.printed.iter().all(|&n| n <= 10), "{account:?}");
    }

    // While `left` was over its rate, all eight of `right` were printed.
    let before = report
        .messages()
        .take_while(|message| *message != "lab: both");
    let right_before = before
        .filter_map(v1::parse)
        .filter(|record| record.inode == right)
        .count();
    assert_eq!(right_before, 8);

    let printed = accounts.values().flat_map(|account| &account.printed).sum();
    let suppressed = accounts.values().map(|account| account.suppressed).sum();
    assert_eq!(counters(&report), [printed, suppressed, 0]);
}

#[test]
fn what_a_full_ring_cannot_take_is_lost_and_counted_exactly() {
    let report = run("limits: overflow", &["overflow"]);
    let (ctr, packets) = passed(&report)["ctr"];
    let (accounts, lost, losses) = accounts(&report, 3000);
    assert_eq!(packets, 24000);
    assert!(lost > 0 && losses > 0, "no ring overflowed");
    let account = &accounts[&ctr];
    let printed: u64 = account.printed.iter().sum();
    eprintln!(
        "printed {printed}, suppressed {}, lost {lost} in {losses} lines",
        account.suppressed
    );
    // Each at PRE_ROUTING, and its end there.
    assert_eq!(account.total() + lost, 2 * packets);
    assert_eq!(counters(&report), [printed, account.suppressed, lost]);
}
