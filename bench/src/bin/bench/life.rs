// SPDX-License-Identifier: GPL-2.0

//! What loading costs: the module, and policies.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use nftrace_bench::render::{policy, Verdicts};
use nftrace_bench::rules::Family;
use nftrace_bench::shapes::Shape;
use nftrace_tests::vm::Vm;

use crate::machine::run;

/// Rules of the policies.
pub(crate) const COUNTS: [usize; 4] = [100, 1000, 10_000, 100_000];

/// By name, as `tests/lab/bench-life.sh` calls it.
pub(crate) fn measure(cpu: &str) -> Result<BTreeMap<String, i64>> {
    let counts = COUNTS.map(|count| count.to_string());
    let words: Vec<&str> = counts.iter().map(String::as_str).collect();
    let mut vm = Vm::new("bench life")
        .script("tests/lab/bench-life.sh", &words)
        .with_command()
        .size(1, "2G")
        .counting_instructions(cpu)
        .timeout(Duration::from_secs(3600));
    for count in COUNTS {
        let set = Shape::Acl.generate(Family::V4, count, 1);
        let text = policy(&set, Verdicts::Drop);
        vm = vm.file(&format!("policy.{count}"), text.into_bytes());
    }
    let report = run(&vm)?;
    let text = report.file("life.txt").context("life.txt")?;
    let line = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    text.lines()
        .map(|text| line(text).with_context(|| text.to_owned()))
        .collect()
}
