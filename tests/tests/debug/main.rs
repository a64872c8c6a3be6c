// SPDX-License-Identifier: GPL-2.0

//! The module under fire, in kernels that look at themselves (docs/debug.md).

mod abuse;
mod canary;
mod faults;
mod pester;
mod scenarios;
mod storms;

use std::time::Duration;

use nftrace_tests::vm::{DebugKernel, Vm};

/// Ten times, in seconds, what the longest takes on an idle machine: others may be busy.
const LIMIT: u64 = 1800;

/// A machine with that kernel.
fn vm(name: &str, kernel: DebugKernel) -> Vm {
    Vm::new(&format!("debug {} {name}", kernel.name()))
        .debug(kernel)
        .timeout(Duration::from_secs(LIMIT))
}
