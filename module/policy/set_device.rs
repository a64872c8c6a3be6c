// SPDX-License-Identifier: GPL-2.0

//! What an open file of the device does about dynamic sets.

use kernel::prelude::*;
use kernel::sync::Arc;
use kernel::uaccess::{UserPtr, UserSlice};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use nftrace_core::policy::control::{
    SetChange, SetList, SET_ADD, SET_DELETE, SET_ORDER4, SET_ORDER6,
};
use nftrace_core::policy::dynamic::MAX_RANGES;
use nftrace_core::policy::layout::{Range128, Range32};
use nftrace_core::policy::ranges::first_out_of_order;

use super::changes::{Control, Failure};
use super::device::{check, give};
use super::keeper::Keeper;
use super::sets::Batch;
use crate::bindings::work::Worker;
use crate::module::device::{read_value, write_value};

/// So many values of the user's, on a copy that is private.
fn read_values<T>(address: u64, count: u32) -> Result<KVVec<T>>
where
    T: FromBytes + IntoBytes + Immutable + Default + Clone,
{
    let count = count as usize;
    let mut values = KVVec::new();
    values.extend_with(count, T::default(), GFP_KERNEL)?;
    let address = usize::try_from(address).map_err(|_| EFAULT)?;
    let bytes = values.as_mut_slice().as_mut_bytes();
    UserSlice::new(UserPtr::from_addr(address), bytes.len())
        .reader()
        .read_slice(bytes)?;
    Ok(values)
}

/// A name without the zeroes behind it.
fn name(padded: &[u8]) -> &[u8] {
    let len = padded.iter().position(|byte| *byte == 0);
    padded
        .get(..len.unwrap_or(padded.len()))
        .unwrap_or_default()
}

fn read_batch(request: &mut SetChange) -> Result<Batch> {
    if !matches!(request.what, SET_ADD | SET_DELETE) {
        return Err(EINVAL);
    }
    if (request.count4 as usize).saturating_add(request.count6 as usize) > MAX_RANGES {
        return Err(E2BIG);
    }
    let v4: KVVec<Range32> = read_values(request.address4, request.count4)?;
    let v6: KVVec<Range128> = read_values(request.address6, request.count6)?;
    let wrong = match (first_out_of_order(&v4), first_out_of_order(&v6)) {
        (Some(at), _) => Some((SET_ORDER4, at)),
        (None, Some(at)) => Some((SET_ORDER6, at)),
        (None, None) => None,
    };
    if let Some((reason, at)) = wrong {
        request.reason = reason;
        request.offset = at as u32;
        return Err(EINVAL);
    }
    Ok(Batch {
        what: request.what,
        v4,
        v6,
    })
}

/// Changes a set.
pub(super) fn change(control: &Control, keeper: &Arc<Worker<Keeper>>, argument: usize) -> Result {
    let mut request: SetChange = read_value(argument)?;
    check(request.abi)?;
    (request.reason, request.offset) = (0, 0);
    // Who cannot be told what came of it gets nothing done.
    write_value(argument, &request)?;
    let batch = match read_batch(&mut request) {
        Ok(batch) => batch,
        Err(error) => {
            write_value(argument, &request)?;
            return Err(error);
        }
    };
    match control.change_set(name(&request.name), request.generation, &batch) {
        Ok(changed) => {
            let [now4, now6] = changed.now;
            request.changed = changed.count as u32;
            (request.now4, request.now6) = (now4 as u32, now6 as u32);
            if changed.begins_to_retire {
                keeper.kick();
            }
            write_value(argument, &request)
        }
        Err(failure) => {
            if let Failure::Full(reason) = failure {
                request.reason = reason;
                write_value(argument, &request)?;
            }
            Err(failure.error())
        }
    }
}

/// Gives what is in a set.
pub(super) fn list(control: &Control, argument: usize) -> Result {
    let mut request: SetList = read_value(argument)?;
    check(request.buffer.abi)?;
    if request.reserved != 0 {
        return Err(EINVAL);
    }
    let policy = control
        .policy(request.generation)
        .map_err(|failure| failure.error())?;
    let now = policy.set_now(name(&request.name)).ok_or(ENOENT)?;
    let elements = now.elements();
    request.generation = policy.generation;
    request.count4 = elements.v4.len() as u32;
    request.count6 = elements.v6.len() as u32;
    let mut buffer = request.buffer;
    give(
        &mut buffer,
        elements.bytes(),
        |buffer| {
            request.buffer = *buffer;
            write_value(argument, &request)
        },
        |out| {
            out.write_slice(elements.v4.as_bytes())?;
            out.write_slice(elements.v6.as_bytes())
        },
    )
}
