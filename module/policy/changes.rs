// SPDX-License-Identifier: GPL-2.0

//! How policies come and go: one change at a time, each complete or not at all.

use kernel::prelude::*;
use kernel::sync::{new_mutex, Arc, Mutex};

use nftrace_core::policy::control::{
    Count, Entry, Event, Status, ANY, PANIC_ACCEPT, PANIC_DROP, PANIC_OFF, STATUS_BRIDGE,
    STATUS_CLOSED,
};

use super::loaded::{Loaded, Refused};
use super::past::{generation, Past, Policy};
use super::sets::{Batch, Changed, RetiredSets};
use super::{enforce, Enforced};
use crate::bindings::blob::Blob;
use crate::bindings::policy::{self, next_epoch, realtime, Helpers, ModuleHold, Task};
use crate::bindings::work::Worker;
use crate::module::datapath::now;
use crate::module::dmesg::Printer;

/// What is restored unless somebody confirms in time.
struct Trial {
    /// When, by the monotonic clock.
    deadline: u64,
    restore: Policy,
    /// What a rollback restored before, and does again if nothing comes of the trial.
    previous: Option<Policy>,
}

struct State {
    /// The last generation that was given.
    last: u32,
    current: Policy,
    /// What a rollback restores.
    previous: Option<Policy>,
    trial: Option<Trial>,
    panic: u32,
    past: Past,
    /// What was in sets before they changed.
    retired: RetiredSets,
    is_tracked: bool,
    is_logged: bool,
    hold: Option<ModuleHold>,
    /// The module goes: nothing is asked of namespaces any more, nor of others.
    is_over: bool,
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
pub(super) struct Wanted {
    pub(super) blob: KVVec<u64>,
    /// Bytes of it.
    pub(super) len: usize,
    pub(super) epoch: u64,
    /// Seconds; 0 for for good.
    pub(super) trial: u32,
    pub(super) expected: u32,
    /// Dynamic sets keep what is in them.
    pub(super) keeps_sets: bool,
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
    /// It has no dynamic set of that name.
    NoSet,
    /// The set, or all together, would be too large: why, as in
    /// [`nftrace_core::policy::control::SetChange::reason`].
    Full(u32),
}

/// What it is where conntrack cannot look at some namespace.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Untracked {
    /// A reason not to load.
    Refused,
    /// Told, and no more: what held before has to hold again, whatever is wrong.
    Told,
}

impl<T: Into<Refused>> From<T> for Failure {
    fn from(refused: T) -> Self {
        Self::Refused(refused.into())
    }
}

impl State {
    /// Whether a rollback, or the end of a trial, may want a generation.
    fn is_needed(&self, wanted: u32) -> bool {
        let is = |policy: &Policy| generation(policy) == wanted;
        let of_trial =
            |trial: &Trial| is(&trial.restore) || trial.previous.as_ref().is_some_and(is);
        is(&self.current)
            || self.previous.as_ref().is_some_and(is)
            || self.trial.as_ref().is_some_and(of_trial)
    }

    /// Whether a policy may be loaded that was compiled in an epoch, in the place of the
    /// generation that is expected.
    fn admit(&self, epoch: u64, expected: u32) -> Result<(), Failure> {
        if self.trial.is_some() {
            return Err(Failure::OnTrial);
        }
        if expected != ANY && expected != generation(&self.current) {
            return Err(Failure::Stale);
        }
        if !(1..=policy::epoch()).contains(&epoch) {
            // In one that never began, every later namespace would be an old one.
            return Err(EINVAL.into());
        }
        Ok(())
    }

    /// Notes what was changed just now.
    fn note(&mut self, event: Event, before: u32, by: &Task) {
        let after = generation(&self.current);
        self.past.write(event, before, after, by);
    }

    /// Has conntrack look at every namespace.
    fn track(&mut self, untracked: Untracked) -> Result {
        if let Err(error) = Helpers::track(true) {
            if untracked == Untracked::Refused {
                if !self.is_tracked {
                    // Those at which it looks already. It has no way to fail.
                    let _ = Helpers::track(false);
                }
                return Err(error);
            }
            pr_warn!("policy: conntrack does not look at every namespace\n");
        }
        self.is_tracked = true;
        Ok(())
    }
}

impl Enforced {
    /// What decides; none where everything passes.
    fn of(panic: u32, policy: &Policy) -> Result<Option<KBox<Self>>> {
        let enforced = match (panic, policy) {
            (PANIC_DROP, _) => Self::DropAll,
            (PANIC_OFF, Some(loaded)) => Self::Policy(loaded.clone()),
            _ => return Ok(None),
        };
        Ok(Some(KBox::new(enforced, GFP_KERNEL)?))
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
            past: Past::new()?,
            retired: RetiredSets::new(),
            is_tracked: false,
            is_logged: false,
            hold: None,
            is_over: false,
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

    /// Makes `next`, whose needs are met, what decides, in every namespace at once.
    /// Everything that can fail comes first.
    fn enforce(&self, state: &mut State, next: Policy, untracked: Untracked) -> Result {
        let needs = next.as_ref().map(|loaded| loaded.needs).unwrap_or_default();
        let enforced = Enforced::of(state.panic, &next)?;
        let hold = match (&next, self.is_closed) {
            (Some(_), true) => Some(ModuleHold::new().ok_or(ENODEV)?),
            _ => None,
        };
        if needs.conntrack {
            state.track(untracked)?;
        }
        if needs.log && !state.is_logged {
            self.printer.task().follow();
        }
        // When this returns, nobody asks the old one any more.
        enforce(enforced);
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
        state.hold = hold;
        state.current = next;
        Ok(())
    }

    /// Loads a policy. It is verified before the lock is taken: that may last, and who wants
    /// everything dropped, or is killed while it waits, does not wait for that.
    pub(super) fn load(&self, wanted: Wanted) -> Result<Arc<Loaded>, Failure> {
        let (epoch, expected) = (wanted.epoch, wanted.expected);
        self.state.lock().admit(epoch, expected)?;
        let blob = Blob::read::<Refused>(wanted.blob, wanted.len)?;
        let mut loaded = Loaded::new(blob, epoch)?;
        let mut state = self.state.lock();
        // Others may have changed policies meanwhile.
        state.admit(epoch, expected)?;
        let before = generation(&state.current);
        let next = state.last.wrapping_add(1);
        (loaded.generation, loaded.time) = (next, realtime());
        if let (true, Some(old)) = (wanted.keeps_sets, &state.current) {
            loaded.keep_sets(old)?;
        }
        let loaded = Arc::new(loaded, GFP_KERNEL)?;
        if loaded.needs.bridge && !self.has_bridge {
            return Err(Failure::NoBridge);
        }
        Helpers::need(&loaded.needs).map_err(Failure::Missing)?;
        let kept = state.past.kept.with(&loaded, |one| state.is_needed(one))?;
        let old = state.current.clone();
        self.enforce(&mut state, Some(loaded.clone()), Untracked::Refused)?;
        state.past.kept = kept;
        let previous = state.previous.replace(old.clone());
        let event = if wanted.trial == 0 {
            Event::Load
        } else {
            let period = u64::from(wanted.trial).saturating_mul(1_000_000_000);
            state.trial = Some(Trial {
                deadline: now().saturating_add(period),
                restore: old,
                previous,
            });
            Event::Try
        };
        state.last = next;
        state.note(event, before, &Task::current());
        Ok(loaded)
    }

    /// What is on trial stays.
    pub(super) fn confirm(&self, wanted: u32) -> Result<u32, Failure> {
        let mut state = self.state.lock();
        let current = generation(&state.current);
        if state.trial.is_none() || (wanted != ANY && wanted != current) {
            return Err(Failure::NotKept);
        }
        state.trial = None;
        state.note(Event::Confirm, current, &Task::current());
        Ok(current)
    }

    /// Restores an earlier policy.
    pub(super) fn rollback(&self, wanted: u32) -> Result<u32, Failure> {
        let mut state = self.state.lock();
        let policy = match wanted {
            ANY => state.previous.clone().ok_or(Failure::NotKept)?,
            wanted => state.past.kept.find(wanted).ok_or(Failure::NotKept)?,
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
        // What it needs of others was there when it was loaded, and stays.
        self.enforce(state, policy, Untracked::Told)?;
        let (before, after) = (generation(&old), generation(&state.current));
        match state.trial.take() {
            // As if nobody had tried anything: else a rollback would restore it.
            Some(trial) if event != Event::Flush && generation(&trial.restore) == after => {
                state.previous = trial.previous;
            }
            _ if before != after => state.previous = Some(old),
            _ => {}
        }
        state.note(event, before, by);
        Ok(after)
    }

    /// Has everything pass, or nothing, or the policy decide again.
    pub(super) fn panic(&self, panic: u32) -> Result<u32, Failure> {
        let event = match panic {
            PANIC_ACCEPT => Event::AcceptAll,
            PANIC_DROP => Event::DropAll,
            _ => Event::EndPanic,
        };
        let mut state = self.state.lock();
        // It asks nothing of anybody, so that nobody can keep it from happening.
        enforce(Enforced::of(panic, &state.current)?);
        state.panic = panic;
        let current = generation(&state.current);
        state.note(event, current, &Task::current());
        Ok(current)
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
            bytes: current.map_or(0, |loaded| loaded.size() as u64),
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
            wanted => state.past.kept.find(wanted).ok_or(Failure::NotKept)?,
        };
        policy.ok_or(Failure::NotKept)
    }

    /// Changes a dynamic set of the policy in force, at once and for the next packet.
    /// Rules, counters and the generation stay.
    pub(super) fn change_set(
        &self,
        name: &[u8],
        expected: u32,
        batch: &Batch,
    ) -> Result<Changed, Failure> {
        let mut state = self.state.lock();
        let current = state.current.clone();
        if expected != ANY && expected != generation(&current) {
            return Err(Failure::Stale);
        }
        let loaded = current.ok_or(Failure::NotKept)?;
        loaded.change_set(name, batch, &mut state.retired)
    }

    /// Gives back what was in sets before they changed, where nobody reads it any more;
    /// in how many milliseconds to look again.
    pub(super) fn sweep(&self) -> Option<i64> {
        let mut state = self.state.lock();
        state.retired.sweep();
        (!state.retired.is_empty()).then_some(100)
    }

    /// What the policy in force counted. A load, which moves counters, waits meanwhile.
    pub(super) fn counts(&self) -> Result<KVVec<Count>> {
        let state = self.state.lock();
        match &state.current {
            Some(loaded) => loaded.counters.list(),
            None => Ok(KVVec::new()),
        }
    }

    /// The last changes, the oldest first.
    pub(super) fn history(&self) -> Result<KVVec<Entry>> {
        self.state.lock().past.list()
    }

    /// Restores what was before a trial that nobody confirmed; in how many
    /// milliseconds to look again.
    pub(super) fn expire(&self) -> Option<i64> {
        let mut state = self.state.lock();
        if state.is_over {
            return None;
        }
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
        let mut state = self.state.lock();
        if state.is_tracked && !state.is_over {
            // It tells, and no more.
            let _ = state.track(Untracked::Told);
        }
    }

    /// Nothing decides any more, for good, and nothing is asked of namespaces: soon
    /// they have nothing of ours.
    fn end(&self) {
        let mut state = self.state.lock();
        state.is_over = true;
        enforce(None);
        let current = generation(&state.current);
        if current != 0 {
            pr_warn!("policy: generation {current} goes with the module: nothing is protected\n");
        }
    }
}

/// Ends the policy when it is dropped. Nobody may change policies any more then; the
/// hooks are still there, and go only afterwards: what they find out for a policy they
/// may not ask a namespace from which we go.
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
