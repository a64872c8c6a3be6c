// SPDX-License-Identifier: GPL-2.0

//! How policies come and go: one change at a time, each complete or not at all.

use kernel::prelude::*;
use kernel::sync::{new_mutex, Arc, Mutex};

use nftrace_core::policy::control::{
    Entry, Event, Status, ANY, HISTORY, KEPT, KEPT_BYTES, PANIC_ACCEPT, PANIC_DROP, PANIC_OFF,
    STATUS_BRIDGE, STATUS_CLOSED,
};
use nftrace_core::policy::Needs;

use super::loaded::{Loaded, Refused};
use super::{Enforced, ENFORCED};
use crate::bindings::policy::{next_epoch, realtime, Helpers, ModuleHold, Task};
use crate::bindings::work::Worker;
use crate::module::datapath::now;
use crate::module::dmesg::Printer;

/// A policy, or that there is none.
type Policy = Option<Arc<Loaded>>;

fn generation(policy: &Policy) -> u32 {
    policy.as_ref().map_or(0, |loaded| loaded.generation)
}

/// What is restored unless somebody confirms in time.
struct Trial {
    /// When, by the monotonic clock.
    deadline: u64,
    restore: Policy,
}

struct State {
    /// The last generation that was given.
    last: u32,
    current: Policy,
    /// What a rollback restores.
    previous: Option<Policy>,
    trial: Option<Trial>,
    panic: u32,
    /// The newest last.
    kept: KVec<Arc<Loaded>>,
    /// A ring once it is full.
    history: KVec<Entry>,
    /// The oldest entry of a full ring.
    oldest: usize,
    is_tracked: bool,
    is_logged: bool,
    hold: Option<ModuleHold>,
}

/// All that changes policies goes through this.
#[pin_data]
pub(crate) struct Control {
    printer: Arc<Worker<Printer>>,
    has_bridge: bool,
    /// `fail=closed`.
    is_closed: bool,
    #[pin]
    state: Mutex<State>,
}

/// What is to be loaded.
pub(super) struct Wanted<'a> {
    pub(super) blob: &'a [u8],
    pub(super) epoch: u64,
    /// Seconds; 0 for for good.
    pub(super) trial: u32,
    pub(super) expected: u32,
}

/// Why a change is refused.
pub(super) enum Failure {
    Refused(Refused),
    /// A kernel module that there is not.
    Missing(&'static str),
    /// It has rules for the bridge family, whose hooks we do not have.
    NoBridge,
    /// Another one is on trial.
    OnTrial,
    /// The one in force is not the one that was expected.
    Stale,
    /// There is no such generation.
    NotKept,
}

impl<T: Into<Refused>> From<T> for Failure {
    fn from(refused: T) -> Self {
        Self::Refused(refused.into())
    }
}

impl State {
    /// Makes room for one more, and forgets those that are too many.
    fn keep(&mut self, loaded: &Arc<Loaded>) -> Result {
        let is_needed = |state: &Self, one: &Arc<Loaded>| {
            let is = |policy: &Policy| generation(policy) == one.generation;
            is(&state.current)
                || state.previous.as_ref().is_some_and(is)
                || state.trial.as_ref().is_some_and(|trial| is(&trial.restore))
        };
        let mut kept = KVec::with_capacity(KEPT.saturating_add(1), GFP_KERNEL)?;
        let (mut count, mut bytes) = (1_usize, 0_usize);
        for one in self.kept.iter().rev() {
            let needed = is_needed(self, one);
            let size = bytes.saturating_add(one.size);
            if needed || (count < KEPT && size <= KEPT_BYTES) {
                kept.push(one.clone(), GFP_KERNEL)?;
                count = count.saturating_add(1);
                bytes = size;
            }
        }
        kept.reverse();
        kept.push(loaded.clone(), GFP_KERNEL)?;
        self.kept = kept;
        Ok(())
    }

    fn write_history(&mut self, event: Event, before: u32, by: &Task) {
        let entry = Entry {
            time: realtime(),
            event: event as u32,
            before,
            after: generation(&self.current),
            is_kept: 0,
            uid: by.uid,
            pid: by.pid,
            comm: by.comm,
        };
        if self.history.len() < HISTORY {
            // There is room: `Control::new` made it.
            let _ = self.history.push(entry, GFP_KERNEL);
        } else if let Some(slot) = self.history.get_mut(self.oldest) {
            *slot = entry;
            self.oldest = self.oldest.wrapping_add(1);
            if self.oldest >= HISTORY {
                self.oldest = 0;
            }
        }
        let (after, name) = (entry.after, event.name());
        let (uid, pid) = (by.uid, by.pid);
        pr_info!("policy: {name}: generation {before} -> {after}, by uid {uid}, process {pid}\n");
    }

    fn is_kept(&self, wanted: u32) -> bool {
        wanted == 0 || self.kept.iter().any(|one| one.generation == wanted)
    }

    fn find(&self, wanted: u32) -> Result<Policy, Failure> {
        if wanted == 0 {
            return Ok(None);
        }
        let mut kept = self.kept.iter();
        let found = kept.find(|one| one.generation == wanted);
        found.cloned().map(Some).ok_or(Failure::NotKept)
    }
}

impl Control {
    /// Without a policy.
    pub(crate) fn new(
        printer: Arc<Worker<Printer>>,
        has_bridge: bool,
        is_closed: bool,
    ) -> Result<Arc<Self>> {
        let state = State {
            last: 0,
            current: None,
            previous: None,
            trial: None,
            panic: PANIC_OFF,
            kept: KVec::new(),
            history: KVec::with_capacity(HISTORY, GFP_KERNEL)?,
            oldest: 0,
            is_tracked: false,
            is_logged: false,
            hold: None,
        };
        Arc::pin_init(
            pin_init!(Self {
                printer,
                has_bridge,
                is_closed,
                state <- new_mutex!(state, "nftrace::policy::Control::state"),
            }),
            GFP_KERNEL,
        )
    }

    /// Makes `next` what decides, in every namespace at once. Everything that can
    /// fail comes first.
    fn enforce(&self, state: &mut State, next: Policy, panic: u32) -> Result<(), Failure> {
        let needs = match &next {
            Some(loaded) => loaded.needs,
            None => Needs::default(),
        };
        if needs.bridge && !self.has_bridge {
            return Err(Failure::NoBridge);
        }
        let enforced = match (panic, &next) {
            (PANIC_DROP, _) => Some(KBox::new(Enforced::DropAll, GFP_KERNEL)?),
            (PANIC_OFF, Some(loaded)) => {
                Some(KBox::new(Enforced::Policy(loaded.clone()), GFP_KERNEL)?)
            }
            _ => None,
        };
        let hold = match (&next, self.is_closed) {
            (Some(_), true) => Some(ModuleHold::new().ok_or(ENODEV)?),
            _ => None,
        };
        Helpers::need(&needs).map_err(Failure::Missing)?;
        if needs.conntrack {
            Helpers::track(true)?;
            state.is_tracked = true;
        }
        if needs.log && !state.is_logged {
            self.printer.task().follow();
        }
        // When this returns, nobody asks the old one any more.
        ENFORCED.replace(enforced);
        if let (Some(new), Some(old)) = (&next, &state.current) {
            if !core::ptr::eq::<Loaded>(&**new, &**old) && new.take_over(old).is_err() {
                pr_warn!("policy: there was no memory to take counters over: they begin at 0\n");
            }
        }
        if state.is_logged && !needs.log {
            self.printer.task().unfollow();
        }
        if state.is_tracked && !needs.conntrack {
            state.is_tracked = false;
            // It has no way to fail: nothing is asked of conntrack.
            let _ = Helpers::track(false);
        }
        state.is_logged = needs.log;
        state.panic = panic;
        state.hold = hold;
        state.current = next;
        Ok(())
    }

    /// Loads a policy; returns its generation.
    pub(super) fn load(&self, wanted: &Wanted<'_>) -> Result<u32, Failure> {
        let mut state = self.state.lock();
        let before = generation(&state.current);
        if state.trial.is_some() {
            return Err(Failure::OnTrial);
        }
        if wanted.expected != ANY && wanted.expected != before {
            return Err(Failure::Stale);
        }
        let next = state.last.wrapping_add(1);
        let loaded = Loaded::new(wanted.blob, next, wanted.epoch, realtime())?;
        let loaded = Arc::new(loaded, GFP_KERNEL)?;
        let mut event = Event::Load;
        let old = state.current.clone();
        // What is kept already stays kept, whatever happens below.
        state.keep(&loaded)?;
        let panic = state.panic;
        if let Err(failure) = self.enforce(&mut state, Some(loaded), panic) {
            state.kept.pop();
            return Err(failure);
        }
        if wanted.trial != 0 {
            event = Event::Try;
            let period = u64::from(wanted.trial).saturating_mul(1_000_000_000);
            state.trial = Some(Trial {
                deadline: now().saturating_add(period),
                restore: old.clone(),
            });
        }
        state.previous = Some(old);
        state.last = next;
        state.write_history(event, before, &Task::current());
        Ok(next)
    }

    /// What is on trial stays.
    pub(super) fn confirm(&self, wanted: u32) -> Result<u32, Failure> {
        let mut state = self.state.lock();
        let current = generation(&state.current);
        if state.trial.is_none() || (wanted != ANY && wanted != current) {
            return Err(Failure::NotKept);
        }
        state.trial = None;
        state.write_history(Event::Confirm, current, &Task::current());
        Ok(current)
    }

    /// Restores an earlier policy.
    pub(super) fn rollback(&self, wanted: u32) -> Result<u32, Failure> {
        let mut state = self.state.lock();
        let policy = match wanted {
            ANY => state.previous.clone().ok_or(Failure::NotKept)?,
            wanted => state.find(wanted)?,
        };
        self.restore(&mut state, policy, Event::Rollback, &Task::current())
    }

    /// Has no policy any more.
    pub(super) fn flush(&self) -> Result<u32, Failure> {
        let mut state = self.state.lock();
        self.restore(&mut state, None, Event::Flush, &Task::current())
    }

    fn restore(
        &self,
        state: &mut State,
        policy: Policy,
        event: Event,
        by: &Task,
    ) -> Result<u32, Failure> {
        let old = state.current.clone();
        let panic = state.panic;
        self.enforce(state, policy, panic)?;
        let before = generation(&old);
        state.trial = None;
        state.previous = Some(old);
        state.write_history(event, before, by);
        Ok(generation(&state.current))
    }

    /// Has everything pass, or nothing, or the policy decide again.
    pub(super) fn panic(&self, panic: u32) -> Result<u32, Failure> {
        let event = match panic {
            PANIC_ACCEPT => Event::AcceptAll,
            PANIC_DROP => Event::DropAll,
            _ => Event::EndPanic,
        };
        let mut state = self.state.lock();
        let current = state.current.clone();
        self.enforce(&mut state, current, panic)?;
        let before = generation(&state.current);
        state.write_history(event, before, &Task::current());
        Ok(before)
    }

    /// What is in force. Begins a new epoch.
    pub(super) fn status(&self, abi: u32) -> Status {
        let state = self.state.lock();
        let mut flags = 0;
        if self.has_bridge {
            flags |= STATUS_BRIDGE;
        }
        if self.is_closed {
            flags |= STATUS_CLOSED;
        }
        let current = state.current.as_ref();
        Status {
            abi,
            generation: generation(&state.current),
            previous: state.previous.as_ref().map_or(ANY, generation),
            rules: current.map_or(0, |loaded| loaded.len()),
            bytes: current.map_or(0, |loaded| loaded.size as u64),
            epoch: next_epoch(),
            time: current.map_or(0, |loaded| loaded.time),
            trial: state.trial.as_ref().map_or(0, |trial| {
                let left = trial.deadline.saturating_sub(now());
                // Rounded up: it is on trial until it is not.
                (left / 1_000_000).saturating_add(1)
            }),
            panic: state.panic,
            flags,
        }
    }

    /// A policy that is kept; for 0 that in force.
    pub(super) fn policy(&self, wanted: u32) -> Result<Arc<Loaded>, Failure> {
        let state = self.state.lock();
        let policy = match wanted {
            0 => state.current.clone(),
            wanted => state.find(wanted)?,
        };
        policy.ok_or(Failure::NotKept)
    }

    /// The last changes, the oldest first.
    pub(super) fn history(&self) -> Result<KVVec<Entry>> {
        let state = self.state.lock();
        let mut list = KVVec::with_capacity(state.history.len(), GFP_KERNEL)?;
        let (newer, older) = (
            state.history.get(..state.oldest).unwrap_or_default(),
            state.history.get(state.oldest..).unwrap_or_default(),
        );
        for entry in Iterator::chain(older.iter(), newer) {
            let mut entry = *entry;
            entry.is_kept = state.is_kept(entry.after).into();
            list.push(entry, GFP_KERNEL)?;
        }
        Ok(list)
    }

    /// Restores what was before a trial that nobody confirmed; in how many
    /// milliseconds to look again.
    pub(super) fn expire(&self) -> Option<i64> {
        let mut state = self.state.lock();
        let trial = state.trial.as_ref()?;
        let left = trial.deadline.saturating_sub(now());
        if left > 0 {
            let milliseconds = (left / 1_000_000).saturating_add(1);
            return Some(i64::try_from(milliseconds).unwrap_or(i64::MAX));
        }
        let restore = trial.restore.clone();
        let restored = self.restore(&mut state, restore, Event::Expire, &Task::default());
        if restored.is_ok() {
            pr_warn!("policy: nobody confirmed: the one before is in force again\n");
            return None;
        }
        // There was no memory for it; there will be.
        Some(100)
    }

    /// Has conntrack look at namespaces that have come, where the policy needs it.
    pub(super) fn track(&self) {
        let state = self.state.lock();
        if state.is_tracked && Helpers::track(true).is_err() {
            pr_warn!("policy: conntrack does not look at every namespace\n");
        }
    }

    /// Nothing decides any more, for good.
    fn end(&self) {
        let current = generation(&self.state.lock().current);
        ENFORCED.replace(None);
        if current != 0 {
            pr_warn!("policy: generation {current} goes with the module: nothing is protected\n");
        }
    }
}

/// Ends the policy when it is dropped; no hook may run any more then.
pub(crate) struct Ending(Arc<Control>);

impl Ending {
    /// Of the policies of a control.
    pub(crate) fn new(control: Arc<Control>) -> Self {
        Self(control)
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}
