// SPDX-License-Identifier: GPL-2.0

//! `core/ring.rs` with loom's atomics in the place of the processor's, and records of two
//! words in the place of real ones: so loom can try every order in which producers and a
//! reader can meet, and everything that a weak memory model lets a reader see.

#[macro_use]
mod harness;

/// What stands in the place of `core::sync::atomic`.
pub mod atomics {
    pub use loom::sync::atomic::{fence, AtomicU64, Ordering};
}

/// What the ring uses of `core/abi.rs`.
pub mod abi {
    /// A record and what was lost before it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Frame {
        /// The position.
        pub position: u64,
        /// The loss.
        pub lost: u64,
        /// The record.
        pub record: crate::record::Record,
    }
}

/// What the ring uses of `core/record`.
pub mod record {
    pub use nftrace_core::record::{write, Words};

    /// The least of which one can be torn.
    pub const RECORD_WORDS: usize = 2;

    /// Two words that belong together.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Record {
        /// Its time, which no other record has.
        pub time: u64,
        /// The time again, and who made it: `time * 16 + producer`.
        pub maker: u64,
    }

    impl Record {
        /// None.
        pub const EMPTY: Self = Self { time: 0, maker: 0 };

        /// As a slot has it.
        #[must_use]
        pub fn to_words(self) -> [u64; RECORD_WORDS] {
            [self.time, self.maker]
        }

        /// From what a slot has.
        #[must_use]
        pub fn from_words([time, maker]: [u64; RECORD_WORDS]) -> Self {
            Self { time, maker }
        }

        /// Every record here has all of its words.
        #[must_use]
        pub fn without_leftovers(self) -> Self {
            self
        }
    }
}

/// How many records each producer makes, how many slots there are, and how often the
/// reader looks while they do.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// One number for each producer.
    pub producers: &'static [u64],
    /// A power of two.
    pub slots: usize,
    /// Besides those looks when all is over.
    pub looks: usize,
    /// How often a thread may be interrupted in one order; none: whenever.
    pub preemptions: Option<usize>,
}

// `sound`, which is the ring as it is, and those with a fault.
include!(concat!(env!("OUT_DIR"), "/rings.rs"));
