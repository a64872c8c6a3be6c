// SPDX-License-Identifier: GPL-2.0

//! What is traced, and how that is changed while packets pass.

use core::fmt;

use kernel::alloc::AllocError;
use kernel::prelude::*;
use kernel::sync::rcu;
use kernel::sync::Arc;

use nftrace_core::abi::ABI;
use nftrace_core::ports::PortList;
use nftrace_core::trace::{write_ports, Filter, Spec, SpecError, BITMAP_WORDS, PORTS_SPEC};

use super::datapath::Datapath;
use super::dmesg::Printer;
use super::rings::Storage;
use crate::bindings::armed;
use crate::bindings::bpf::Program;
use crate::bindings::param::{Attached, Locked};
use crate::bindings::rcu::RcuBox;
use crate::bindings::tracepoint;
use crate::bindings::work::Worker;

/// What a packet is asked.
pub(crate) struct Tracing {
    /// All conditions but those of the program.
    pub(crate) filter: Filter<Storage<u64>>,
    /// The program that has to take it besides.
    pub(crate) program: Option<Program>,
    /// Whether the connections of what is traced are.
    pub(crate) follows_flows: bool,
    /// Whether the kernel's log gets the records too.
    pub(crate) is_logged: bool,
    /// As which it was given to us.
    bytes: Arc<KVVec<u8>>,
}

/// What is traced; none while nothing is. A static, since `ports=` is read before
/// the module's init.
pub(crate) static TRACING: RcuBox<Tracing> = RcuBox::new();

/// What a change of it concerns besides, while the module is loaded.
pub(crate) struct Users {
    /// Remembers what was traced.
    pub(crate) datapath: Arc<Datapath>,
    /// Prints it.
    pub(crate) printer: Arc<Worker<Printer>>,
}

static USERS: Attached<Users> = Attached::new();

/// Why a filter is refused.
pub(crate) enum Refused {
    /// Its bytes are not what they should be.
    Spec(SpecError),
    /// The kernel does not take the program.
    Program(Error),
    /// There is no memory, or no tracepoint.
    Kernel(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Kernel(error)
    }
}

impl From<AllocError> for Refused {
    fn from(error: AllocError) -> Self {
        Self::Kernel(error.into())
    }
}

impl Refused {
    /// What `ioctl()` fails with.
    pub(crate) fn error(&self) -> Error {
        match self {
            Self::Spec(_) => EINVAL,
            Self::Program(error) | Self::Kernel(error) => *error,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spec(error) => write!(f, "{error}"),
            Self::Program(error) => {
                write!(f, "the kernel does not take its program: {error:?}")
            }
            Self::Kernel(error) => write!(f, "the kernel cannot trace it: {error:?}"),
        }
    }
}

impl Tracing {
    /// Whether a packet is asked for nothing but its ports.
    #[inline]
    pub(crate) fn is_of_ports(&self) -> bool {
        self.filter.is_of_ports && self.program.is_none()
    }
}

fn compile(spec: &Spec<'_>, bytes: &[u8]) -> Result<Tracing, Refused> {
    let program = if spec.instruction_count() > 0 {
        Some(Program::new(spec.instructions()).map_err(Refused::Program)?)
    } else {
        None
    };
    let mut copy = KVVec::new();
    copy.extend_from_slice(bytes, GFP_KERNEL)?;
    Ok(Tracing {
        filter: Filter::new(spec, Storage::new(BITMAP_WORDS, || 0)?),
        program,
        follows_flows: spec.follows_flows(),
        is_logged: spec.is_logged(),
        bytes: Arc::new(copy, GFP_KERNEL)?,
    })
}

/// Changes what is traced, and tells the hooks.
fn replace(new: Option<KBox<Tracing>>) {
    let is_some = new.is_some();
    if is_some {
        armed::set_tracing(true);
    }
    TRACING.replace(new);
    if !is_some {
        armed::set_tracing(false);
    }
}

/// Makes what these bytes say what is traced from the next packet on. What is
/// refused changes nothing.
///
/// # Errors
///
/// See [`Refused`].
pub(crate) fn set(bytes: &[u8], locked: &Locked) -> Result<(), Refused> {
    let spec = Spec::new(bytes).map_err(Refused::Spec)?;
    let new = if spec.is_enabled() {
        Some(KBox::new(compile(&spec, bytes)?, GFP_KERNEL)?)
    } else {
        None
    };
    let is_enabled = new.is_some();
    let Some(users) = USERS.get(locked) else {
        // The module is being loaded; `attach` comes.
        replace(new);
        return Ok(());
    };
    if is_enabled {
        tracepoint::arm(true, locked)?;
    }
    let was_logged = is_logged();
    let will_be_logged = is_enabled && spec.is_logged();
    if !was_logged && will_be_logged {
        users.printer.task().follow();
    }
    replace(new);
    users.datapath.forget();
    if was_logged && !will_be_logged {
        users.printer.task().unfollow();
    }
    if !is_enabled {
        tracepoint::arm(false, locked)?;
    }
    Ok(())
}

/// The same for a list of ports, which the kernel's log gets.
///
/// # Errors
///
/// See [`Refused`].
pub(crate) fn set_ports(list: &PortList, locked: &Locked) -> Result<(), Refused> {
    let mut bytes = [0; PORTS_SPEC];
    let len = write_ports(list, &mut bytes);
    set(bytes.get(..len).unwrap_or_default(), locked)
}

/// The ports that are traced.
pub(crate) fn ports() -> PortList {
    TRACING
        .read(&rcu::read_lock())
        .map_or(PortList::EMPTY, |tracing| *tracing.filter.list())
}

/// Whether the kernel's log gets what is traced.
fn is_logged() -> bool {
    TRACING
        .read(&rcu::read_lock())
        .is_some_and(|tracing| tracing.is_logged)
}

/// The bytes that were set last; none while nothing is traced.
pub(crate) fn bytes() -> Option<Arc<KVVec<u8>>> {
    TRACING
        .read(&rcu::read_lock())
        .map(|tracing| tracing.bytes.clone())
}

/// From now on changes concern these too.
///
/// # Errors
///
/// Where the end of packets cannot be observed.
pub(crate) fn attach(users: Arc<Users>, locked: &Locked) -> Result {
    tracepoint::arm(TRACING.is_some(), locked)?;
    // Whose end was not observed yet.
    users.datapath.forget();
    if is_logged() {
        users.printer.task().follow_from_start();
    }
    USERS.swap(Some(users), locked);
    Ok(())
}

/// The contrary of [`attach`]. Nothing is freed before the lock is given back.
pub(crate) fn detach(locked: &Locked) -> Option<Arc<Users>> {
    let users = USERS.swap(None, locked);
    // It has no way to fail: `arm` with false.
    let _ = tracepoint::arm(false, locked);
    users
}

/// Forgets the filter when the module goes.
pub(crate) fn free() {
    replace(None);
}

/// Says in the kernel's log why a filter from outside is refused.
pub(crate) fn report(refused: &Refused) {
    pr_err!(
        "{}\n",
        format_args!("filter refused (ABI {ABI}): {refused}")
    );
}
