// SPDX-License-Identifier: GPL-2.0

//! Machines that are a program: User Mode Linux with a kernel of scripts/debug-kernel,
//! which looks at itself while it runs.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{kill_process_group, Pid, Signal};

use super::folder::Folder;
use super::images::Images;
use super::machine::{Observed, END, KERNEL_ARGS};
use super::slots::Slot;
use super::{Reason, Vm};

/// A kernel of scripts/debug-kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DebugKernel {
    /// Without any checks, for native speed.
    Plain,
    /// Memory: KASAN, UBSAN, kmemleak; failing allocations.
    Kasan,
    /// Locks: lockdep, RCU, objects' lives; failing allocations.
    Lockdep,
}

impl DebugKernel {
    /// Its name for scripts/debug-kernel.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Kasan => "kasan",
            Self::Lockdep => "lockdep",
        }
    }

    /// The module that does wrong, built for it.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn canary(self) -> Result<PathBuf> {
        let missing = || format!("no canary; run scripts/debug-kernel {}", self.name());
        Images::find_debug(self)?.canary.with_context(missing)
    }

    /// The fault, if any, in what the kernel found out about itself.
    pub(super) fn inspect(self, folder: &Folder) -> Option<String> {
        let read = |name: &str| fs::read_to_string(folder.out().join(name));
        match self {
            Self::Plain => None,
            Self::Kasan => match read("kmemleak.txt") {
                Ok(text) if text.trim().is_empty() => None,
                Ok(text) => Some(format!("leaked memory: {text}")),
                Err(error) => Some(format!("kmemleak.txt: {error}")),
            },
            Self::Lockdep => match read("lockdep.txt") {
                Ok(text) if is_on(&text) => None,
                Ok(text) => Some(format!("lockdep is off: {text}")),
                Err(error) => Some(format!("lockdep.txt: {error}")),
            },
        }
    }
}

/// Whether /proc/lockdep_stats says that lockdep still watches.
fn is_on(stats: &str) -> bool {
    let debug_locks = stats.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == "debug_locks").then(|| value.trim())
    });
    debug_locks == Some("1")
}

/// From the start to the script: a second, and more on a busy machine.
const BOOT_LIMIT: Duration = Duration::from_secs(120);

/// How often to look whether it still lives.
const TICK: Duration = Duration::from_millis(100);

/// What of the host's memory it may take: several times its own, which KASAN's shadow adds
/// an eighth to. A fault of the kernel must not take the host with it.
const MOST_MEMORY: u64 = 8 << 30;

/// Runs the machine until it ends or has to be ended; `None` when it ended by itself.
pub(super) fn drive(
    vm: &Vm,
    kernel: DebugKernel,
    folder: &Folder,
    seen: &mut Observed,
) -> Result<Option<Reason>> {
    let images = Images::find_debug(kernel)?;
    fs::write(folder.path.join("start"), folder.command(vm))?;
    let slot = Slot::take();
    let start = Instant::now();
    let mut machine = Command::new("setpriv")
        .args(["--pdeathsig", "KILL"])
        .arg(&images.kernel)
        .args([format!("mem={}", vm.memory), format!("ncpus={}", vm.cpus)])
        .args(["seccomp=on", "con=null", "con0=null,fd:1", "noreboot"])
        .arg(format!("uml_dir={}", folder.path.join("uml").display()))
        // `c`: without a lock, which would keep others from the same image.
        .arg(format!("ubd0rc={}", images.root.display()))
        .arg(format!("ubd1rc={}", images.modules.display()))
        .arg(format!("initrd={}", images.initramfs.display()))
        .arg(format!("nftrace.share={}", folder.path.display()))
        .arg("nftrace.run=start")
        .args(KERNEL_ARGS.split_whitespace())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .with_context(|| images.kernel.display().to_string())?;
    let lines = listen(&mut machine);
    let limit = BOOT_LIMIT + vm.timeout + vm.grace;
    let end = watch(&mut machine, &lines, limit, MOST_MEMORY, seen)?;
    if matches!(end, End::Forced(Reason::Memory { .. })) {
        // Which of its mappings; the process is still there.
        let maps = fs::read(format!("/proc/{}/smaps", machine.id())).unwrap_or_default();
        fs::write(folder.path.join("smaps.log"), maps)?;
    }
    let pid = Pid::from_child(&machine);
    // What it left running of its own processes, and itself if it hangs.
    let _ = kill_process_group(pid, Signal::KILL);
    machine.wait().context("waiting for the machine")?;
    seen.total = start.elapsed();
    drop(slot);
    seen.console.extend(lines.try_iter());
    let output = fs::read(folder.path.join("script.log")).unwrap_or_default();
    for line in String::from_utf8_lossy(&output).lines() {
        match line.strip_prefix(END) {
            Some(code) => seen.exit = code.trim().parse().ok(),
            None => seen.output.push(line.to_owned()),
        }
    }
    Ok(match end {
        End::Forced(reason) => Some(reason),
        End::Itself(status) if seen.exit.is_none() => Some(Reason::QemuExit(status)),
        End::Itself(_) => None,
    })
}

/// What it prints, a line a message.
fn listen(machine: &mut Child) -> Receiver<String> {
    let (sender, receiver) = channel();
    fn forward(from: impl std::io::Read + Send + 'static, to: std::sync::mpsc::Sender<String>) {
        thread::spawn(move || {
            let mut from = BufReader::new(from);
            let mut line = Vec::new();
            while from.read_until(b'\n', &mut line).is_ok_and(|len| len > 0) {
                let text = String::from_utf8_lossy(&line);
                if to
                    .send(text.trim_end_matches(['\r', '\n']).to_owned())
                    .is_err()
                {
                    return;
                }
                line.clear();
            }
        });
    }
    if let Some(stdout) = machine.stdout.take() {
        forward(stdout, sender.clone());
    }
    if let Some(stderr) = machine.stderr.take() {
        forward(stderr, sender);
    }
    receiver
}

/// How a machine ends, or why it has to be ended.
#[derive(Debug)]
enum End {
    Itself(String),
    Forced(Reason),
}

/// Follows the machine to its end, or until it takes more time or memory than it may.
fn watch(
    machine: &mut Child,
    lines: &Receiver<String>,
    limit: Duration,
    most: u64,
    seen: &mut Observed,
) -> Result<End> {
    let deadline = Instant::now() + limit;
    loop {
        let tick = Instant::now() + TICK;
        while let Some(left) = tick.checked_duration_since(Instant::now()) {
            match lines.recv_timeout(left) {
                Ok(line) => seen.console.push(line),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => thread::sleep(left),
            }
        }
        if let Some(status) = machine.try_wait()? {
            return Ok(End::Itself(status.to_string()));
        }
        let taken = resident(machine.id());
        if taken > most {
            return Ok(End::Forced(Reason::Memory { taken, most }));
        }
        if Instant::now() >= deadline {
            let during = "the script";
            return Ok(End::Forced(Reason::Hung { during, limit }));
        }
    }
}

/// The bytes of a process that are in memory; none of one that is gone.
fn resident(pid: u32) -> u64 {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0u64) * rustix::param::page_size() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_has_in_memory_is_seen() {
        let before = resident(std::process::id());
        let held = std::hint::black_box(vec![1u8; 64 << 20]);
        let grown = resident(std::process::id()) - before;
        assert!((60 << 20..1 << 30).contains(&grown), "{grown}");
        drop(held);
    }

    /// How a shell that runs a script in a machine's place ends.
    fn end_of(script: &str, limit: Duration, most: u64) -> End {
        let mut machine = Command::new("sh")
            .args(["-c", script])
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell can be run");
        let lines = listen(&mut machine);
        let end = watch(&mut machine, &lines, limit, most, &mut Observed::default());
        // It may have ended by itself.
        let _ = machine.kill();
        machine.wait().expect("it ends");
        end.expect("it can be watched")
    }

    #[test]
    fn a_machine_that_takes_too_much_memory_is_ended_and_the_reason_says_how_much() {
        let end = end_of("exec sleep 60", BOOT_LIMIT, 0);
        let End::Forced(reason @ Reason::Memory { taken: 1.., .. }) = end else {
            panic!("{end:?}");
        };
        let text = reason.to_string();
        assert!(
            text.contains("of the host's memory, and may take 0 MiB"),
            "{text}"
        );
    }

    #[test]
    fn a_machine_that_never_stops_talking_is_given_up_in_time() {
        let limit = Duration::from_millis(300);
        let end = end_of("while :; do echo still here; done", limit, MOST_MEMORY);
        assert!(matches!(end, End::Forced(Reason::Hung { .. })), "{end:?}");
    }

    #[test]
    fn a_machine_that_ends_by_itself_is_told_with_its_status() {
        let end = end_of("exit 3", BOOT_LIMIT, MOST_MEMORY);
        assert!(
            matches!(&end, End::Itself(status) if status == "exit status: 3"),
            "{end:?}"
        );
    }

    #[test]
    fn lockdep_is_on_only_where_it_says_so() {
        assert!(is_on(
            " lock-classes:   1 [max: 8192]\n debug_locks:        1\n"
        ));
        assert!(!is_on(" debug_locks:        0\n"));
        assert!(!is_on(""));
    }
}
