// SPDX-License-Identifier: GPL-2.0

//! What is fuzzed: for each target inputs to begin with, and what must hold of any input.
//!
//! `tests/fuzz` has libFuzzer find inputs by coverage. `tests/targets.rs` here tries the
//! kept ones and a fixed number of mutants of them, the same at each run.

// The unit tests of the files that are taken from elsewhere are run there.
#![cfg(not(test))]

mod blob;
#[allow(unreachable_pub, reason = "tests elsewhere use it, too")]
#[path = "../../src/checkout.rs"]
mod checkout;
mod classify;
mod filter;
mod import;
mod log;
mod mutate;
mod parse;
mod policy;
#[path = "../../src/random.rs"]
mod random;
#[allow(dead_code, unused_imports, reason = "the command uses more of it")]
#[path = "../../../cli/src/recording/mod.rs"]
mod recording;
mod recordings;
mod sets;
#[path = "../../src/setting.rs"]
mod setting;
#[allow(dead_code, unreachable_pub, reason = "tests elsewhere use more of it")]
#[path = "../../src/vectors.rs"]
mod vectors;
mod verify;
mod world;

pub use mutate::mutant;
pub use random::Random;
pub use setting::setting;

/// The longest input that is tried.
pub const LONGEST: usize = 4096;

/// One target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// As `tests/fuzz/run` calls it.
    pub name: &'static str,
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Does with an input what nftrace does with it, and panics where that goes wrong.
    pub run: fn(&[u8]),
    /// Changes an input in a way of its own; false: there is none, or not for this one.
    pub change: fn(&mut Vec<u8>, &mut Random) -> bool,
    /// How many mutants the short run tries.
    pub mutants: usize,
}

/// Bytes are changed as bytes.
fn as_bytes(_: &mut Vec<u8>, _: &mut Random) -> bool {
    false
}

/// All of them.
pub const ALL: [Target; 10] = [
    Target {
        name: "parse",
        seeds: parse::seeds,
        run: parse::run,
        change: as_bytes,
        mutants: 100_000,
    },
    Target {
        name: "classify",
        seeds: classify::seeds,
        run: classify::run,
        change: as_bytes,
        mutants: 100_000,
    },
    Target {
        name: "verify",
        seeds: verify::seeds,
        run: verify::run,
        change: verify::change,
        mutants: 20_000,
    },
    Target {
        name: "policy",
        seeds: policy::seeds,
        run: policy::run,
        change: as_bytes,
        mutants: 10_000,
    },
    Target {
        name: "sets",
        seeds: sets::seeds,
        run: sets::run,
        change: as_bytes,
        mutants: 10_000,
    },
    Target {
        name: "iptables",
        seeds: import::iptables_seeds,
        run: import::iptables_run,
        change: as_bytes,
        mutants: 10_000,
    },
    Target {
        name: "nft",
        seeds: import::nft_seeds,
        run: import::nft_run,
        change: as_bytes,
        mutants: 10_000,
    },
    Target {
        name: "recording",
        seeds: recordings::seeds,
        run: recordings::run,
        change: as_bytes,
        mutants: 20_000,
    },
    Target {
        name: "log",
        seeds: log::seeds,
        run: log::run,
        change: as_bytes,
        mutants: 8_000,
    },
    Target {
        name: "filter",
        seeds: filter::seeds,
        run: filter::run,
        change: as_bytes,
        mutants: 50_000,
    },
];

/// The files of a folder of this repository, in the order of their names; of those only
/// whose name ends so.
///
/// # Panics
///
/// When one cannot be read.
#[must_use]
pub fn files(folder: &str, ends: &str) -> Vec<Vec<u8>> {
    let folder = checkout::top().join(folder);
    let Ok(entries) = folder.read_dir() else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("a folder that can be read").path())
        .filter(|path| path.to_string_lossy().ends_with(ends))
        .collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| std::fs::read(path).expect("a file that can be read");
    paths.iter().map(read).collect()
}
