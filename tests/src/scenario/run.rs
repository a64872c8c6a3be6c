// SPDX-License-Identifier: GPL-2.0

//! Scenarios in machines: several of them share one boot.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use super::ways::{self, Way};
use super::{journeys, mismatch, Mismatch, Taken, Trace};
use crate::checkout::top;
use crate::vm::{message, DebugKernel, Failure, Report, Vm};

/// A machine that runs scenarios one after the other when the first one is asked for.
#[derive(Debug)]
pub struct Boot {
    name: &'static str,
    items: &'static [&'static str],
    seconds: u64,
    memory: &'static str,
    debug: Option<DebugKernel>,
    report: OnceLock<Result<Report, Box<Failure>>>,
}

/// What one run of a scenario left.
#[derive(Debug)]
pub struct Run {
    scenario: String,
    section: String,
    folder: PathBuf,
}

impl Boot {
    /// A machine for `items`, each as `tests/lab/scenarios.sh` wants it. They all have
    /// `seconds`.
    #[must_use]
    pub const fn new(name: &'static str, items: &'static [&'static str], seconds: u64) -> Self {
        Self {
            name,
            items,
            seconds,
            memory: "1G",
            debug: None,
            report: OnceLock::new(),
        }
    }

    /// How much memory it has, as QEMU spells it.
    #[must_use]
    pub const fn memory(mut self, memory: &'static str) -> Self {
        self.memory = memory;
        self
    }

    /// With a debug kernel in the stock one's place.
    #[must_use]
    pub const fn debug(mut self, kernel: DebugKernel) -> Self {
        self.debug = Some(kernel);
        self
    }

    /// The names of its runs.
    pub fn runs(&self) -> impl Iterator<Item = String> + '_ {
        self.items.iter().flat_map(|item| {
            let mut words = item.split(':');
            let scenario = words.next().unwrap_or_default();
            let variants = words.next().unwrap_or_default();
            let options: Vec<&str> = words.collect();
            variants.split(',').map(move |variant| {
                let mut name = vec![scenario, variant];
                name.extend(&options);
                name.join("-")
            })
        })
    }

    /// The run `SCENARIO-VARIANT[-OPTION...]`, which came to a good end.
    ///
    /// # Errors
    ///
    /// When the machine failed, or the run.
    pub fn run(&self, name: &str) -> Result<Run, Mismatch> {
        let report = self.report.get_or_init(|| {
            let vm = Vm::new(self.name);
            let vm = match self.debug {
                Some(kernel) => vm.debug(kernel),
                None => vm,
            };
            vm.script("tests/lab/scenarios.sh", self.items)
                .with_command()
                .timeout(Duration::from_secs(self.seconds))
                .size(2, self.memory)
                .run()
        });
        match report {
            Ok(report) => Run::of(report, name),
            Err(failure) => mismatch(failure.to_string()),
        }
    }
}

impl Run {
    /// What `name` left in the machine of `report`.
    ///
    /// # Errors
    ///
    /// When it failed.
    pub fn of(report: &Report, name: &str) -> Result<Self, Mismatch> {
        let Some((scenario, section)) = name.split_once('-') else {
            return mismatch(format!("{name} names no variant"));
        };
        let run = Self {
            scenario: scenario.to_owned(),
            section: section.to_owned(),
            folder: report.files.join(name),
        };
        match run.file("code")?.trim() {
            "0" => Ok(run),
            code => mismatch(format!(
                "{name}: exit code {code}\n{}",
                run.file("script.log").unwrap_or_default()
            )),
        }
    }

    /// Where it left its files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file that it left.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn file(&self, name: &str) -> Result<String, Mismatch> {
        read(&self.folder.join(name))
    }

    /// The ways that its packets must take.
    ///
    /// # Errors
    ///
    /// When there is no such file or section in `tests/ways/`.
    pub fn ways(&self) -> Result<Vec<Way>, Mismatch> {
        let folder = top().join("tests/ways");
        let text = read(&folder.join(format!("{}.txt", self.scenario)))?;
        ways::parse(&text, &self.section)
    }

    /// The journeys that the command made of its recording, each held against the ways.
    ///
    /// # Errors
    ///
    /// When a packet took another way, or came to another end.
    pub fn check(&self) -> Result<Vec<Taken>, Mismatch> {
        journeys::packets(&self.file("journeys.json")?, &self.ways()?)
    }

    /// The packets of its kernel log, each held against the ways.
    ///
    /// # Errors
    ///
    /// When a packet took another way, or the module printed what is not in the log.
    pub fn check_log(&self) -> Result<Vec<Taken>, Mismatch> {
        let log = self.file("kernel.log")?;
        let messages = || log.lines().map(message);
        let trace = Trace::new(messages(), &self.file("roles.txt")?)?;
        let taken = trace.packets(&self.ways()?)?;
        let farewell = format!(
            "nftrace: unloaded: printed={} suppressed=0 lost=0 truncated=0 malformed=0",
            trace.len()
        );
        if !messages().any(|message| message == farewell) {
            return mismatch(format!("the log has no line '{farewell}'"));
        }
        Ok(taken)
    }
}

fn read(path: &Path) -> Result<String, Mismatch> {
    fs::read_to_string(path).map_err(|error| Mismatch(format!("{}: {error}", path.display())))
}
