// SPDX-License-Identifier: GPL-2.0

//! Puts one policy in the place of another in a guest, in every way there is, and says
//! in JSON what came of it:
//!
//! - `swaps traffic TIMES`: two policies that differ in every rule take turns, while
//!   packets go from the namespace `left` to `right`
//! - `swaps mutants SEED COUNT`: damaged blobs
//! - `swaps large MEBIBYTES TIMES`: a sound blob of that size
//! - `swaps waits RULES TIMES`: how long others wait while it is verified

mod large;
mod mutants;
mod mutations;
mod probe;
mod traffic;
mod waits;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let told = match words[..] {
        ["traffic", times] => traffic::run(times.parse()?)?,
        ["mutants", seed, count] => mutants::run(seed.parse()?, count.parse()?)?,
        ["large", size, times] => large::run(size.parse()?, times.parse()?)?,
        ["waits", rules, times] => waits::run(rules.parse()?, times.parse()?)?,
        _ => anyhow::bail!(
            "usage: swaps traffic TIMES | mutants SEED COUNT | large MEBIBYTES TIMES | \
             waits RULES TIMES"
        ),
    };
    println!("{told}");
    Ok(())
}
