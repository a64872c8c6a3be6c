// SPDX-License-Identifier: GPL-2.0

//! `/dev/nftrace`: what an open file of it does. The interface is
//! [`nftrace_core::abi`].

use core::sync::atomic::{AtomicU64, Ordering};
use kernel::ffi::c_long;

use kernel::prelude::*;
use kernel::sync::{new_mutex, Arc, Mutex};
use kernel::time::delay::fsleep;
use kernel::time::Delta;
use kernel::uaccess::{UserPtr, UserSlice, UserSliceWriter};
use zerocopy::{FromBytes, IntoBytes};

use nftrace_core::abi::{
    Buffer, Info, Stats, ABI, FRAME_SIZE, INFO_BRIDGE, INFO_EXIT, IOC_GET_FILTER, IOC_INFO,
    IOC_SEEK, IOC_SET_FILTER, IOC_STATS, SEEK_NEWEST, SEEK_OLDEST,
};
use nftrace_core::ring::{merge, Cursor, Merged};
use nftrace_core::trace::{Header, MAX_SPEC};

use super::control::COUNTERS;
use super::datapath::now;
use super::policy::{self, Control, Keeper};
use super::rings::Rings;
use super::tracing;
use crate::bindings::chardev::File;
use crate::bindings::memory::RingMemory;
use crate::bindings::work::Worker;
use crate::bindings::{errno, netfilter, param};

/// How long a reader waits for a record that is being written.
const BUSY: Delta = Delta::from_micros(200);

/// What all files share.
pub(crate) struct Shared {
    /// What is read.
    pub(crate) rings: Arc<Rings>,
    /// What changes policies.
    pub(crate) control: Arc<Control>,
    /// What looks after them.
    pub(crate) keeper: Arc<Worker<Keeper>>,
}

/// An open file: a reader with a position of its own.
#[pin_data]
pub(crate) struct Reader {
    shared: Arc<Shared>,
    /// What [`Rings::total`] is when there is nothing to read.
    consumed: AtomicU64,
    #[pin]
    state: Mutex<State>,
}

struct State {
    cursors: KVec<Cursor>,
    read: u64,
    lost: u64,
}

impl State {
    fn consumed(&self) -> u64 {
        self.cursors
            .iter()
            .fold(0, |sum, cursor| sum.wrapping_add(cursor.total()))
    }
}

pub(super) fn read_value<T: FromBytes + IntoBytes + Default>(argument: usize) -> Result<T> {
    let mut value = T::default();
    let user = UserSlice::new(UserPtr::from_addr(argument), size_of::<T>());
    user.reader().read_slice(value.as_mut_bytes())?;
    Ok(value)
}

pub(super) fn write_value<T: IntoBytes + zerocopy::Immutable>(
    argument: usize,
    value: &T,
) -> Result {
    UserSlice::new(UserPtr::from_addr(argument), size_of::<T>())
        .writer()
        .write_slice(value.as_bytes())
}

impl Reader {
    fn info(&self) -> Info {
        let rings = &self.shared.rings;
        let mut version = [0; 32];
        for (to, from) in version
            .iter_mut()
            .take(31)
            .zip(env!("NFTRACE_VERSION").bytes())
        {
            *to = from;
        }
        let mut flags = 0;
        if param::bridge() {
            flags |= INFO_BRIDGE;
        }
        if param::exit() {
            flags |= INFO_EXIT;
        }
        Info {
            abi: ABI,
            frame_size: FRAME_SIZE as u32,
            rings: rings.len() as u32,
            slots: rings.slots() as u32,
            ring_size: rings.memory(0).map_or(0, RingMemory::size) as u64,
            init_cookie: netfilter::init_net_cookie(),
            init_inode: netfilter::init_net_inode(),
            flags,
            version,
        }
    }

    fn stats(&self) -> Stats {
        let rings = &self.shared.rings;
        let state = self.state.lock();
        let unread = rings.unread(&state.cursors);
        Stats {
            produced: rings.total(),
            read: state.read,
            lost: state.lost,
            unread,
            truncated: COUNTERS.truncated.load(Ordering::Relaxed),
            malformed: COUNTERS.malformed.load(Ordering::Relaxed),
        }
    }

    fn seek(&self, to: usize) -> Result {
        let rings = &self.shared.rings;
        let mut state = self.state.lock();
        match u32::try_from(to) {
            Ok(SEEK_OLDEST) => rings.place(&mut state.cursors, Cursor::oldest),
            Ok(SEEK_NEWEST) => rings.place(&mut state.cursors, Cursor::newest),
            _ => return Err(EINVAL),
        }
        self.consumed.store(state.consumed(), Ordering::SeqCst);
        Ok(())
    }

    fn set_filter(argument: usize) -> Result {
        let buffer: Buffer = read_value(argument)?;
        if buffer.abi != ABI {
            return Err(errno::protocol_not_supported());
        }
        let len = buffer.len as usize;
        if len > MAX_SPEC {
            return Err(E2BIG);
        }
        let address = usize::try_from(buffer.address).map_err(|_| EFAULT)?;
        let mut bytes = KVVec::new();
        UserSlice::new(UserPtr::from_addr(address), len).read_all(&mut bytes, GFP_KERNEL)?;
        param::with_lock(|locked| tracing::set(&bytes, locked)).map_err(|refused| {
            tracing::report(&refused);
            refused.error()
        })
    }

    fn get_filter(argument: usize) -> Result {
        let mut buffer: Buffer = read_value(argument)?;
        if buffer.abi != ABI {
            return Err(errno::protocol_not_supported());
        }
        let nothing = Header::default();
        let traced = tracing::bytes();
        let bytes = traced
            .as_ref()
            .map_or(nothing.as_bytes(), |bytes| bytes.as_slice());
        let room = buffer.len as usize;
        buffer.len = bytes.len() as u32;
        write_value(argument, &buffer)?;
        if bytes.len() > room {
            return Err(ENOSPC);
        }
        let address = usize::try_from(buffer.address).map_err(|_| EFAULT)?;
        UserSlice::new(UserPtr::from_addr(address), bytes.len())
            .writer()
            .write_slice(bytes)
    }
}

impl File for Reader {
    type Shared = Shared;

    fn open(shared: Arc<Shared>) -> Result<impl PinInit<Self, Error>> {
        let state = State {
            cursors: shared.rings.cursors(Cursor::newest)?,
            read: 0,
            lost: 0,
        };
        let consumed = AtomicU64::new(state.consumed());
        Ok(try_pin_init!(Self {
            shared,
            consumed,
            state <- new_mutex!(state, "nftrace::Reader::state"),
        }? Error))
    }

    fn is_readable(&self) -> bool {
        self.shared.rings.total() != self.consumed.load(Ordering::SeqCst)
    }

    fn read(&self, out: &mut UserSliceWriter) -> Result<usize> {
        if out.len() < FRAME_SIZE {
            return Err(EINVAL);
        }
        let rings = &self.shared.rings;
        let mut state = self.state.lock();
        let until = now();
        let mut written = 0_usize;
        let mut is_busy = false;
        while out.len() >= FRAME_SIZE {
            let (cpu, mut frame) = match merge(&mut state.cursors, |cpu| rings.view(cpu), until) {
                Merged::Frame(cpu, frame) => (cpu, frame),
                Merged::Busy => {
                    is_busy = true;
                    break;
                }
                Merged::Empty => break,
            };
            let is_gap = frame.record.is_gap();
            frame.record.cpu = cpu as u16;
            if let Err(error) = out.write_slice(frame.as_bytes()) {
                // It was not read, so it is the next one again.
                if let Some(cursor) = state.cursors.get_mut(cpu) {
                    cursor.put_back(&frame);
                }
                if written == 0 {
                    return Err(error);
                }
                break;
            }
            state.read = state.read.wrapping_add(u64::from(!is_gap));
            state.lost = state.lost.wrapping_add(frame.lost);
            written = written.wrapping_add(FRAME_SIZE);
        }
        self.consumed.store(state.consumed(), Ordering::SeqCst);
        drop(state);
        if is_busy && written == 0 {
            fsleep(BUSY);
        }
        Ok(written)
    }

    fn ioctl(&self, command: u32, argument: usize) -> Result<c_long> {
        match command {
            IOC_INFO => write_value(argument, &self.info())?,
            IOC_STATS => write_value(argument, &self.stats())?,
            IOC_SEEK => self.seek(argument)?,
            IOC_SET_FILTER => Self::set_filter(argument)?,
            IOC_GET_FILTER => Self::get_filter(argument)?,
            _ => {
                let Shared {
                    control, keeper, ..
                } = &*self.shared;
                policy::device::ioctl(control, keeper, command, argument).unwrap_or(Err(ENOTTY))?;
            }
        }
        Ok(0)
    }

    fn memory(&self, offset: u64) -> Option<&RingMemory> {
        let rings = &self.shared.rings;
        let size = rings.memory(0)?.size() as u64;
        if offset.checked_rem(size)? != 0 {
            return None;
        }
        rings.memory(usize::try_from(offset.checked_div(size)?).ok()?)
    }
}
