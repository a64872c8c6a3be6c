// SPDX-License-Identifier: GPL-2.0

//! The kernel log: drains the rings and prints, in process context.

use core::fmt::{self, Write as _};
use core::sync::atomic::Ordering;

use kernel::prelude::*;
use kernel::rbtree::RBTree;
use kernel::sync::{new_mutex, Arc, Mutex};
use kernel::time::delay::fsleep;
use kernel::time::{Delta, Msecs};

use nftrace_core::rate::Limiter;
use nftrace_core::record::{Classic, Kind, Record, V1};
use nftrace_core::ring::{merge, Cursor, Merged};

use super::control::{Format, COUNTERS};
use super::datapath::now;
use super::rings::Rings;
use crate::bindings::netfilter::init_net_inode;
use crate::bindings::param::log_rate;
use crate::bindings::work::Task;

/// How soon a run looks again for a record that was being written.
const RETRY: Msecs = 1;

/// How long after the last record the suppressed ones are reported.
const REPORT: Msecs = 1000;

/// Room for a line of version 1 with everything in it that there can be.
const LINE: usize = 768;

/// A text of bounded length; what has no room is cut off.
struct Line {
    bytes: [u8; LINE],
    len: usize,
}

impl Line {
    fn new(args: fmt::Arguments<'_>) -> Self {
        let mut line = Self {
            bytes: [0; LINE],
            len: 0,
        };
        // It never fails: what has no room is cut off.
        let _ = line.write_fmt(args);
        line
    }

    fn as_str(&self) -> &str {
        let text = self.bytes.get(..self.len).unwrap_or_default();
        core::str::from_utf8(text).unwrap_or_default()
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.len..).unwrap_or_default();
        let len = room.len().min(text.len());
        for (slot, byte) in room.iter_mut().zip(text.bytes()) {
            *slot = byte;
        }
        self.len = self.len.saturating_add(len);
        Ok(())
    }
}

/// What is known of a namespace that has records.
struct Namespace {
    inode: u32,
    limiter: Limiter,
}

/// What the printer remembers between runs.
struct State {
    /// The namespaces that had records lately, by cookie.
    namespaces: RBTree<u64, Namespace>,
    /// How far each ring was read.
    cursors: KVec<Cursor>,
    /// For how many reasons the log gets records: what is traced is for it, a rule of
    /// the policy says so. For none, what is in the rings is passed over.
    reasons: u32,
}

/// Prints records in the order of their times, whichever CPU they are from.
#[pin_data]
pub(crate) struct Printer {
    rings: Arc<Rings>,
    init_inode: u32,
    /// Only one run at a time uses it: the lock is never contended.
    #[pin]
    state: Mutex<State>,
}

impl Printer {
    /// A printer of what the rings hold.
    pub(crate) fn new(rings: Arc<Rings>) -> Result<impl PinInit<Self, Error>> {
        let cursors = rings.cursors(Cursor::newest)?;
        let namespaces = RBTree::new();
        Ok(try_pin_init!(Self {
            rings,
            init_inode: init_net_inode(),
            state <- new_mutex!(State { namespaces, cursors, reasons: 0 }, "nftrace::Printer::state"),
        }? Error))
    }

    /// From now on the log gets records for one more reason; what came so far was not
    /// for it, where there was none.
    pub(crate) fn follow(&self) {
        let mut state = self.state.lock();
        if state.reasons == 0 {
            self.rings.place(&mut state.cursors, Cursor::newest);
        }
        state.reasons = state.reasons.saturating_add(1);
    }

    /// What came so far was for the log, though nobody had told us yet.
    pub(crate) fn follow_from_start(&self) {
        let mut state = self.state.lock();
        state.reasons = state.reasons.saturating_add(1);
    }

    /// Prints what came so far; what comes from now on is for the log for one reason less.
    pub(crate) fn unfollow(&self) {
        let mut state = self.state.lock();
        self.drain_all(&mut state);
        state.reasons = state.reasons.saturating_sub(1);
    }

    /// Prints everything. Where a record is being written, that is waited for, but
    /// not for ever.
    fn drain_all(&self, state: &mut State) {
        for _ in 0..1000 {
            if self.drain(state) {
                return;
            }
            fsleep(Delta::from_millis(1));
        }
    }

    /// Prints all records whose time is not later than now, by their times.
    ///
    /// Returns whether all of them could be printed; one that is still being
    /// written holds up those that may be later.
    fn drain(&self, state: &mut State) -> bool {
        if state.reasons == 0 {
            return true;
        }
        let until = now();
        // What comes in meanwhile is for the next run, so that this one ends.
        let mut budget = self.rings.capacity();
        while budget > 0 {
            budget = budget.wrapping_sub(1);
            let next = merge(&mut state.cursors, |cpu| self.rings.view(cpu), until);
            let (cpu, frame) = match next {
                Merged::Busy => return false,
                Merged::Empty => return true,
                Merged::Frame(cpu, frame) => (cpu, frame),
            };
            Self::report_losses(cpu, frame.lost);
            // The classic format knows of nothing else.
            let is_printable =
                Format::current() == Format::V1 || frame.record.kind() == Kind::Entry;
            if frame.record.is_logged() && is_printable {
                self.print_limited(state, &frame.record);
            }
        }
        false
    }

    /// Says how many records were overwritten before they were read.
    fn report_losses(cpu: usize, lost: u64) {
        if lost > 0 {
            COUNTERS.lost.fetch_add(lost, Ordering::Relaxed);
            pr_warn!("lost {lost} records on CPU {cpu}: its ring was full\n");
        }
    }

    /// Says how many records of a namespace were suppressed.
    fn report_suppressed(cookie: u64, inode: u32, suppressed: u64) {
        if suppressed > 0 {
            COUNTERS.suppressed.fetch_add(suppressed, Ordering::Relaxed);
            let rate = log_rate();
            pr_warn!(
                "suppressed {suppressed} records of ns={inode} cookie={cookie}: log_rate={rate}\n"
            );
        }
    }

    /// Prints a record if its namespace may.
    fn print_limited(&self, state: &mut State, record: &Record) {
        let (time, cookie, inode) = (record.time, record.cookie, record.inode);
        if state.namespaces.get(&cookie).is_none() {
            let limiter = Limiter::new(time);
            let added = state.namespaces.try_create_and_insert(
                cookie,
                Namespace { inode, limiter },
                GFP_KERNEL,
            );
            if added.is_err() {
                // Without memory for its limit, a namespace has a limit of nothing.
                Self::report_suppressed(cookie, inode, 1);
                return;
            }
        }
        let Some(namespace) = state.namespaces.get_mut(&cookie) else {
            return;
        };
        if namespace.limiter.is_over(time) {
            Self::report_suppressed(cookie, inode, namespace.limiter.restart(time));
        }
        if namespace.limiter.admit(log_rate()) {
            self.print(record);
        }
    }

    fn print(&self, record: &Record) {
        COUNTERS.printed.fetch_add(1, Ordering::Relaxed);
        match Format::current() {
            Format::V1 => pr_info!("{}\n", Line::new(format_args!("{}", V1(record))).as_str()),
            Format::Classic => {
                let block = Classic {
                    record,
                    init_inode: self.init_inode,
                };
                for line in Line::new(format_args!("{block}")).as_str().lines() {
                    pr_info!("{line}\n");
                }
            }
        }
    }

    /// Reports what the windows that are over by `time` suppressed, and forgets them.
    fn end_windows(state: &mut State, time: u64) {
        let mut cursor = state.namespaces.cursor_front_mut();
        while let Some(mut at) = cursor {
            let (cookie, namespace) = at.current_mut();
            let cookie = *cookie;
            if namespace.limiter.is_over(time) {
                Self::report_suppressed(cookie, namespace.inode, namespace.limiter.restart(time));
                (cursor, _) = at.remove_current();
            } else {
                cursor = at.move_next();
            }
        }
    }
}

impl Task for Printer {
    fn run(&self) -> Option<Msecs> {
        let mut state = self.state.lock();
        if !self.drain(&mut state) {
            return Some(RETRY);
        }
        Self::end_windows(&mut state, now());
        (!state.namespaces.is_empty()).then_some(REPORT)
    }

    fn finish(&self) {
        let mut state = self.state.lock();
        self.drain_all(&mut state);
        Self::end_windows(&mut state, u64::MAX);
    }
}
