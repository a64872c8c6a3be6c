// SPDX-License-Identifier: GPL-2.0

//! Runs a program as a child and behaves as if one were the program: to the shell,
//! to the terminal, and to who sends signals.

use std::fs::{self, File};
use std::io;
use std::process::{Command, ExitCode};

use rustix::process::{
    getpgrp, getpid, kill_process, setrlimit, waitpid, Pid, Resource, Rlimit, Signal, WaitOptions,
    WaitStatus,
};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

/// Who we are to others, as long as that can be seen: the mounts of another namespace
/// may have no terminal, and its `/proc` does not know us.
#[derive(Debug)]
pub(super) struct Supervisor {
    terminal: Option<File>,
    /// The signals that we were started to ignore, a bit each: the program will, too.
    ignored: u64,
}

impl Supervisor {
    /// Before anything is entered.
    pub(super) fn new() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        Self {
            terminal: File::open("/dev/tty").ok(),
            ignored: mask.map_or(0, |mask| {
                u64::from_str_radix(mask.trim(), 16).unwrap_or_default()
            }),
        }
    }

    /// Starts the program and stays until it ends.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub(super) fn run(&self, command: &mut Command) -> io::Result<ExitCode> {
        let passed_on = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2];
        let heard = passed_on
            .into_iter()
            .filter(|signal| self.ignored & (1 << (signal - 1)) == 0);
        // Before there is a child: it may end at once. The child gets all signals back.
        let mut signals = Signals::new(heard.chain([SIGCHLD]))?;
        let child = Pid::from_child(&command.spawn()?);
        for signal in signals.forever() {
            match signal {
                SIGCHLD => {
                    if let Some(code) = look(child)? {
                        return Ok(code);
                    }
                }
                // The terminal has sent it to the child too.
                SIGINT | SIGQUIT | SIGTSTP if self.in_foreground() => {}
                other => {
                    if let Some(signal) = Signal::from_named_raw(other) {
                        // It may have ended: then SIGCHLD is next.
                        let _ = kill_process(child, signal);
                    }
                }
            }
        }
        Ok(ExitCode::FAILURE)
    }

    /// Whether what is typed at the terminal reaches us.
    fn in_foreground(&self) -> bool {
        let terminal = self.terminal.as_ref();
        terminal
            .and_then(|terminal| rustix::termios::tcgetpgrp(terminal).ok())
            .is_some_and(|group| group == getpgrp())
    }
}

/// The exit code, once there is one. A child that stops makes us stop, so that the
/// shell has its prompt again.
fn look(child: Pid) -> io::Result<Option<ExitCode>> {
    let options = WaitOptions::NOHANG | WaitOptions::UNTRACED;
    while let Some((_, status)) = waitpid(Some(child), options)? {
        if status.stopped() {
            kill_process(getpid(), Signal::STOP)?;
            // Continued, and so must the child be.
            let _ = kill_process(child, Signal::CONT);
        } else if let Some(code) = code(status) {
            return Ok(Some(ExitCode::from(code)));
        }
    }
    Ok(None)
}

fn code(status: WaitStatus) -> Option<u8> {
    let code = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => {
            end_by(signal);
            128 + signal
        }
        (None, None) => return None,
    };
    u8::try_from(code).ok()
}

/// Ends as the child did: a shell goes on with its loop after an exit code, and not after
/// Ctrl-C. Returns where we live on, as process 1 of a container may.
fn end_by(signal: i32) {
    let no_core = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = setrlimit(Resource::Core, no_core);
    let _ = signal_hook::low_level::emulate_default_handler(signal);
}
