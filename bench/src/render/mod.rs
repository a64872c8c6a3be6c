// SPDX-License-Identifier: GPL-2.0

//! A rule set in the language of nftrace and of each peer. What a peer cannot say is refused,
//! never rendered as something near.
//!
//! Tables and sets are called [`NAME`]. All stand at `pre_routing`, before connection
//! tracking, as nftrace does.

mod fields;
mod ipset;
mod iptables;
mod nft;
mod policy;

pub use fields::Fields;
pub use ipset::ipset;
pub use iptables::iptables;
pub use nft::{nft_hash, nft_layers, nft_linear, nft_ranges};
pub use policy::policy;

/// How tables and sets are called.
pub const NAME: &str = "bench";

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unable {
    /// It has no order of rules, and some overlap.
    #[error("rules overlap, and the elements of a set have no order")]
    Overlap,
    /// It finds exact values only.
    #[error("a hash finds exact values, and some rules have prefixes or ranges")]
    NotExact,
    /// It has no source ports.
    #[error("an ipset has one port, and some rules have source ports")]
    SourcePorts,
    /// It has one verdict.
    #[error("an ipset has one verdict for all")]
    Verdicts,
    /// It has to have a protocol.
    #[error("an ipset with ports needs a protocol in each rule")]
    AnyProtocol,
    /// A range is an element for each port.
    #[error("an ipset has an element for each port of a range: more than a million here")]
    TooLarge,
    /// A set without rules, or one of which a single rule takes all.
    #[error("a rule matches every packet: there is nothing to look up")]
    NoFields,
}
