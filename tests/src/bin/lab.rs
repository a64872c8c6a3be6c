// SPDX-License-Identifier: GPL-2.0

//! `make lab SCENARIO=S6`: `nftrace lab run` in a virtual machine with the module.
//!
//! Standard output gets the journeys; what surrounds them goes to standard error.

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use nftrace_tests::command;
use nftrace_tests::vm::Vm;

fn main() -> ExitCode {
    let mut words = env::args().skip(1);
    let Some(scenario) = words.next() else {
        eprintln!("nftrace: usage: make lab SCENARIO=S6 [VARIANT=bare]; scenarios are in lab/");
        return ExitCode::from(2);
    };
    let variant = words.next().unwrap_or_default();
    if let Err(error) = command::binary() {
        eprintln!("nftrace: lab: {error:#}");
        return ExitCode::FAILURE;
    }
    eprintln!("nftrace: lab: booting a stock Debian kernel in a virtual machine (usually 30 s without KVM) ...");
    let vm = Vm::new(&format!("lab {scenario} {variant}"))
        .script("tests/lab/lab.sh", &["run", &scenario, &variant])
        .with_command()
        .timeout(Duration::from_secs(300))
        .size(2, "2G");
    match vm.run() {
        Ok(report) => match report.file("journeys.txt") {
            Ok(text) => {
                print!("{text}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("nftrace: lab: no journeys: {error}");
                ExitCode::FAILURE
            }
        },
        Err(failure) => {
            eprintln!("nftrace: lab: {failure}");
            ExitCode::FAILURE
        }
    }
}
