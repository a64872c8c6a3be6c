// SPDX-License-Identifier: GPL-2.0

//! One test, one virtual machine with a stock kernel.
//!
//! ```no_run
//! use nftrace_tests::vm::Vm;
//!
//! let report = Vm::new("published port")
//!     .script("tests/lab/scenarios.sh", &["s1:ipv4"])
//!     .run()
//!     .unwrap_or_else(|failure| panic!("{failure}"));
//! for message in report.messages() {
//!     println!("{message}");
//! }
//! ```
//!
//! Everything about a test is below `target/vm/TEST/` and stays there: what the
//! guest was given (`lab/`, `tests/lab/`, `nftrace.ko`), what it wrote (`out/`), and the logs
//! `console.log`, `script.log` and `kernel.log`. The guest sees that folder as
//! `/mnt/vmtest`, and `tests/lab/run` is what it runs first.
//!
//! The environment settles how machines run: `NFTRACE_ACCEL=kvm|tcg` overrides
//! the probe, `NFTRACE_VMS=N` how many run at once, `NFTRACE_MODULE=FILE` names
//! the module, `NFTRACE_COMMAND=FILE` the command, and `NFTRACE_NO_MODULE=1` runs the
//! lab without a module.

mod accel;
mod failure;
mod folder;
mod images;
mod log;
mod machine;
mod slots;
mod uml;

use std::path::PathBuf;
use std::time::Duration;

pub use self::failure::{Failure, Reason};
pub use self::log::{inspect, message, Fault};
pub use self::slots::at_once;
pub use self::uml::DebugKernel;

/// A virtual machine to be, and the script that it will run.
#[derive(Debug, Clone)]
pub struct Vm {
    name: String,
    script: PathBuf,
    args: Vec<String>,
    env: Vec<(String, String)>,
    files: Vec<(String, Vec<u8>)>,
    timeout: Duration,
    grace: Duration,
    cpus: u8,
    memory: String,
    module: bool,
    command: bool,
    exact_clock: bool,
    debug: Option<DebugKernel>,
    counted: Option<String>,
}

/// What a test that ran to its end leaves behind.
#[derive(Debug, Clone)]
pub struct Report {
    /// What the script printed, standard error included.
    pub stdout: String,
    /// The lines of the serial console.
    pub console: Vec<String>,
    /// The lines of the guest's `dmesg`, with their times.
    pub kernel_log: Vec<String>,
    /// The folder into which the guest wrote its files (`$OUT` in the lab).
    pub files: PathBuf,
    /// From the start of QEMU to the first command in the guest.
    pub boot: Duration,
    /// From the start of QEMU to its end.
    pub total: Duration,
}

impl Vm {
    /// A machine for the test `name`; the name becomes the folder of its logs.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            script: PathBuf::new(),
            args: Vec::new(),
            env: Vec::new(),
            files: Vec::new(),
            timeout: Duration::from_secs(60),
            grace: Duration::from_secs(20),
            cpus: 2,
            memory: "1G".to_owned(),
            module: true,
            command: false,
            exact_clock: false,
            debug: None,
            counted: None,
        }
    }

    /// The script to run and its arguments: a file below `tests/lab`, named from the repository's root.
    #[must_use]
    pub fn script(mut self, script: &str, args: &[&str]) -> Self {
        self.script = PathBuf::from(script);
        self.args = args.iter().map(|&arg| arg.to_owned()).collect();
        self
    }

    /// A variable in the script's environment, which is otherwise empty.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A file for the script, which it finds as `/mnt/vmtest/NAME`.
    #[must_use]
    pub fn file(mut self, name: &str, content: Vec<u8>) -> Self {
        self.files.push((name.to_owned(), content));
        self
    }

    /// How long the script may run; booting is not counted. 60 seconds when not said.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// What the guest may take beyond that to stop a late script and to write its
    /// logs, before it counts as hanging. 20 seconds when not said.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Processors and memory (as QEMU spells it): 2 and `1G` when not said.
    #[must_use]
    pub fn size(mut self, cpus: u8, memory: &str) -> Self {
        self.cpus = cpus;
        self.memory = memory.to_owned();
        self
    }

    /// For a script that does not load the module.
    #[must_use]
    pub fn without_module(mut self) -> Self {
        self.module = false;
        self
    }

    /// For a script that runs the command, which it finds as `/mnt/vmtest/nftrace`.
    #[must_use]
    pub fn with_command(mut self) -> Self {
        self.command = true;
        self
    }

    /// One processor, whose clock does not run on while the host is busy with other
    /// things: for what is about milliseconds. Slow where there is no KVM.
    #[must_use]
    pub fn exact_clock(mut self) -> Self {
        self.cpus = 1;
        self.exact_clock = true;
        self
    }

    /// One processor, whose clock counts instructions, a nanosecond each: emulated also
    /// where there is KVM. `cpu` is its model as QEMU spells it (`max,-avx2`).
    #[must_use]
    pub fn counting_instructions(mut self, cpu: &str) -> Self {
        self.cpus = 1;
        self.counted = Some(cpu.to_owned());
        self
    }

    /// User Mode Linux with that kernel in the stock one's place. Beyond what is always
    /// judged, lockdep has to be on at the end, and no memory leaked.
    #[must_use]
    pub fn debug(mut self, kernel: DebugKernel) -> Self {
        self.debug = Some(kernel);
        self
    }

    /// Boots, runs the script, and judges its exit code and the kernel's log.
    ///
    /// # Errors
    ///
    /// When anything is not as it should be; [`Reason`] lists what that can be.
    pub fn run(&self) -> Result<Report, Box<Failure>> {
        machine::run(self)
    }
}

impl Report {
    /// The kernel log's messages without their times.
    pub fn messages(&self) -> impl Iterator<Item = &str> {
        self.kernel_log.iter().map(|line| message(line))
    }

    /// A file that the guest wrote, as text.
    ///
    /// # Errors
    ///
    /// When the guest wrote no such file, or not as text.
    pub fn file(&self, name: &str) -> std::io::Result<String> {
        std::fs::read_to_string(self.files.join(name))
    }
}
