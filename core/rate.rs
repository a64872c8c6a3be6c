// SPDX-License-Identifier: GPL-2.0

//! How often something may happen: records of one namespace that are printed, a
//! rule of a policy that matches.

use ::core::sync::atomic::{AtomicU64, Ordering};

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

/// A token bucket that any number of CPUs take from at once.
///
/// It holds the time at which it would be full again, had nothing been taken since
/// (the "generic cell rate algorithm"): one number, no lock.
#[derive(Debug, Default)]
pub struct Bucket(AtomicU64);

impl Bucket {
    /// Has what is left of another one, which goes.
    pub fn take_over(&self, other: &Self) {
        self.0
            .store(other.0.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Takes a token at `time`, in nanoseconds, if there is one, where `events` new
    /// ones come in so many `seconds`, and no more than `burst` are kept.
    #[inline]
    pub fn take(&self, time: u64, events: u32, seconds: u32, burst: u32) -> bool {
        let interval = u64::from(seconds)
            .wrapping_mul(WINDOW)
            .checked_div(events.into())
            .unwrap_or(0);
        let ahead = interval.saturating_mul(u64::from(burst.saturating_sub(1)));
        let latest = time.saturating_add(ahead);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full| {
                (full <= latest).then(|| full.max(time).saturating_add(interval))
            })
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_at_once_and_then_so_many_a_second() {
        let bucket = Bucket::default();
        let start = 5 * WINDOW;
        let burst = (0..100).filter(|_| bucket.take(start, 10, 1, 4)).count();
        assert_eq!(burst, 4);
        // A thousand attempts in the next two seconds.
        let later = (0..1000)
            .filter(|step| bucket.take(start + step * 2_000_000, 10, 1, 4))
            .count();
        assert_eq!(later, 19, "one each 100 ms, from the first of them on");
    }

    #[test]
    fn a_bucket_that_was_left_alone_is_full_but_not_more() {
        let bucket = Bucket::default();
        assert!(bucket.take(0, 1, 60, 3));
        let later = (0..10)
            .filter(|_| bucket.take(1000 * WINDOW, 1, 60, 3))
            .count();
        assert_eq!(later, 3);
    }

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
