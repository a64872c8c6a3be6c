// SPDX-License-Identifier: GPL-2.0

//! Every target with the inputs that are kept, and with as many mutants of them as its
//! budget allows: the same ones each time. `NFTRACE_FUZZ=10` tries ten times as many,
//! `NFTRACE_FUZZ_SEED` others.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::Path;

use nftrace_targets::{files, mutant, setting, Random, Target, ALL};

/// What is kept of an input that breaks the target.
fn keep(target: &Target, input: &[u8]) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(format!("{}-crash", target.name));
    std::fs::write(&path, input).expect("the target folder can be written to");
    let path = path.display();
    format!(
        "{path} breaks it; alone: tests/fuzz/run {} {path}",
        target.name
    )
}

fn try_one(target: &Target, input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err() {
        panic!("{}", keep(target, input));
    }
}

fn all_hold(name: &str) {
    let target = ALL
        .iter()
        .find(|target| target.name == name)
        .expect("a target of that name");
    let mut inputs = (target.seeds)();
    inputs.extend(files(&format!("tests/fuzz/seeds/{name}"), ""));
    assert!(!inputs.is_empty());
    for input in &inputs {
        try_one(target, input);
    }
    let times = usize::try_from(setting("NFTRACE_FUZZ", 1)).expect("a small number");
    let mut random = Random::new(setting("NFTRACE_FUZZ_SEED", 1));
    for _ in 0..target.mutants * times {
        try_one(target, &mutant(target, &inputs, &mut random));
    }
}

macro_rules! targets {
    ($($name:ident),*) => {
        $(
            #[test]
            fn $name() {
                all_hold(stringify!($name));
            }
        )*

        #[test]
        fn every_target_is_tried() {
            assert_eq!(ALL.map(|target| target.name), [$(stringify!($name)),*]);
        }
    };
}

targets!(parse, classify, verify, policy, sets, iptables, nft, recording, log, filter);
