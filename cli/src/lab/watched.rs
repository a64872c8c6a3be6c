// SPDX-License-Identifier: GPL-2.0

//! The traffic of a lab, recorded: what is traced is set for it, and set back after it.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{ensure, Context as _};

use super::catalog::Scenario;
use super::sandbox::Process;
use crate::source::DeviceArgs;

/// Inside of the sandbox, so that it goes with it.
const RECORDING: &str = "/run/nftrace-lab/trace";

/// Sets back what is traced when it is dropped, or when we are no more: a process of its
/// own waits for that.
struct Guard(Child);

impl Guard {
    fn new(filter: &[u8]) -> anyhow::Result<Self> {
        let mut child = Command::new(this_program()?)
            .args(["lab", "guard"])
            .stdin(Stdio::piped())
            .spawn()
            .context("the guard of the filter does not start")?;
        let mut send = || {
            let stdin = child.stdin.as_mut().context("no pipe")?;
            let len = u32::try_from(filter.len())?;
            stdin.write_all(&len.to_le_bytes())?;
            anyhow::Ok(stdin.write_all(filter)?)
        };
        send().context("talking to the guard of the filter")?;
        Ok(Self(child))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// What the guard does: the length and the bytes of a filter come on standard input,
/// which then ends when it is to be set.
pub(super) fn guard(device: &DeviceArgs) -> anyhow::Result<()> {
    let mut stdin = std::io::stdin().lock();
    let mut len = [0; 4];
    stdin.read_exact(&mut len)?;
    let mut filter = vec![0; usize::try_from(u32::from_le_bytes(len))?];
    stdin.read_exact(&mut filter)?;
    std::io::copy(&mut stdin, &mut std::io::sink())?;
    device
        .open()?
        .set_filter(&filter)
        .context("setting back what was traced before")
}

fn this_program() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("/proc/self/exe")
}

/// Runs the traffic and shows the journeys of it, with `options` for `nftrace path`;
/// then, what is traced is what was `before`.
pub(super) fn run(
    before: &[u8],
    process: Process,
    scenario: Scenario,
    variant: &str,
    options: &[&str],
) -> anyhow::Result<()> {
    let guard = Guard::new(before)?;
    set(process, scenario, variant)?;
    let program = this_program()?;
    let recorded = process
        .command(&program)
        .args(["record", "--force", RECORDING, "--", "bash"])
        .args(process.script(scenario, "traffic", variant))
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .context("nsenter")?;
    drop(guard);
    ensure!(
        recorded.success(),
        "the traffic failed, or its recording; the lines above say why"
    );

    let shown = process
        .command(&program)
        .arg("path")
        .args(options)
        .arg(RECORDING)
        .status()
        .context("nsenter")?;
    ensure!(shown.success(), "nftrace path failed");
    Ok(())
}

/// Has its ports traced, in the lab only; ICMP where that is what the variant is about.
fn set(process: Process, scenario: Scenario, variant: &str) -> anyhow::Result<()> {
    let namespaces = process
        .command("sh")
        .args(["-c", "cut -d' ' -f2 /run/nftrace-lab/roles.txt"])
        .output()
        .context("nsenter")?;
    let namespaces = String::from_utf8_lossy(&namespaces.stdout)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(",");
    let traced: Vec<String> = scenario
        .ports()
        .iter()
        .map(|port| format!("port {port}"))
        .chain(variant.contains("icmp").then(|| "icmp".to_owned()))
        .collect();
    let status = process
        .command(this_program()?)
        .args(["trace", "set", "--ns", &namespaces, "--"])
        .arg(traced.join(" or "))
        .stdout(Stdio::null())
        .status()
        .context("nsenter")?;
    ensure!(status.success(), "what is to be traced cannot be set");
    Ok(())
}
