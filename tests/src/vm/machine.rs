// SPDX-License-Identifier: GPL-2.0

//! Runs one machine to its end, whatever end that is.
//!
//! `vmtest` builds QEMU's command line, waits for the guest and starts the
//! script. What it does not do is done here: a limit on how long anything may
//! take, and an end without delay. It asks the guest every few seconds whether
//! the command is over; the last line of `tests/lab/run` says so at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{kill_process, Pid, Signal};
use vmtest::output::Output;
use vmtest::{Config, Target, VMConfig, Vmtest};

use super::accel::Accel;
use super::folder::{path_of, Folder};
use super::images::Images;
use super::log::{inspect, inspect_taint};
use super::slots::Slot;
use super::uml::DebugKernel;
use super::{uml, Failure, Reason, Report, Vm};

/// What tests/lab/run prints when everything is written, before the exit code.
pub(super) const END: &str = "nftrace-lab: exit=";

/// The exit code of timeout(1) when it had to act.
const TIMED_OUT: i32 = 124;

/// Booting takes 7 s without KVM on an idle machine; not every machine is idle.
const BOOT_LIMIT: Duration = Duration::from_secs(180);

/// How often a machine is started until it comes up. A host that stands still for some
/// seconds makes a kernel that measures its clocks just then hang or give up; nothing of
/// the test has run by then, so that starting anew hides nothing of it.
const BOOTS: usize = 3;

/// How often to look whether QEMU still lives.
const TICK: Duration = Duration::from_millis(100);

/// quiet, loglevel: a serial console costs time for each character; warnings and worse are shown.
/// no_timer_check: on a busy machine the kernel finds its timer too slow, and gives up.
/// rcu_expedited: without it, booting and every namespace that goes wait for grace periods.
/// log_buf_len: no record may be overwritten before it is read.
/// notests: the kernel's own tests of its ciphers are not ours to wait for.
/// stall_timeout, watchdog_thresh: a loop without end is still found, after 90 s, but a host that
/// does not run the machine for 20 s makes none.
pub(super) const KERNEL_ARGS: &str =
    "quiet loglevel=5 no_timer_check rcupdate.rcu_expedited=1 oops=panic \
    log_buf_len=8M cryptomgr.notests rcupdate.rcu_cpu_stall_timeout=90 watchdog_thresh=45";

/// What is learnt while the machine runs.
#[derive(Default)]
pub(super) struct Observed {
    pub(super) console: Vec<String>,
    pub(super) output: Vec<String>,
    pub(super) exit: Option<i32>,
    /// From the start to the first command, once there was one.
    boot: Option<Duration>,
    pub(super) total: Duration,
}

pub(super) fn run(vm: &Vm) -> Result<Report, Box<Failure>> {
    let setup = |error: anyhow::Error| {
        Box::new(Failure {
            test: vm.name.clone(),
            reason: Reason::Setup(format!("{error:#}")),
            output: Vec::new(),
            log: Vec::new(),
            folder: path_of(&vm.name),
        })
    };
    let folder = Folder::prepare(vm).map_err(setup)?;
    let mut seen = Observed::default();
    let end = match vm.debug {
        Some(kernel) => uml::drive(vm, kernel, &folder, &mut seen).map_err(setup)?,
        None => drive(vm, &folder, &mut seen).map_err(setup)?,
    };
    judge(vm, &folder, seen, end)
}

fn build(vm: &Vm, folder: &Folder) -> anyhow::Result<Vmtest> {
    let images = Images::find()?;
    let accel = match vm.counted {
        Some(_) => Accel::Tcg,
        None => Accel::get(&images)?,
    };
    let args = match &vm.counted {
        Some(cpu) => Accel::counting_args(cpu),
        None if vm.exact_clock => accel.exact_args(),
        None => accel.args(),
    };
    let mut extra_args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
    let drive = |file: &Path| format!("file={},if=virtio,format=raw,readonly=on", file.display());
    extra_args.extend(["-initrd".to_owned(), images.initramfs.display().to_string()]);
    // The order matters: scripts/guest-init takes them as vda and vdb.
    extra_args.extend(["-drive".to_owned(), drive(&images.root)]);
    extra_args.extend(["-drive".to_owned(), drive(&images.modules)]);
    let target = Target {
        name: vm.name.clone(),
        kernel: Some(images.kernel),
        kernel_args: Some(KERNEL_ARGS.to_owned()),
        rootfs: folder.root(),
        arch: accel.arch().to_owned(),
        qemu_command: Some(folder.qemu().display().to_string()),
        command: folder.command(vm),
        vm: VMConfig {
            num_cpus: vm.cpus,
            memory: vm.memory.clone(),
            extra_args,
            ..VMConfig::default()
        },
        ..Target::default()
    };
    Vmtest::new(
        &folder.path,
        Config {
            target: vec![target],
        },
    )
}

/// Starts the machine until it comes up, and watches it until it ends or has to be ended.
fn drive(vm: &Vm, folder: &Folder, seen: &mut Observed) -> anyhow::Result<Option<Reason>> {
    let mut boot = 1;
    loop {
        *seen = Observed::default();
        let end = drive_once(vm, folder, build(vm, folder)?, seen);
        match end {
            Some(reason) if seen.boot.is_none() && boot < BOOTS => {
                eprintln!(
                    "{}: the machine did not come up (attempt {boot} of {BOOTS}): {reason}",
                    vm.name
                );
                keep(folder, &format!("boot-{boot}.log"), &seen.console);
                // The next one is not to be taken for this one, which may not even have begun.
                if folder.pid_file().exists() {
                    fs::remove_file(folder.pid_file()).context("the number of QEMU's process")?;
                }
                boot += 1;
            }
            end => return Ok(end),
        }
    }
}

fn drive_once(vm: &Vm, folder: &Folder, machine: Vmtest, seen: &mut Observed) -> Option<Reason> {
    let slot = Slot::take();
    let start = Instant::now();
    let (updates, receiver) = channel();
    let thread = thread::spawn(move || machine.run_one(0, updates));
    let mut end = watch(vm, folder, &receiver, start, seen);
    // QEMU is a child of the thread, which has not reaped it before it is over:
    // until then, the number is that of no other process.
    if !thread.is_finished() {
        if let Some(pid) = pid(folder) {
            // It may have ended in between, which is what we want.
            let _ = kill_process(pid, Signal::KILL);
            while alive(pid) {
                thread::sleep(Duration::from_millis(5));
            }
        }
    }
    seen.total = start.elapsed();
    // The thread may be asleep between two questions to the guest: let the next
    // machine start, but leave no thread and no socket behind.
    drop(slot);
    let _ = thread.join();
    for update in receiver.try_iter() {
        match (&mut end, update) {
            // It knows better why: it has QEMU's own words.
            (
                Some(Reason::QemuExit(why)),
                Output::BootEnd(Err(error))
                | Output::SetupEnd(Err(error))
                | Output::CommandEnd(Err(error)),
            ) => *why += &format!(": {error:#}"),
            (_, update) => note(update, seen),
        }
    }
    end
}

/// Follows the machine; `None` when the script came to an end.
fn watch(
    vm: &Vm,
    folder: &Folder,
    updates: &Receiver<Output>,
    start: Instant,
    seen: &mut Observed,
) -> Option<Reason> {
    let mut during = "booting";
    let mut limit = BOOT_LIMIT;
    let mut deadline = start + limit;
    loop {
        match updates.recv_timeout(TICK) {
            Ok(
                Output::BootEnd(Err(error))
                | Output::SetupEnd(Err(error))
                | Output::CommandEnd(Err(error)),
            ) => {
                return Some(Reason::QemuExit(format!("{error:#}")));
            }
            Ok(Output::CommandStart) => {
                if let Some(fault) = inspect(seen.console.iter().map(String::as_str)) {
                    return Some(Reason::Kernel(fault));
                }
                seen.boot = Some(start.elapsed());
                during = "the script";
                limit = vm.timeout + vm.grace;
                deadline = Instant::now() + limit;
            }
            // Without its last line, `run` did not get as far as that.
            Ok(Output::CommandEnd(Ok(code))) => {
                seen.exit.get_or_insert(i32::try_from(code).unwrap_or(-1));
                return None;
            }
            Ok(update) => note(update, seen),
            Err(RecvTimeoutError::Timeout) => {
                if pid(folder).is_some_and(|pid| !alive(pid)) {
                    return Some(Reason::QemuExit("it is gone".to_owned()));
                }
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Some(Reason::QemuExit("vmtest ended without a word".to_owned()));
            }
        }
        if seen.exit.is_some() {
            return None;
        }
        if Instant::now() >= deadline {
            return Some(Reason::Hung { during, limit });
        }
    }
}

fn note(update: Output, seen: &mut Observed) {
    match update {
        Output::Boot(line) => seen.console.push(line.trim_end_matches('\r').to_owned()),
        Output::Command(line) => match line.strip_prefix(END) {
            Some(code) => seen.exit = code.trim().parse().ok(),
            None => seen.output.push(line),
        },
        _ => {}
    }
}

/// QEMU's process, once it was started.
fn pid(folder: &Folder) -> Option<Pid> {
    let text = fs::read_to_string(folder.pid_file()).ok()?;
    Pid::from_raw(text.trim().parse().ok()?)
}

/// Whether the process runs; one that ended but was not waited for does not.
fn alive(pid: Pid) -> bool {
    let stat =
        fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    let state = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

/// Keeps the logs and decides what the run was worth.
fn judge(
    vm: &Vm,
    folder: &Folder,
    seen: Observed,
    end: Option<Reason>,
) -> Result<Report, Box<Failure>> {
    let files = folder.out();
    let lines = |text: String| -> Vec<String> { text.lines().map(str::to_owned).collect() };
    let dmesg = fs::read(files.join("dmesg.txt"))
        .map(|text| lines(String::from_utf8_lossy(&text).into_owned()));
    let log = dmesg.ok().filter(|log| !log.is_empty());
    let taint = fs::read_to_string(files.join("tainted.txt")).unwrap_or_default();
    keep(folder, "console.log", &seen.console);
    keep(folder, "script.log", &seen.output);
    keep(folder, "kernel.log", log.as_ref().unwrap_or(&seen.console));

    let both = log
        .iter()
        .flatten()
        .chain(&seen.console)
        .map(String::as_str);
    let fault = inspect(both).or_else(|| inspect_taint(&taint));
    // A panic explains an exit of QEMU, and a warning a script that failed.
    let own = |kernel: DebugKernel| kernel.inspect(folder).map(Reason::Found);
    let own = vm.debug.filter(|_| seen.exit == Some(0)).and_then(own);
    let reason = fault
        .map(Reason::Kernel)
        .or(end)
        .or(own)
        .or(match seen.exit {
            Some(0) if log.is_none() => {
                Some(Reason::Setup("the guest left no kernel log".to_owned()))
            }
            Some(0) => None,
            Some(TIMED_OUT) => Some(Reason::Timeout(vm.timeout)),
            Some(code) => Some(Reason::Exit(code)),
            None => Some(Reason::QemuExit("the script left no exit code".to_owned())),
        });
    match reason {
        Some(reason) => Err(Box::new(Failure {
            test: vm.name.clone(),
            reason,
            output: seen.output,
            log: log.unwrap_or(seen.console),
            folder: folder.path.clone(),
        })),
        None => Ok(Report {
            stdout: seen.output.join("\n"),
            console: seen.console,
            kernel_log: log.unwrap_or_default(),
            files,
            boot: seen.boot.unwrap_or_default(),
            total: seen.total,
        }),
    }
}

/// A log that cannot be kept must not hide what the test has to say.
fn keep(folder: &Folder, name: &str, lines: &[String]) {
    let path: PathBuf = folder.path.join(name);
    if let Err(error) = fs::write(&path, lines.join("\n") + "\n") {
        eprintln!("nftrace: {}: {error}", path.display());
    }
}
