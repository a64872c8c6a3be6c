// SPDX-License-Identifier: GPL-2.0

//! The times of log lines, as the usual programs write them.

const NSEC_PER_SEC: u64 = 1_000_000_000;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The time of a line in nanoseconds: since boot as the kernel writes it (`[12.345678]`),
/// else of the clock, as `dmesg -T`, `journalctl` and syslog do. Where they leave out the
/// year it is 1972, a leap year, so that differences are right within one year.
pub(super) fn of(line: &str) -> Option<u64> {
    // Our own text begins here at the latest, and may hold anything.
    let end = line.find("nftrace").unwrap_or(line.len()).min(100);
    let head = line.get(..end).or_else(|| line.get(..line.len().min(32)))?;
    since_boot(head).or_else(|| clock(head))
}

/// `[  123.456789]`, wherever it stands.
fn since_boot(head: &str) -> Option<u64> {
    head.match_indices('[').find_map(|(at, _)| {
        let (text, _) = head.get(at + 1..)?.split_once(']')?;
        seconds(text.trim_start())
    })
}

/// Seconds with a fraction.
fn seconds(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.')?;
    let whole: u64 = whole.parse().ok()?;
    whole
        .checked_mul(NSEC_PER_SEC)?
        .checked_add(nanoseconds(fraction)?)
}

fn nanoseconds(fraction: &str) -> Option<u64> {
    let digits = fraction.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    format!("{fraction:0<9}").parse().ok()
}

fn clock(head: &str) -> Option<u64> {
    iso(head).or_else(|| words(head))
}

/// `2026-11-22T11:07:48.406210+00:00`, as the first word.
fn iso(head: &str) -> Option<u64> {
    let word = head.split_ascii_whitespace().next()?;
    let (date, time) = word.split_once('T')?;
    let mut numbers = date.splitn(3, '-').map(str::parse::<u64>);
    let (year, month, day) = (
        numbers.next()?.ok()?,
        numbers.next()?.ok()?,
        numbers.next()?.ok()?,
    );
    // What stands behind the seconds is the same in every line.
    let time = time.split(['+', 'Z', '-']).next()?;
    at(year, month, day, time)
}

/// `Nov 22 11:07:48` and, with the year behind, `[Sun Nov 22 11:07:48 2026]`.
fn words(head: &str) -> Option<u64> {
    let mut words = head
        .split(|letter: char| letter.is_ascii_whitespace() || "[]<>".contains(letter))
        .filter(|word| !word.is_empty());
    let month = words.find_map(|word| MONTHS.iter().position(|month| *month == word))?;
    let day = words.next()?.parse().ok()?;
    let time = words.next()?;
    let year = words.next().and_then(|word| word.parse().ok());
    let month = u64::try_from(month).ok()? + 1;
    at(
        year.filter(|year| *year >= 1970).unwrap_or(1972),
        month,
        day,
        time,
    )
}

/// Nanoseconds since 1970.
fn at(year: u64, month: u64, day: u64, time: &str) -> Option<u64> {
    let sane =
        (1970..=2500).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !sane {
        return None;
    }
    let mut parts = time.splitn(3, ':');
    let hours: u64 = parts.next()?.parse().ok()?;
    let minutes: u64 = parts.next()?.parse().ok()?;
    let rest = parts.next()?;
    let (whole, fraction) = match rest.split_once(['.', ',']) {
        Some((whole, fraction)) => (whole, nanoseconds(fraction)?),
        None => (rest, 0),
    };
    let whole: u64 = whole.parse().ok()?;
    if hours > 24 || minutes > 60 || whole > 60 {
        return None;
    }
    let seconds = ((days(year, month, day) * 24 + hours) * 60 + minutes) * 60 + whole;
    Some(seconds * NSEC_PER_SEC + fraction)
}

/// Days since 1970, by the Gregorian calendar whose year begins in March.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    365 * year + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468
}
