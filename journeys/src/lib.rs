// SPDX-License-Identifier: GPL-2.0

//! Journeys of packets, built from records.

mod json;
mod model;
mod observation;

pub use json::{protocol_name, ConnectionJson, JourneyJson};
pub use model::*;
pub use observation::{Dropped, Endpoint, Known, Names, NamespaceId, Observation, Source};

/// How many records were lost at a place of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// How many.
    pub records: u64,
    /// The CPU whose ring was too small; none where that is not known.
    pub cpu: Option<u16>,
    /// The namespace whose records were suppressed; none: whatever namespace.
    pub namespace: Option<NamespaceId>,
    /// When, where that is known.
    pub time: Option<u64>,
}
