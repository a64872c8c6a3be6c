// SPDX-License-Identifier: GPL-2.0

//! The policy in force: how it is kept, asked and changed.

mod changes;
mod counters;
pub(crate) mod device;
mod judge;
mod keeper;
mod loaded;
mod past;
mod set_device;
mod sets;

use kernel::prelude::*;
use kernel::sync::Arc;

pub(crate) use changes::{Control, Ending};
pub(crate) use judge::{judge, judge_plain, Judgement, Packet, Read};
pub(crate) use keeper::Keeper;
use loaded::Loaded;

use crate::bindings::armed;
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

/// Makes this decide about packets. When it returns, nobody asks what did before.
fn enforce(enforced: Option<KBox<Enforced>>) {
    let is_some = enforced.is_some();
    if is_some {
        armed::set_policy(u16::MAX);
    }
    ENFORCED.replace(enforced);
    if !is_some {
        armed::set_policy(0);
    }
}
