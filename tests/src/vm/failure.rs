// SPDX-License-Identifier: GPL-2.0

//! Why a test in a machine failed, told so that the reader needs no second run.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::log::Fault;

/// How many lines of each log a failure shows.
const SHOWN: usize = 60;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// The machine could not be built.
    #[error("the machine could not be made: {0}")]
    Setup(String),
    /// The guest never came up, or stopped answering.
    #[error("the guest hangs: {during} took more than {} s", limit.as_secs())]
    Hung {
        /// What the harness was waiting for.
        during: &'static str,
        /// How long it waited.
        limit: Duration,
    },
    /// The machine ended while the script was running, or before.
    #[error("the machine exited before the script ended: {0}")]
    QemuExit(String),
    /// The machine had to be ended, for the host's sake.
    #[error("the machine took {} MiB of the host's memory, and may take {} MiB; what for: see smaps.log", taken >> 20, most >> 20)]
    Memory {
        /// How many bytes it had.
        taken: u64,
        /// How many it may have.
        most: u64,
    },
    /// The kernel reported a fault.
    #[error("the kernel reports: {}: {}", .0.what, .0.line)]
    Kernel(Fault),
    /// A debug kernel found something out.
    #[error("the debug kernel found: {0}")]
    Found(String),
    /// The script was stopped because its time was over.
    #[error("timeout: the script ran longer than {} s", .0.as_secs())]
    Timeout(Duration),
    /// The script failed.
    #[error("the script failed with exit code {0}")]
    Exit(i32),
}

/// A failed test: the reason, the ends of its logs, and where the whole logs are.
pub struct Failure {
    /// The name of the test.
    pub test: String,
    /// What went wrong.
    pub reason: Reason,
    /// What the script printed.
    pub output: Vec<String>,
    /// The kernel log; the console where the guest could not write it any more.
    pub log: Vec<String>,
    /// The folder where everything about the test is kept.
    pub folder: PathBuf,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.test, self.reason)?;
        for (title, lines) in [
            ("the script's output", &self.output),
            ("the kernel's log", &self.log),
        ] {
            let shown = &lines[lines.len().saturating_sub(SHOWN)..];
            writeln!(
                f,
                "--- {title}, last {} of {} lines",
                shown.len(),
                lines.len()
            )?;
            for line in shown {
                writeln!(f, "{line}")?;
            }
        }
        write!(f, "--- everything is kept in {}", self.folder.display())
    }
}

/// The same as [`fmt::Display`], so that `unwrap` prints something readable.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_its_reason_the_logs_ends_and_their_folder() {
        let failure = Failure {
            test: "some test".to_owned(),
            reason: Reason::Exit(3),
            output: vec!["the last words".to_owned()],
            log: (0..100).map(|i| format!("line {i}.")).collect(),
            folder: PathBuf::from("target/vm/some-test"),
        };
        let text = failure.to_string();
        for part in [
            "some test: ",
            "exit code 3",
            "the last words",
            "line 40.",
            "line 99.",
            "target/vm/some-test",
        ] {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
        assert!(!text.contains("line 39."), "more than the end:\n{text}");
    }
}
