// SPDX-License-Identifier: GPL-2.0

//! What the module's parameters set and show.

use core::fmt;
use core::sync::atomic::{AtomicU64, AtomicU8, Ordering};

use kernel::error::code::EINVAL;
use kernel::error::Error;

use nftrace_core::ports::{ParseError, PortList};

use super::tracing::{self, Refused};
use crate::bindings::param::{Locked, Param};

/// `ports=`
pub(crate) struct Ports;

/// Why a list of ports is refused.
pub(crate) enum PortsError<'a> {
    /// It is none.
    List(ParseError<'a>),
    /// It cannot be traced now.
    Refused(Refused),
}

impl fmt::Display for PortsError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(error) => write!(f, "{error}"),
            Self::Refused(refused) => write!(f, "{refused}"),
        }
    }
}

impl Param for Ports {
    const NAME: &'static str = "ports";
    type Error<'a> = PortsError<'a>;

    fn error(reason: &PortsError<'_>) -> Error {
        match reason {
            PortsError::List(_) => EINVAL,
            PortsError::Refused(refused) => refused.error(),
        }
    }

    fn set<'a>(value: &'a str, locked: &Locked) -> Result<(), PortsError<'a>> {
        let list = PortList::parse(value).map_err(PortsError::List)?;
        tracing::set_ports(&list, locked).map_err(PortsError::Refused)
    }

    fn get(out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}", tracing::ports())
    }
}

/// How the kernel log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Format {
    /// One line a record: `docs/record.md`.
    V1 = 0,
    /// A block of four lines a record.
    Classic = 1,
}

static FORMAT: AtomicU8 = AtomicU8::new(Format::V1 as u8);

impl Format {
    const ALL: [(&'static str, Self); 2] = [("v1", Self::V1), ("classic", Self::Classic)];

    /// The format in force.
    pub(crate) fn current() -> Self {
        if FORMAT.load(Ordering::Relaxed) == Self::Classic as u8 {
            Self::Classic
        } else {
            Self::V1
        }
    }
}

/// A format that nobody knows.
pub(crate) struct UnknownFormat;

impl fmt::Display for UnknownFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no such format; use v1 or classic")
    }
}

/// `format=`
impl Param for Format {
    const NAME: &'static str = "format";
    type Error<'a> = UnknownFormat;

    fn set<'a>(value: &'a str, _locked: &Locked) -> Result<(), UnknownFormat> {
        let value = value.trim_ascii();
        let (_, format) = Self::ALL
            .into_iter()
            .find(|(name, _)| *name == value)
            .ok_or(UnknownFormat)?;
        FORMAT.store(format as u8, Ordering::Relaxed);
        Ok(())
    }

    fn get(out: &mut dyn fmt::Write) -> fmt::Result {
        let current = Self::current();
        for (name, format) in Self::ALL {
            if format == current {
                out.write_str(name)?;
            }
        }
        Ok(())
    }
}

/// What becomes of the module while a policy is loaded: `fail=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Fail {
    /// It may be unloaded, and then nothing is protected.
    Open = 0,
    /// It stays.
    Closed = 1,
}

static FAIL: AtomicU8 = AtomicU8::new(Fail::Open as u8);

impl Fail {
    /// Whether the module stays.
    pub(crate) fn is_closed() -> bool {
        FAIL.load(Ordering::Relaxed) == Self::Closed as u8
    }
}

/// A way to fail that there is not.
pub(crate) struct UnknownFail;

impl fmt::Display for UnknownFail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no such way; use open or closed")
    }
}

impl Param for Fail {
    const NAME: &'static str = "fail";
    type Error<'a> = UnknownFail;

    fn set<'a>(value: &'a str, _locked: &Locked) -> Result<(), UnknownFail> {
        let fail = match value.trim_ascii() {
            "open" => Self::Open,
            "closed" => Self::Closed,
            _ => return Err(UnknownFail),
        };
        FAIL.store(fail as u8, Ordering::Relaxed);
        Ok(())
    }

    fn get(out: &mut dyn fmt::Write) -> fmt::Result {
        out.write_str(if Self::is_closed() { "closed" } else { "open" })
    }
}

/// What was counted since the module was loaded.
#[derive(Default)]
pub(crate) struct Counters {
    /// Records that were printed.
    pub(crate) printed: AtomicU64,
    /// Records that `log_rate=` kept from the kernel log.
    pub(crate) suppressed: AtomicU64,
    /// Records that were overwritten before they could be printed.
    pub(crate) lost: AtomicU64,
    /// Packets that end inside a header.
    pub(crate) truncated: AtomicU64,
    /// Packets whose headers contradict themselves.
    pub(crate) malformed: AtomicU64,
}

/// The counters. Those of packets count only while something is traced: nothing is read else.
pub(crate) static COUNTERS: Counters = Counters {
    printed: AtomicU64::new(0),
    suppressed: AtomicU64::new(0),
    lost: AtomicU64::new(0),
    truncated: AtomicU64::new(0),
    malformed: AtomicU64::new(0),
};

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        write!(
            f,
            "printed={} suppressed={} lost={} truncated={} malformed={}",
            load(&self.printed),
            load(&self.suppressed),
            load(&self.lost),
            load(&self.truncated),
            load(&self.malformed),
        )
    }
}

/// Why counters cannot be set.
pub(crate) struct ReadOnly;

impl fmt::Display for ReadOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the counters can only be read")
    }
}

/// `counters`
impl Param for Counters {
    const NAME: &'static str = "counters";
    type Error<'a> = ReadOnly;

    fn set<'a>(_value: &'a str, _locked: &Locked) -> Result<(), ReadOnly> {
        Err(ReadOnly)
    }

    fn get(out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{COUNTERS}")
    }
}
