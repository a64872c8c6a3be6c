// SPDX-License-Identifier: GPL-2.0

//! The policy in force: how it is kept, asked and changed.

mod changes;
mod counters;
pub(crate) mod device;
mod judge;
mod keeper;
mod loaded;
mod past;

use kernel::sync::Arc;

pub(crate) use changes::{Control, Ending};
pub(crate) use judge::{judge, Judgement, Packet, Read};
pub(crate) use keeper::Keeper;
use loaded::Loaded;

use crate::bindings::rcu::RcuBox;

/// What decides about packets.
enum Enforced {
    /// A policy.
    Policy(Arc<Loaded>),
    /// Nothing passes.
    DropAll,
}

/// What decides about packets; none where everything passes.
static ENFORCED: RcuBox<Enforced> = RcuBox::new();
