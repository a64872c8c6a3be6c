// SPDX-License-Identifier: GPL-2.0

//! `/dev/nftrace`: the file operations of `device.c`, for an object of safe code.
//!
//! The kernel crate's `MiscDevice` has no `poll`.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/miscdevice.h`](srctree/include/linux/miscdevice.h)

use core::marker::PhantomData;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};
use kernel::ffi::{c_int, c_long, c_uint, c_void};

use kernel::bindings;
use kernel::error::to_result;
use kernel::prelude::*;
use kernel::sync::Arc;
use kernel::types::ForeignOwnable;
use kernel::uaccess::{UserPtr, UserSlice, UserSliceWriter};

use super::exports::{Opened, Shared};
use super::generated;
use super::memory::RingMemory;
use super::wakeup;

/// What an open file of the device does.
pub(crate) trait File: Send + Sync + Sized + 'static {
    /// What all files share.
    type Shared: Send + Sync + 'static;

    /// A new file.
    ///
    /// # Errors
    ///
    /// What `open()` fails with.
    fn open(shared: Arc<Self::Shared>) -> Result<impl PinInit<Self, Error>>;

    /// Whether [`Self::read`] may find something. Neither sleeps nor takes a lock
    /// that does.
    fn is_readable(&self) -> bool;

    /// Writes what there is to `out`; how many bytes; none is not the end, but that
    /// there is nothing now.
    ///
    /// # Errors
    ///
    /// What `read()` fails with.
    fn read(&self, out: &mut UserSliceWriter) -> Result<usize>;

    /// A command, with its argument.
    ///
    /// # Errors
    ///
    /// What `ioctl()` fails with.
    fn ioctl(&self, command: u32, argument: usize) -> Result<c_long>;

    /// The memory at this offset of the file, which is mapped as a whole.
    fn memory(&self, offset: u64) -> Option<&RingMemory>;
}

/// What the files share.
///
/// # Invariants
///
/// Null while the device is not registered, else from [`Arc::into_foreign`], a count of
/// which is held. A file operation holds the module, and the module's exit comes
/// after all of them, so what is found in one stays for as long as that runs.
static SHARED: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// The device, while it lives.
///
/// # Invariants
///
/// The device is registered and [`SHARED`] is set. There is at most one.
pub(crate) struct Registration(PhantomData<*mut ()>);

// SAFETY: It has no data; what it stands for may be undone by any thread.
unsafe impl Send for Registration {}
// SAFETY: It has no methods that take it by reference.
unsafe impl Sync for Registration {}

impl Registration {
    /// Registers the device. Files may be opened at once, so nothing that comes
    /// after this in the module's init may fail.
    ///
    /// # Errors
    ///
    /// `EBUSY` while there is another one; what the kernel says.
    pub(crate) fn new(shared: Arc<Shared>) -> Result<Self> {
        let new = shared.into_foreign();
        if SHARED
            .compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Relaxed)
            .is_err()
        {
            // SAFETY: It is from `into_foreign` above, and nobody else got it.
            drop(unsafe { Arc::<Shared>::from_foreign(new) });
            return Err(EBUSY);
        }
        // SAFETY: It is not registered: there is no other registration.
        let result = to_result(unsafe { generated::nftrace_device_register() });
        if result.is_err() {
            Self::release();
        }
        // INVARIANT: It is registered, or this is not returned.
        result.map(|()| Self(PhantomData))
    }

    fn release() {
        let old = SHARED.swap(ptr::null_mut(), Ordering::AcqRel);
        if !old.is_null() {
            // SAFETY: By the invariants of `SHARED`, it is from `into_foreign`, and no
            // file operation runs any more.
            drop(unsafe { Arc::<Shared>::from_foreign(old) });
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, it is registered.
        unsafe { generated::nftrace_device_unregister() };
        Self::release();
    }
}

fn errno(result: Result<c_long>) -> c_long {
    result.unwrap_or_else(|error| error.to_errno() as c_long)
}

/// # Safety
///
/// `file` is that of a running file operation behind `open`.
unsafe fn opened<'a>(file: *mut bindings::file) -> Pin<&'a Opened> {
    // SAFETY: `file` is valid by this function's contract.
    let data = unsafe { (*file).private_data };
    // SAFETY: `open` put it there, and `release` comes after all other operations.
    unsafe { Pin::new_unchecked(&*data.cast::<Opened>()) }
}

/// # Safety
///
/// To be called as `file_operations.open` only.
pub(super) unsafe fn open(file: *mut bindings::file) -> c_int {
    // SAFETY: The function has no preconditions.
    if !unsafe { generated::nftrace_is_net_admin() } {
        return EPERM.to_errno();
    }
    let shared = SHARED.load(Ordering::Acquire);
    if shared.is_null() {
        return ENODEV.to_errno();
    }
    // SAFETY: By the invariants of `SHARED`, it is from `into_foreign` and valid.
    let shared = unsafe { Arc::<Shared>::borrow(shared) };
    let new = Opened::open(shared.into()).and_then(|file| KBox::try_pin_init(file, GFP_KERNEL));
    match new {
        Ok(new) => {
            // SAFETY: It stays in its place until `release`.
            let new = KBox::into_raw(unsafe { Pin::into_inner_unchecked(new) });
            // SAFETY: `file` is valid by this function's contract, and ours alone.
            unsafe { (*file).private_data = new.cast() };
            0
        }
        Err(error) => error.to_errno(),
    }
}

/// # Safety
///
/// To be called as `file_operations.release` only.
pub(super) unsafe fn release(file: *mut bindings::file) {
    // SAFETY: `file` is valid by this function's contract.
    let data = unsafe { (*file).private_data };
    // SAFETY: It is what `open` made, and nobody else uses it any more.
    drop(unsafe { KBox::from_raw(data.cast::<Opened>()) });
}

/// # Safety
///
/// `data` is an `Opened`, valid during the call.
unsafe extern "C" fn is_readable(data: *mut c_void) -> bool {
    wakeup::about_to_wait();
    // SAFETY: By this function's contract.
    unsafe { &*data.cast::<Opened>() }.is_readable()
}

/// # Safety
///
/// To be called as `file_operations.read` only.
pub(super) unsafe fn read(file: *mut bindings::file, buffer: usize, len: usize) -> c_long {
    // SAFETY: The contract is the same.
    let this = unsafe { opened(file) };
    // SAFETY: `file` is valid by this function's contract.
    let nonblocking = unsafe { generated::nftrace_is_nonblocking(file) };
    loop {
        let mut out = UserSlice::new(UserPtr::from_addr(buffer), len).writer();
        match this.read(&mut out) {
            Ok(0) if nonblocking => return EAGAIN.to_errno() as c_long,
            Ok(0) => {}
            result => return errno(result.map(|read| read as c_long)),
        }
        let data = ptr::from_ref(this.get_ref()).cast_mut().cast();
        // SAFETY: `data` is an `Opened` that is valid during the call.
        let result = unsafe { generated::nftrace_wait(Some(is_readable), data) };
        if let Err(error) = to_result(result) {
            return error.to_errno() as c_long;
        }
    }
}

/// # Safety
///
/// To be called as `file_operations.poll` only.
pub(super) unsafe fn poll(
    file: *mut bindings::file,
    table: *mut bindings::poll_table_struct,
) -> c_uint {
    // SAFETY: Both are valid by this function's contract.
    unsafe { generated::nftrace_poll_wait(file, table) };
    wakeup::about_to_wait();
    // SAFETY: The contract is the same.
    if unsafe { opened(file) }.is_readable() {
        bindings::POLLIN | bindings::POLLRDNORM
    } else {
        0
    }
}

/// # Safety
///
/// To be called as `file_operations.unlocked_ioctl` only.
pub(super) unsafe fn ioctl(file: *mut bindings::file, command: c_uint, argument: usize) -> c_long {
    // SAFETY: The contract is the same.
    errno(unsafe { opened(file) }.ioctl(command, argument))
}

/// # Safety
///
/// To be called as `file_operations.mmap` only.
pub(super) unsafe fn mmap(file: *mut bindings::file, vma: *mut bindings::vm_area_struct) -> c_int {
    // SAFETY: `vma` is valid by this function's contract.
    let offset = unsafe { generated::nftrace_vma_offset(vma) };
    // SAFETY: The contract is the same.
    let Some(memory) = unsafe { opened(file) }.get_ref().memory(offset) else {
        return EINVAL.to_errno();
    };
    // SAFETY: The contract is the same.
    match unsafe { memory.map(vma) } {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}
