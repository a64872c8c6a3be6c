// SPDX-License-Identifier: GPL-2.0

//! Journeys of packets, built from records: where each packet went, what changed it,
//! how it ended.
//!
//! [`Input`]s come from the ring ([`Observation::from`] a record) or from the kernel
//! log ([`LogReader`]). A [`Builder`] makes [`Journey`]s and [`Connection`]s of them.
//! Everything that shows journeys shows these.

mod build;
mod close;
mod fit;
mod flows;
mod index;
mod json;
mod logs;
mod model;
mod nat;
mod observation;
mod open;
mod order;
mod related;
mod tunnel;

pub use build::{Builder, Options, Trace};
pub use json::{protocol_name, ConnectionJson, JourneyJson, RecordJson};
pub use logs::{read_log, LogReader};
pub use model::{
    By, Certainty, Connection, Direction, DropBy, DropInfo, Encapsulation, End, Gap, Join, Journey,
    Leg, Nat, NatKind, Tunnel, Tuple,
};
pub use observation::{Dropped, Endpoint, Known, Names, NamespaceId, Observation, Source};

/// What a builder is fed.
#[allow(
    clippy::large_enum_variant,
    reason = "nearly all are records, which need no allocation of their own"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A record.
    Record(Observation),
    /// Records are missing here.
    Loss(Loss),
}

/// How many records were lost at a place of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// How many.
    pub records: u64,
    /// The CPU whose ring was too small; none where that is not known.
    pub cpu: Option<u16>,
    /// The namespace whose records were suppressed; none: whatever namespace.
    pub namespace: Option<NamespaceId>,
    /// The time of the frame that tells it: they were lost between that CPU's record
    /// before and this time. None in a log, where the line stands where the gap is.
    pub time: Option<u64>,
}

impl Input {
    /// What a frame of the ring tells: the losses before its record, and the record.
    pub fn from_frame(frame: &nftrace_core::abi::Frame) -> impl Iterator<Item = Self> {
        let record = Observation::from(&frame.record);
        let gap = record.kind == nftrace_core::record::Kind::Gap;
        let loss = (frame.lost > 0).then_some(Self::Loss(Loss {
            records: frame.lost,
            cpu: record.cpu,
            namespace: None,
            time: record.time.filter(|time| *time != 0),
        }));
        loss.into_iter()
            .chain((!gap).then_some(Self::Record(record)))
    }
}
