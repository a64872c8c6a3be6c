// SPDX-License-Identifier: GPL-2.0

//! The module under fire, in kernels that look at themselves (docs/debug.md).

mod abuse;
mod faults;
mod scenarios;
mod storms;

use std::time::Duration;

use nftrace_tests::vm::{DebugKernel, Vm};

/// A machine with that kernel. Each has room for ten times what was measured on an idle
/// machine: others may be busy.
fn vm(name: &str, kernel: DebugKernel) -> Vm {
    Vm::new(&format!("debug {} {name}", kernel.name()))
        .debug(kernel)
        .timeout(Duration::from_secs(900))
}
