// SPDX-License-Identifier: GPL-2.0

//! Brings what several CPUs wrote into the order of its times.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::observation::{Observation, Source};
use crate::{Input, Loss};

/// Holds inputs back for a while.
#[derive(Debug)]
pub(crate) struct Reorder {
    window: u64,
    /// The latest time seen.
    latest: u64,
    arrived: u64,
    heap: BinaryHeap<Reverse<Held>>,
}

#[derive(Debug)]
struct Held {
    time: u64,
    arrived: u64,
    input: Input,
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        (self.time, self.arrived) == (other.time, other.arrived)
    }
}

impl Eq for Held {}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.time, self.arrived).cmp(&(other.time, other.arrived))
    }
}

impl Reorder {
    pub(crate) fn new(window: u64) -> Self {
        Self {
            window,
            latest: 0,
            arrived: 0,
            heap: BinaryHeap::new(),
        }
    }

    /// The time by which an input is ordered. Lines of a log stand in order already, and
    /// their times are those of printing: they are where they came.
    fn time(&self, input: &Input) -> u64 {
        match input {
            Input::Record(Observation {
                source: Source::Ring,
                time: Some(time),
                ..
            })
            | Input::Loss(Loss {
                time: Some(time), ..
            }) => *time,
            _ => self.latest,
        }
    }

    /// Takes an input.
    pub(crate) fn push(&mut self, input: Input) {
        let time = self.time(&input);
        self.latest = self.latest.max(time);
        self.arrived += 1;
        self.heap.push(Reverse(Held {
            time,
            arrived: self.arrived,
            input,
        }));
    }

    /// The clock says that it is `now`.
    pub(crate) fn advance(&mut self, now: u64) {
        self.latest = self.latest.max(now);
    }

    /// The next input that none can come before; with `all`, the next one.
    pub(crate) fn pop(&mut self, all: bool) -> Option<Input> {
        let Reverse(first) = self.heap.peek()?;
        let due = first.time.saturating_add(self.window) <= self.latest;
        // Without times in the stream there is nothing to wait for.
        if all || due || self.latest == 0 {
            self.heap.pop().map(|Reverse(held)| held.input)
        } else {
            None
        }
    }
}
