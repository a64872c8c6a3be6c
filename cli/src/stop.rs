// SPDX-License-Identifier: GPL-2.0

//! When to stop: Ctrl-C, a time, the end of a program.

use std::io;
use std::process::Child;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

/// The exit code of a program that Ctrl-C ended, as a shell counts.
const INTERRUPTED: i32 = 130;

/// Says when to stop.
#[derive(Debug)]
pub(crate) struct Stop {
    signal: Arc<AtomicBool>,
    end: Option<Instant>,
    program: Option<Child>,
}

impl Stop {
    /// Stops at the first Ctrl-C (the second one kills), and when the time is over.
    pub(crate) fn new(after: Option<Duration>) -> io::Result<Self> {
        let signal = Arc::new(AtomicBool::new(false));
        for number in [SIGINT, SIGTERM, SIGHUP] {
            flag::register_conditional_shutdown(number, INTERRUPTED, Arc::clone(&signal))?;
            flag::register(number, Arc::clone(&signal))?;
        }
        Ok(Self {
            signal,
            end: after.map(|after| Instant::now() + after),
            program: None,
        })
    }

    /// Stops when this program ends, too.
    pub(crate) fn with_program(&mut self, program: Child) {
        self.program = Some(program);
    }

    /// Whether to stop.
    pub(crate) fn is_due(&mut self) -> io::Result<bool> {
        let over = self.end.is_some_and(|end| end <= Instant::now());
        let gone = match &mut self.program {
            Some(program) => program.try_wait()?.is_some(),
            None => false,
        };
        Ok(over || gone || self.signal.load(Ordering::Relaxed))
    }

    /// How long to wait at most before asking again: a signal ends the waiting by
    /// itself, the end of a program does not.
    pub(crate) fn patience(&self) -> Duration {
        let most = Duration::from_millis(if self.program.is_some() { 20 } else { 200 });
        match self.end {
            Some(end) => most.min(end.saturating_duration_since(Instant::now())),
            None => most,
        }
    }

    /// The exit code of the program, which is told to end if it did not yet.
    pub(crate) fn finish_program(&mut self) -> io::Result<Option<u8>> {
        use std::os::unix::process::ExitStatusExt as _;
        let Some(mut program) = self.program.take() else {
            return Ok(None);
        };
        if program.try_wait()?.is_none() {
            if let Some(pid) = i32::try_from(program.id())
                .ok()
                .and_then(rustix::process::Pid::from_raw)
            {
                // It may have ended just now.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
        }
        let status = program.wait()?;
        let code = status.code().or(status.signal().map(|signal| 128 + signal));
        Ok(code.and_then(|code| u8::try_from(code).ok()))
    }
}

/// A length of time, as in `10s`, `500ms`, `2m`, `1h`, `1.5s`; without a unit, seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Time(pub(crate) Duration);

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let at = text
            .find(|c: char| c.is_ascii_alphabetic())
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(at);
        let unit = match unit {
            "ms" => Some(0.001),
            "" | "s" => Some(1.0),
            "m" | "min" => Some(60.0),
            "h" => Some(3600.0),
            _ => None,
        };
        unit.zip(number.parse::<f64>().ok())
            .and_then(|(unit, number)| Duration::try_from_secs_f64(number * unit).ok())
            .map(Self)
            .ok_or_else(|| {
                format!("'{text}' is no length of time; write it like 10s, 500ms, 2m, 1h")
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_read_with_each_unit_and_without_one() {
        let time = |text: &str| text.parse::<Time>().map(|time| time.0);
        assert_eq!(time("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(time("10"), Ok(Duration::from_secs(10)));
        assert_eq!(time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(time("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(time("1h"), Ok(Duration::from_secs(3600)));
        for text in ["", "s", "-1s", "10 parsecs", "10d", "abc"] {
            let error = time(text).unwrap_err();
            assert!(error.contains("like 10s, 500ms"), "{text}: {error}");
        }
    }

    #[test]
    fn it_is_due_when_the_time_is_over_and_when_the_program_ended_whose_code_is_kept() {
        assert!(Stop::new(Some(Duration::ZERO)).unwrap().is_due().unwrap());
        let mut stop = Stop::new(Some(Duration::from_secs(600))).unwrap();
        assert!(!stop.is_due().unwrap());
        let program = std::process::Command::new("sh")
            .args(["-c", "exit 7"])
            .spawn();
        stop.with_program(program.unwrap());
        let start = Instant::now();
        while !stop.is_due().unwrap() {
            assert!(start.elapsed() < Duration::from_secs(60));
            std::thread::sleep(stop.patience());
        }
        assert_eq!(stop.finish_program().unwrap(), Some(7));
    }
}
