// SPDX-License-Identifier: GPL-2.0

//! How many records of one namespace are printed.

/// A window of one second, in nanoseconds.
pub const WINDOW: u64 = 1_000_000_000;

/// Lets so many records through in each window of a second, and counts the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limiter {
    /// When the window began, in nanoseconds.
    start: u64,
    admitted: u32,
    suppressed: u64,
}

impl Limiter {
    /// A limiter whose first window begins at `time`.
    pub const fn new(time: u64) -> Self {
        Self {
            start: time,
            admitted: 0,
            suppressed: 0,
        }
    }

    /// Whether the window is over at `time`.
    pub const fn is_over(&self, time: u64) -> bool {
        time.saturating_sub(self.start) >= WINDOW
    }

    /// Begins a new window at `time`; returns how many records the old one suppressed.
    pub fn restart(&mut self, time: u64) -> u64 {
        let suppressed = self.suppressed;
        *self = Self::new(time);
        suppressed
    }

    /// Whether a record may be printed when `rate` of them may be in this window.
    pub fn admit(&mut self, rate: u32) -> bool {
        if self.admitted < rate {
            self.admitted = self.admitted.wrapping_add(1);
            true
        } else {
            self.suppressed = self.suppressed.wrapping_add(1);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_lets_the_rate_through_and_counts_the_rest() {
        let mut limiter = Limiter::new(5);
        let admitted = (0..10).filter(|_| limiter.admit(3)).count();
        assert_eq!(admitted, 3);
        assert!(!limiter.is_over(4 + WINDOW));
        assert!(limiter.is_over(5 + WINDOW));
        assert_eq!(limiter.restart(5 + WINDOW), 7);
        assert!(limiter.admit(3));
        assert_eq!(limiter.restart(9 + WINDOW), 0);
    }

    #[test]
    fn a_rate_of_zero_suppresses_everything() {
        let mut limiter = Limiter::new(0);
        assert!(!limiter.admit(0));
        assert_eq!(limiter.restart(0), 1);
    }

    #[test]
    fn a_clock_that_seems_to_go_back_does_not_end_a_window() {
        assert!(!Limiter::new(2 * WINDOW).is_over(0));
    }
}
