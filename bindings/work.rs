// SPDX-License-Identifier: GPL-2.0

//! A task that runs in process context a little after it was asked for.
//!
//! The kernel crate's `workqueue` cannot wait for an item that is queued or runs,
//! which a module must before its code goes away; this can do only that.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use core::sync::atomic::{AtomicBool, Ordering};
use kernel::ffi::c_int;

use kernel::bindings;
use kernel::prelude::*;
use kernel::sync::Arc;
use kernel::time::{msecs_to_jiffies, Msecs};
use kernel::types::Opaque;

use super::generated;

/// Lets others run, in the middle of something long; no where a signal wants it to end.
/// May sleep.
pub(crate) fn pause() -> bool {
    // SAFETY: Only what is called in process context, without a lock that spins, calls this.
    unsafe { generated::nftrace_cond_resched() };
    !kernel::current!().signal_pending()
}

/// Ticks of the kernel's timer since shortly before it started.
#[inline]
pub(crate) fn ticks() -> u64 {
    let ticks = core::ptr::addr_of!(kernel::bindings::jiffies_64);
    // SAFETY: It is a static of the kernel; on machines of 64 bits, and Rust's are no
    // others, who reads it gets all of it at once, as `get_jiffies_64()` does.
    unsafe { ticks.read_volatile() }
}

/// How many ticks a second has.
pub(crate) fn ticks_of_a_second() -> u64 {
    // SAFETY: The function has no preconditions.
    u64::from(unsafe { generated::nftrace_hz() })
}

/// When a tick was, in nanoseconds of the monotonic clock.
pub(crate) fn time_of(tick: u64) -> u64 {
    let since = ticks().saturating_sub(tick);
    let second = 1_000_000_000_u64;
    let since = since.saturating_mul(second.checked_div(ticks_of_a_second()).unwrap_or(0));
    crate::module::datapath::now().saturating_sub(since)
}

/// What a [`Worker`] runs.
pub(crate) trait Task: Send + Sync + 'static {
    /// Does what there is to do; may sleep; never runs twice at once.
    ///
    /// Returns in how many milliseconds it wants to run again without being
    /// asked; none for not before it is.
    fn run(&self) -> Option<Msecs>;

    /// Does what is left, after the last run and the last kick.
    fn finish(&self);
}

/// A task and the work item that runs it.
///
/// # Invariants
///
/// * `queue` is a work queue of its own.
/// * `work` is initialised, is queued on `queue` only, and never moves.
#[pin_data(PinnedDrop)]
pub(crate) struct Worker<T: Task> {
    queue: Queue,
    #[pin]
    work: Opaque<bindings::delayed_work>,
    /// Whether a run is to come that has not begun: then a kick changes nothing.
    armed: AtomicBool,
    #[pin]
    task: T,
}

// SAFETY: A work item may be queued and cancelled from any CPU; `T` is `Send`.
unsafe impl<T: Task> Send for Worker<T> {}
// SAFETY: All methods only queue the work item, which the C side synchronises; `T` is `Sync`.
unsafe impl<T: Task> Sync for Worker<T> {}

/// # Invariants
///
/// A work queue that `alloc_workqueue()` returned and nobody else has.
struct Queue(*mut bindings::workqueue_struct);

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, the queue is valid and ours.
        unsafe { bindings::destroy_workqueue(self.0) };
    }
}

/// How long a kick waits for more to come: one run then serves them all.
const KICK_DELAY: Msecs = 5;

impl<T: Task> Worker<T> {
    /// A worker that does nothing before [`Self::start`].
    pub(crate) fn new(task: impl PinInit<T, Error>) -> Result<Arc<Self>> {
        // SAFETY: The function has no preconditions; null is looked for.
        let queue = unsafe { generated::nftrace_alloc_workqueue() };
        if queue.is_null() {
            return Err(ENOMEM);
        }
        // INVARIANT: It is valid, and only we have it.
        let queue = Queue(queue);
        // INVARIANT: `work` is initialised in its place, where pinning holds it.
        Arc::pin_init(
            try_pin_init!(Self {
                queue,
                work <- Opaque::ffi_init(|work| {
                    // SAFETY: `work` is the place of a delayed work item.
                    unsafe { generated::nftrace_init_delayed_work(work, Some(Self::run)) }
                }),
                // Nothing is queued by a kick until `start` does it.
                armed: AtomicBool::new(true),
                task <- task,
            }? Error),
            GFP_KERNEL,
        )
    }

    /// The task.
    pub(crate) fn task(&self) -> &T {
        &self.task
    }

    /// Runs the task now, and from now on after kicks.
    pub(crate) fn start(&self) {
        self.queue_in(0);
    }

    /// Has the task run soon. To be called from any context but NMI, often.
    ///
    /// What the caller did before is seen by that run.
    #[inline]
    pub(crate) fn kick(&self) {
        if !self.armed.swap(true, Ordering::SeqCst) {
            // Sooner than a run that the task asked for itself.
            // SAFETY: By the type invariants, the work item and the queue are valid
            // and belong together; the item is cancelled before either is gone.
            unsafe {
                bindings::mod_delayed_work_on(
                    bindings::wq_misc_consts_WORK_CPU_UNBOUND as c_int,
                    self.queue.0,
                    self.work.get(),
                    msecs_to_jiffies(KICK_DELAY),
                )
            };
        }
    }

    /// Queues a run, unless one is queued that comes sooner or later anyway.
    fn queue_in(&self, delay: Msecs) {
        // SAFETY: By the type invariants, the work item and the queue are valid
        // and belong together; the item is cancelled before either is gone.
        unsafe {
            bindings::queue_delayed_work_on(
                bindings::wq_misc_consts_WORK_CPU_UNBOUND as c_int,
                self.queue.0,
                self.work.get(),
                msecs_to_jiffies(delay),
            )
        };
    }

    /// The work function.
    ///
    /// # Safety
    ///
    /// To be called by the work queue only, with the `work` of a `Worker<T>` that
    /// is not gone before this returns.
    unsafe extern "C" fn run(work: *mut bindings::work_struct) {
        // SAFETY: `work` is inside of a delayed work item, by this function's contract.
        let work = unsafe { generated::nftrace_to_delayed_work(work) };
        // SAFETY: The delayed work item is the field of a `Worker<T>`, likewise.
        let this = unsafe { kernel::container_of!(Opaque::cast_from(work), Self, work) };
        // SAFETY: That worker lives during the call, likewise.
        let this = unsafe { &*this };
        // Before the task looks for work: what comes after its look queues a new run.
        this.armed.store(false, Ordering::SeqCst);
        if let Some(delay) = this.task.run() {
            this.queue_in(delay);
        }
    }
}

#[pinned_drop]
impl<T: Task> PinnedDrop for Worker<T> {
    fn drop(self: Pin<&mut Self>) {
        // Nobody can kick any more: kicks go through a reference.
        // SAFETY: By the type invariants, the item is initialised; we are in
        // process context. It waits for a run, and undoes the run's own queueing.
        unsafe { bindings::cancel_delayed_work_sync(self.work.get()) };
        self.task.finish();
    }
}
