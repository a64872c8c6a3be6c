// SPDX-License-Identifier: GPL-2.0

//! A lab of its own: namespaces in which a scenario's `host` is none of this machine's.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context as _};
use rustix::process::{kill_process, Pid, Signal};

use super::catalog::{Scenario, SANDBOX, SCRIPTS};

/// Where the sandbox keeps the scripts.
const SCRIPT_FOLDER: &str = "/run/nftrace-lab/lab";

/// A process by its number and its start, which no other process has both of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
pub(super) struct Process {
    /// Its number.
    pub(super) pid: i32,
    /// When it started, in the kernel's ticks since boot.
    start: u64,
}

/// A sandbox that runs.
#[derive(Debug)]
pub(super) struct Sandbox {
    /// Process 1 of it.
    pub(super) process: Process,
    /// What started it, and holds its standard input; none where it lives by itself.
    child: Option<Child>,
}

impl Process {
    /// The one that has this number now.
    fn of(pid: i32) -> Option<Self> {
        Some(Self {
            pid,
            start: start_of(pid)?,
        })
    }

    /// Whether it still runs.
    pub(super) fn lives(self) -> bool {
        start_of(self.pid) == Some(self.start)
    }

    /// Ends it, and all that is in its namespaces.
    pub(super) fn kill(self) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.lives() {
            ensure!(
                Instant::now() < deadline,
                "process {} does not end",
                self.pid
            );
            let pid = Pid::from_raw(self.pid).context("no process")?;
            match kill_process(pid, Signal::KILL) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("ending process {}", self.pid))
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// `program` inside of its namespaces.
    pub(super) fn command(self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", self.pid));
        if !is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        // A scenario may want a policy, and this command need not be where programs are.
        if let Ok(own) = std::env::current_exe() {
            command.env("NFTRACE", own);
        }
        command
            .args(["--mount", "--net", "--pid", "--"])
            .arg(program);
        command
    }

    /// What bash runs for a step of a scenario.
    pub(super) fn script(self, scenario: Scenario, step: &str, variant: &str) -> [String; 3] {
        [
            format!("{SCRIPT_FOLDER}/{}.sh", scenario.id),
            step.to_owned(),
            variant.to_owned(),
        ]
    }

    /// Runs a step of a scenario: `up`, `traffic` or `down`; `quiet`: silent unless it fails.
    pub(super) fn step(
        self,
        scenario: Scenario,
        step: &str,
        variant: &str,
        quiet: bool,
    ) -> anyhow::Result<()> {
        let mut command = self.command("bash");
        command
            .args(self.script(scenario, step, variant))
            .stdin(Stdio::null());
        let name = scenario.name();
        let failed = || format!("{name}: '{step} {variant}' failed; its last line above says why");
        if quiet {
            let output = command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .output()
                .context("nsenter")?;
            if !output.status.success() {
                eprint!(
                    "{}{}",
                    String::from_utf8_lossy(&output.stdout),
                    String::from_utf8_lossy(&output.stderr)
                );
                bail!(failed());
            }
        } else {
            let status = command
                .stdout(std::io::stderr())
                .status()
                .context("nsenter")?;
            ensure!(status.success(), failed());
        }
        Ok(())
    }
}

impl Sandbox {
    /// Makes one. It ends with us; with `hold`, when it is killed.
    pub(super) fn start(hold: bool) -> anyhow::Result<Self> {
        let mut command = Command::new("unshare");
        if !is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args([
            "--mount",
            "--net",
            "--pid",
            "--fork",
            "--kill-child=KILL",
            "bash",
            "-c",
            SANDBOX,
            "lab",
        ]);
        for (name, script) in SCRIPTS {
            command.env(format!("nftrace_lab_{name}"), script);
        }
        if hold {
            command.env("NFTRACE_LAB_HOLD", "1").stdin(Stdio::null());
        } else {
            command.stdin(Stdio::piped());
        }
        // The terminal's Ctrl-C is for us alone.
        command.process_group(0).stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .context("unshare (package util-linux) does not start")?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let pid = line
            .strip_prefix("ready ")
            .and_then(|pid| pid.trim().parse().ok());
        let Some(process) = pid.and_then(Process::of) else {
            let _ = child.kill();
            let _ = child.wait();
            bail!(
                "this {} make namespaces: {}",
                if is_root() {
                    "machine does not let us"
                } else {
                    "user may not"
                },
                "the message above says why; run it as root, or in the VM: make lab"
            );
        };
        Ok(Self {
            process,
            child: (!hold).then_some(child),
        })
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Its standard input ends here, and so does it; this is only faster.
            drop(child.stdin.take());
            let _ = self.process.kill();
            let _ = child.wait();
        }
    }
}

pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Field 22 of `/proc/PID/stat`; a process that only waits to be reaped has none.
fn start_of(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}
