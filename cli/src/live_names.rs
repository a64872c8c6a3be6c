// SPDX-License-Identifier: GPL-2.0

//! Names of namespaces while they come and go.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::{Duration, Instant};

use nftrace_journeys::{Journey, Names as _, NamespaceId};

use crate::hooks::Culprits;
use crate::names::Names;

/// Looking at a machine takes time in which records are not read.
const PAUSE: Duration = Duration::from_secs(1);
/// A namespace that has no name after so many looks is not looked for again.
const LOOKS: u8 = 3;

/// The names of this machine: one that appears is looked for when its first record
/// comes, and what is gone keeps the name that it had.
#[derive(Debug)]
pub(crate) struct LiveNames {
    seen: RefCell<Names>,
    looked: Cell<Instant>,
    known: RefCell<HashMap<NamespaceId, Known>>,
}

#[derive(Debug, Default)]
struct Known {
    name: Option<String>,
    looks: u8,
}

impl LiveNames {
    /// Looks at this machine.
    pub(crate) fn new() -> Self {
        Self {
            seen: RefCell::new(Names::snapshot()),
            looked: Cell::new(Instant::now()),
            known: RefCell::default(),
        }
    }

    /// Names who may have dropped the packet of a journey.
    pub(crate) fn accuse(&self, culprits: &Culprits, journey: &mut Journey) {
        culprits.accuse(journey, &self.seen.borrow());
    }

    /// Whether a namespace is no more.
    pub(crate) fn is_gone(&self, namespace: &NamespaceId) -> bool {
        let seen = self.seen.borrow();
        seen.lookup(namespace.cookie(), namespace.inode())
            .is_none_or(|namespace| namespace.gone)
    }

    /// Looks again, also for what has a name.
    pub(crate) fn refresh(&self) {
        self.seen.replace(Names::snapshot());
        self.looked.set(Instant::now());
        for (namespace, known) in self.known.borrow_mut().iter_mut() {
            let name = self.seen.borrow().name(namespace);
            known.name = name.or(known.name.take());
        }
    }
}

impl nftrace_journeys::Names for LiveNames {
    fn name(&self, namespace: &NamespaceId) -> Option<String> {
        let mut all = self.known.borrow_mut();
        let known = all.entry(*namespace).or_default();
        if known.name.is_none() && known.looks < LOOKS {
            known.name = self.seen.borrow().name(namespace);
            if known.name.is_none() && self.looked.get().elapsed() >= PAUSE {
                known.looks += 1;
                self.seen.replace(Names::snapshot());
                self.looked.set(Instant::now());
                known.name = self.seen.borrow().name(namespace);
            }
        }
        known.name.clone()
    }
}
