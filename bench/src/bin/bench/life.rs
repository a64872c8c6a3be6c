// SPDX-License-Identifier: GPL-2.0

//! What loading costs: the module, and policies.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use nftrace_bench::render::{policy, Verdicts};
use nftrace_bench::rules::Family;
use nftrace_bench::shapes::Shape;
use nftrace_tests::vm::{Report, Vm};

use crate::machine;

/// Rules of the policies.
pub(crate) const COUNTS: [usize; 4] = [100, 1000, 10_000, 100_000];

/// Whose policies are loaded by the clock.
pub(crate) const SHAPES: [Shape; 6] = Shape::REALISTIC;

/// What loads them.
pub(crate) const SCRIPT: &str = "tests/lab/bench-life.sh";

/// By name, what is loaded: all numbers of rules of each shape.
pub(crate) fn policies(shapes: &[Shape]) -> BTreeMap<String, String> {
    let of = |shape: &Shape| {
        let shape = *shape;
        COUNTS.map(|count| {
            let set = shape.generate(Family::V4, count, 1);
            (name(shape, count), policy(&set, Verdicts::Drop))
        })
    };
    shapes.iter().flat_map(of).collect()
}

/// The name of a policy, as it stands behind `load-` and what else is known of it.
pub(crate) fn name(shape: Shape, count: usize) -> String {
    format!("{shape}-{count}")
}

/// By the names of `tests/lab/bench-life.sh`, in instructions.
pub(crate) fn measure(cpu: &str) -> Result<BTreeMap<String, i64>> {
    let vm = Vm::new("bench life")
        .script(SCRIPT, &[])
        .with_command()
        .size(1, "2G")
        .counting_instructions(cpu)
        .timeout(Duration::from_secs(3600));
    let texts = policies(&[Shape::Acl]).into_iter();
    let files = texts.map(|(name, text)| (name, text.into_bytes()));
    Ok(run(vm, files.collect())?.1)
}

/// Runs that script in a machine that is ready for it: it loads texts, or by the clock what
/// they were compiled to.
pub(crate) fn run(
    mut vm: Vm,
    policies: BTreeMap<String, Vec<u8>>,
) -> Result<(Report, BTreeMap<String, i64>)> {
    for (name, content) in policies {
        vm = vm.file(&format!("policy.{name}"), content);
    }
    let report = machine::run(&vm)?;
    let values = values(&report.file("life.txt").context("life.txt")?)?;
    Ok((report, values))
}

/// Lines "NAME VALUE".
pub(crate) fn values(text: &str) -> Result<BTreeMap<String, i64>> {
    let line = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    text.lines()
        .map(|text| line(text).with_context(|| text.to_owned()))
        .collect()
}
