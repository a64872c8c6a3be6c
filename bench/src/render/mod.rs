// SPDX-License-Identifier: GPL-2.0

//! A rule set in the language of nftrace and of each peer. What a peer cannot say is refused,
//! never rendered as something near.

mod policy;

pub use policy::policy;

/// What rules do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdicts {
    /// All drop.
    Drop,
    /// Accept and drop in turn: the first accepts.
    Alternate,
}

impl Verdicts {
    /// Whether the rule of this number drops.
    #[must_use]
    pub const fn drops(self, number: usize) -> bool {
        match self {
            Self::Drop => true,
            Self::Alternate => number % 2 == 1,
        }
    }

    /// `accept` or `drop`.
    #[must_use]
    pub const fn word(self, number: usize) -> &'static str {
        if self.drops(number) {
            "drop"
        } else {
            "accept"
        }
    }
}

/// Why a peer cannot have a rule set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unable(pub(crate) &'static str);
