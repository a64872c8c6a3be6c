// SPDX-License-Identifier: GPL-2.0

//! What came of the calls.

use std::collections::BTreeMap;

use rustix::io::Errno;
use serde_json::{json, Value};

/// What the documents of the commands and parameters say may come.
const KNOWN: [Errno; 15] = [
    Errno::INVAL,
    Errno::FAULT,
    Errno::NOTTY,
    Errno::PROTONOSUPPORT,
    Errno::TOOBIG,
    Errno::NOENT,
    Errno::BUSY,
    Errno::STALE,
    Errno::NOSPC,
    Errno::SRCH,
    Errno::AGAIN,
    Errno::PERM,
    Errno::ACCESS,
    Errno::NOMEM,
    Errno::RANGE,
];

/// How often a kind of call was done, and how often refused.
#[derive(Default)]
pub(crate) struct Told {
    calls: BTreeMap<&'static str, (u64, u64)>,
    strange: BTreeMap<String, u64>,
}

impl Told {
    /// Notes what came of a call.
    pub(crate) fn note<T>(&mut self, what: &'static str, result: std::result::Result<T, Errno>) {
        let entry = self.calls.entry(what).or_default();
        match result {
            Ok(_) => entry.0 += 1,
            Err(errno) => {
                entry.1 += 1;
                if !KNOWN.contains(&errno) {
                    *self.strange.entry(format!("{what}: {errno}")).or_default() += 1;
                }
            }
        }
    }

    /// That of two threads.
    pub(crate) fn and(mut self, other: Self) -> Self {
        for (what, (done, refused)) in other.calls {
            let entry = self.calls.entry(what).or_default();
            entry.0 += done;
            entry.1 += refused;
        }
        for (what, count) in other.strange {
            *self.strange.entry(what).or_default() += count;
        }
        self
    }

    /// As the test reads it.
    pub(crate) fn json(&self, sent: u64, found: (usize, usize), still_works: bool) -> Value {
        let calls: BTreeMap<_, _> = self
            .calls
            .iter()
            .map(|(what, (done, refused))| (what, json!({ "done": done, "refused": refused })))
            .collect();
        json!({
            "calls": calls, "strange": self.strange, "sent": sent, "edges": found.0, "kept": found.1,
            "still_works": still_works,
        })
    }
}
