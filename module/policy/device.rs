// SPDX-License-Identifier: GPL-2.0

//! What an open file of the device does about policies. The interface is
//! [`nftrace_core::policy::control`].

use kernel::prelude::*;
use kernel::sync::Arc;
use kernel::uaccess::{UserPtr, UserSlice, UserSliceWriter};
use zerocopy::IntoBytes;

use nftrace_core::abi::{Buffer, ABI};
use nftrace_core::policy::control::{
    Blob, Change, Load, ACCEPT_ALL, CONFIRM, DROP_ALL, END_PANIC, FLUSH, IOC_BLOB, IOC_CHANGE,
    IOC_COUNTS, IOC_HISTORY, IOC_LOAD, IOC_SET_CHANGE, IOC_SET_LIST, IOC_STATUS, KEEP_SETS,
    MAX_TRIAL, MISSING, NO_BRIDGE, ON_TRIAL, PANIC_ACCEPT, PANIC_DROP, PANIC_OFF, ROLLBACK,
};
use nftrace_core::policy::layout::MAX_BLOB;
use nftrace_core::policy::Flaw;

use super::changes::{Control, Failure, Wanted};
use super::keeper::Keeper;
use super::loaded::Refused;
use super::set_device as sets;
use crate::bindings::errno;
use crate::bindings::work::Worker;
use crate::module::device::{read_value, write_value};

impl Failure {
    /// What `ioctl()` fails with.
    pub(super) fn error(&self) -> Error {
        match self {
            Self::Refused(Refused::Blob(refusal)) => match refusal.flaw {
                Flaw::Bound => E2BIG,
                Flaw::Interrupted => EINTR,
                _ => EINVAL,
            },
            Self::NoBridge => EINVAL,
            Self::Refused(Refused::Kernel(error)) => *error,
            Self::Missing(_) => ENOENT,
            Self::OnTrial => EBUSY,
            Self::Stale => errno::stale(),
            Self::NotKept => ESRCH,
            Self::NoSet => ENOENT,
            Self::Full(_) => ENOSPC,
        }
    }
}

pub(super) fn check(abi: u32) -> Result {
    if abi == ABI {
        Ok(())
    } else {
        Err(errno::protocol_not_supported())
    }
}

/// Bytes of the user's, in memory whose address 8 divides; zeroes behind them.
fn read_bytes(address: u64, len: usize) -> Result<KVVec<u64>> {
    if len > MAX_BLOB {
        return Err(E2BIG);
    }
    let count = len.div_ceil(size_of::<u64>());
    let mut words = KVVec::new();
    words.extend_with(count, 0_u64, GFP_KERNEL)?;
    let address = usize::try_from(address).map_err(|_| EFAULT)?;
    let bytes = words.as_mut_slice().as_mut_bytes();
    let bytes = bytes.get_mut(..len).ok_or(EINVAL)?;
    UserSlice::new(UserPtr::from_addr(address), len)
        .reader()
        .read_slice(bytes)?;
    Ok(words)
}

fn load(control: &Control, argument: usize) -> Result {
    let mut request: Load = read_value(argument)?;
    check(request.abi)?;
    if request.trial > MAX_TRIAL || request.flags & !KEEP_SETS != 0 || request.reserved != 0 {
        return Err(EINVAL);
    }
    let len = request.len as usize;
    let blob = read_bytes(request.address, len)?;
    // Who cannot be told what came of it gets nothing done.
    write_value(argument, &request)?;
    let result = control.load(Wanted {
        blob,
        len,
        epoch: request.epoch,
        trial: request.trial,
        expected: request.expected,
        keeps_sets: request.flags & KEEP_SETS != 0,
    });
    let failure = match result {
        Ok(loaded) => {
            request.generation = loaded.generation;
            request.bound = loaded.needs.bound;
            request.verified = loaded.verified;
            request.memory = loaded.memory() as u64;
            return write_value(argument, &request);
        }
        Err(failure) => failure,
    };
    match &failure {
        Failure::Refused(Refused::Blob(refusal)) => {
            request.flaw = refusal.flaw as u32;
            request.offset = refusal.offset;
        }
        Failure::Missing(what) => {
            request.flaw = MISSING;
            for (to, from) in request.missing.iter_mut().take(31).zip(what.bytes()) {
                *to = from;
            }
        }
        Failure::NoBridge => request.flaw = NO_BRIDGE,
        Failure::OnTrial => request.flaw = ON_TRIAL,
        _ => {}
    }
    write_value(argument, &request)?;
    Err(failure.error())
}

fn change(control: &Control, argument: usize) -> Result {
    let mut request: Change = read_value(argument)?;
    check(request.abi)?;
    let result = match request.what {
        CONFIRM => control.confirm(request.generation),
        ROLLBACK => control.rollback(request.generation),
        FLUSH => control.flush(),
        ACCEPT_ALL => control.panic(PANIC_ACCEPT),
        DROP_ALL => control.panic(PANIC_DROP),
        END_PANIC => control.panic(PANIC_OFF),
        _ => return Err(EINVAL),
    };
    request.now = result.map_err(|failure| failure.error())?;
    write_value(argument, &request)
}

/// Gives `len` bytes, which `write` writes, if the user has room for them; says how
/// many they are in either case.
pub(super) fn give(
    buffer: &mut Buffer,
    len: usize,
    tell: impl FnOnce(&Buffer) -> Result,
    write: impl FnOnce(&mut UserSliceWriter) -> Result,
) -> Result {
    let room = buffer.len as usize;
    buffer.len = u32::try_from(len).map_err(|_| EFBIG)?;
    tell(buffer)?;
    if len > room {
        return Err(ENOSPC);
    }
    let address = usize::try_from(buffer.address).map_err(|_| EFAULT)?;
    write(&mut UserSlice::new(UserPtr::from_addr(address), len).writer())
}

fn blob(control: &Control, argument: usize) -> Result {
    let mut request: Blob = read_value(argument)?;
    check(request.buffer.abi)?;
    if request.reserved != 0 {
        return Err(EINVAL);
    }
    let policy = control
        .policy(request.generation)
        .map_err(|failure| failure.error())?;
    request.generation = policy.generation;
    let mut buffer = request.buffer;
    give(
        &mut buffer,
        policy.size(),
        |buffer| {
            request.buffer = *buffer;
            write_value(argument, &request)
        },
        |out| policy.write(out),
    )
}

fn list<T>(argument: usize, values: impl FnOnce() -> Result<KVVec<T>>) -> Result
where
    T: IntoBytes + zerocopy::Immutable,
{
    let mut buffer: Buffer = read_value(argument)?;
    check(buffer.abi)?;
    let values = values()?;
    let bytes = values.as_slice().as_bytes();
    give(
        &mut buffer,
        bytes.len(),
        |buffer| write_value(argument, buffer),
        |out| out.write_slice(bytes),
    )
}

/// Does what a command of the device asks; none where it is not about policies.
pub(crate) fn ioctl(
    control: &Control,
    keeper: &Arc<Worker<Keeper>>,
    command: u32,
    argument: usize,
) -> Option<Result> {
    Some(match command {
        IOC_LOAD => {
            let result = load(control, argument);
            // Whatever came of it: a trial may have begun.
            keeper.kick();
            result
        }
        IOC_STATUS => write_value(argument, &control.status(ABI)),
        IOC_CHANGE => change(control, argument),
        IOC_BLOB => blob(control, argument),
        IOC_COUNTS => list(argument, || control.counts()),
        IOC_HISTORY => list(argument, || control.history()),
        IOC_SET_CHANGE => sets::change(control, keeper, argument),
        IOC_SET_LIST => sets::list(control, argument),
        _ => return None,
    })
}
