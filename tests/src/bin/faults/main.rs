// SPDX-License-Identifier: GPL-2.0

//! Does everything that the module can be asked for, in a debug kernel, while the first
//! allocation of it fails, then while the second does, and so on until none is left to
//! fail; and says in JSON, a line an action, what came of it:
//!
//! - `faults module FILE`: loading and unloading it
//! - `faults controls`: the device and the parameters of the loaded one
//! - `faults sets`: the dynamic sets of a policy
//! - `faults namespaces`: namespaces that are made while a policy needs conntrack

mod controls;
mod inject;
mod module;
mod namespaces;
mod sets;

use std::path::Path;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    inject::prepare()?;
    match words[..] {
        ["module", file] => module::run(Path::new(file)),
        ["controls"] => controls::run(),
        ["sets"] => sets::run(),
        ["namespaces"] => namespaces::run(),
        _ => anyhow::bail!("usage: faults module FILE | controls | sets | namespaces"),
    }
}
