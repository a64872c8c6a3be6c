// SPDX-License-Identifier: GPL-2.0

//! Runs a program as a child and behaves as if one were the program: to the shell,
//! to the terminal, and to who sends signals.

use std::fs::File;
use std::io;
use std::process::{Command, ExitCode};

use rustix::process::{
    getpgrp, getpid, kill_process, waitpid, Pid, Signal, WaitOptions, WaitStatus,
};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

/// Starts the program and stays until it ends.
///
/// # Errors
///
/// It does not start.
pub(super) fn run(command: &mut Command) -> io::Result<ExitCode> {
    // Before there is a child: it may end at once. The child gets all signals back.
    let mut signals = Signals::new([
        SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2,
    ])?;
    let child = Pid::from_child(&command.spawn()?);
    for signal in signals.forever() {
        match signal {
            SIGCHLD => {
                if let Some(code) = look(child)? {
                    return Ok(code);
                }
            }
            // The terminal has sent it to the child too.
            SIGINT | SIGQUIT | SIGTSTP if in_foreground() => {}
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
        (None, Some(signal)) => 128 + signal,
        (None, None) => return None,
    };
    u8::try_from(code).ok()
}

/// Whether what is typed at the terminal reaches us.
fn in_foreground() -> bool {
    File::open("/dev/tty")
        .and_then(|terminal| Ok(rustix::termios::tcgetpgrp(terminal)?))
        .is_ok_and(|group| group == getpgrp())
}
