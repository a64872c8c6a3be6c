// SPDX-License-Identifier: GPL-2.0

//! What is done for the policy while nobody asks: trials end, namespaces come, and memory
//! is given back.

use kernel::prelude::*;
use kernel::sync::Arc;
use kernel::time::Msecs;

use super::Control;
use crate::bindings::work::Task;

/// Ends trials in time, and has conntrack look at new namespaces.
pub(crate) struct Keeper(Arc<Control>);

impl Keeper {
    /// That of a control.
    pub(crate) fn new(control: Arc<Control>) -> impl PinInit<Self, Error> {
        // It can be moved.
        Ok(Self(control))
    }
}

/// The longest time between two looks.
const HOUR: i64 = 3_600_000;

impl Task for Keeper {
    fn run(&self) -> Option<Msecs> {
        self.0.track();
        let sweep = self.0.sweep();
        let expire = self.0.expire();
        let left = match (sweep, expire) {
            (Some(one), Some(other)) => one.min(other),
            (one, other) => one.or(other)?,
        };
        Msecs::try_from(left.min(HOUR)).ok()
    }

    fn finish(&self) {}
}
