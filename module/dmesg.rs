// SPDX-License-Identifier: GPL-2.0

//! The kernel log: drains the rings and prints, in process context.

use core::fmt::{self, Write as _};
use core::sync::atomic::Ordering;

use kernel::prelude::*;
use kernel::rbtree::RBTree;
use kernel::sync::{new_mutex, Arc, Mutex};
use kernel::time::Msecs;

use nftrace_core::rate::Limiter;
use nftrace_core::record::{Classic, Record, V1};
use nftrace_core::ring::{Next, Ring, Slot};

use super::control::{Format, COUNTERS};
use super::datapath::now;
use super::rings::{Rings, Storage};
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
    /// The losses of each ring that were reported.
    lost: KVec<u64>,
}

/// Where the earliest record is.
enum Earliest<'a> {
    /// Nowhere: there is none, or none that is early enough.
    None,
    /// That cannot be told: one is still being written.
    Busy,
    /// In this CPU's ring.
    In(usize, &'a Ring<Storage<Slot>>),
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
        let mut lost = KVec::new();
        for _ in rings.iter() {
            lost.push(0, GFP_KERNEL)?;
        }
        let namespaces = RBTree::new();
        Ok(try_pin_init!(Self {
            rings,
            init_inode: init_net_inode(),
            state <- new_mutex!(State { namespaces, lost }, "nftrace::Printer::state"),
        }? Error))
    }

    /// Prints all records whose time is not later than now, by their times.
    ///
    /// The records of one packet are always printed in its order. The first of two
    /// was written before the clock was read for the second; so when the second is
    /// no later than our reading of the clock, the first can be seen, and in its
    /// ring stands behind none that is later. Only a record of another packet, whose
    /// writer is between the clock and its place in the ring, may come a run late.
    ///
    /// Returns whether all of them could be printed; one that is still being
    /// written holds up those that may be later.
    fn drain(&self, state: &mut State) -> bool {
        let until = now();
        // What comes in meanwhile is for the next run, so that this one ends.
        let mut budget = self
            .rings
            .iter()
            .fold(0_u64, |sum, ring| sum.wrapping_add(ring.len()));
        while budget > 0 {
            budget = budget.wrapping_sub(1);
            let (cpu, ring) = match self.earliest(until) {
                Earliest::Busy => return false,
                Earliest::None => return true,
                Earliest::In(cpu, ring) => (cpu, ring),
            };
            let Some(entry) = ring.peek() else {
                return false;
            };
            ring.pop();
            Self::report_losses(state, cpu, entry.lost);
            self.print_limited(state, &entry.record);
        }
        true
    }

    /// Looks for the earliest record of all rings.
    fn earliest(&self, until: u64) -> Earliest<'_> {
        let mut earliest = Earliest::None;
        let (mut cpu, mut bound) = (0_usize, until);
        for ring in self.rings.iter() {
            match ring.next() {
                Next::At(time) if time <= bound => {
                    earliest = Earliest::In(cpu, ring);
                    // Of records of the same time, the first CPU's comes first.
                    bound = time.saturating_sub(1);
                }
                Next::Busy => return Earliest::Busy,
                Next::At(_) | Next::Empty => {}
            }
            cpu = cpu.wrapping_add(1);
        }
        earliest
    }

    /// Says how many records a ring lost since this was last said.
    fn report_losses(state: &mut State, cpu: usize, lost: u64) {
        let Some(reported) = state.lost.get_mut(cpu) else {
            return;
        };
        let new = lost.saturating_sub(*reported);
        if new > 0 {
            *reported = lost;
            COUNTERS.lost.fetch_add(new, Ordering::Relaxed);
            pr_warn!("lost {new} records on CPU {cpu}: its ring was full\n");
        }
    }

    /// Says what the rings lost behind the last record that they took.
    fn report_trailing_losses(&self, state: &mut State) {
        let mut cpu: usize = 0;
        for ring in self.rings.iter() {
            if ring.is_empty() {
                Self::report_losses(state, cpu, ring.lost());
            }
            cpu = cpu.wrapping_add(1);
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
        self.report_trailing_losses(&mut state);
        Self::end_windows(&mut state, now());
        (!state.namespaces.is_empty()).then_some(REPORT)
    }

    fn finish(&self) {
        let mut state = self.state.lock();
        // No record is being written any more, so this is complete.
        self.drain(&mut state);
        self.report_trailing_losses(&mut state);
        Self::end_windows(&mut state, u64::MAX);
    }
}
