// SPDX-License-Identifier: GPL-2.0

//! The records' clock.

/// Nanoseconds of the monotonic clock, in which the module writes its times.
///
/// By libc, since rustix wants the vDSO's function, which User Mode Linux has not.
#[must_use]
pub fn monotonic() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: it writes one `timespec`, which `time` is.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    let nanoseconds = time
        .tv_sec
        .wrapping_mul(1_000_000_000)
        .wrapping_add(time.tv_nsec);
    u64::try_from(nanoseconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn it_goes_on_as_the_clock_of_the_standard_library() {
        let outer = Instant::now();
        let before = monotonic();
        let inner = Instant::now();
        std::thread::sleep(Duration::from_millis(20));
        let least = inner.elapsed();
        let passed = Duration::from_nanos(monotonic() - before);
        assert!(least <= passed && passed <= outer.elapsed(), "{passed:?}");
    }
}
