// SPDX-License-Identifier: GPL-2.0

//! libFuzzer around the target that `NFTRACE_TARGET` names.

#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use nftrace_targets::{Random, Target, ALL};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("NFTRACE_TARGET").unwrap_or_default();
    let known = ALL.map(|target| target.name).join(", ");
    let found = ALL.into_iter().find(|target| target.name == name);
    found.unwrap_or_else(|| panic!("there is no target {name:?}; there are {known}"))
});

fuzz_target!(init: seed(), |input: &[u8]| (TARGET.run)(input));

// Half of the changes are the target's own, where it has some; the others libFuzzer's.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut random = Random::new(seed.into());
    if random.one_in(2) {
        let mut input = data[..size].to_vec();
        if (TARGET.change)(&mut input, &mut random) && input.len() <= max_size {
            data[..input.len()].copy_from_slice(&input);
            return input.len();
        }
    }
    fuzzer_mutate(data, size, max_size)
});

/// Fills an empty corpus, the first folder among the arguments, with the target's inputs.
fn seed() {
    let is_empty = |path: &&Path| path.read_dir().is_ok_and(|mut dir| dir.next().is_none());
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(corpus) = arguments.iter().map(Path::new).find(is_empty) {
        for (number, input) in (TARGET.seeds)().into_iter().enumerate() {
            std::fs::write(corpus.join(format!("seed-{number:03}")), input)
                .expect("the corpus can be written to");
        }
    }
}
