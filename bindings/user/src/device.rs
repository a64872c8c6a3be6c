// SPDX-License-Identifier: GPL-2.0

//! The device: opening, reading, waiting, and its control.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nftrace_core::abi::{
    Buffer, Frame, Info, Stats, ABI, FRAME_SIZE, IOC_GET_FILTER, IOC_INFO, IOC_SEEK,
    IOC_SET_FILTER, IOC_STATS, SEEK_NEWEST, SEEK_OLDEST,
};
use nftrace_core::record::Record;
use nftrace_core::trace::MAX_SPEC;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::ioctl::{ioctl, Getter, IntegerSetter, Setter, Updater};
use zerocopy::IntoBytes as _;

use crate::error::{Error, Result};

/// Where the device is, unless somebody moved it.
pub const DEFAULT_PATH: &str = "/dev/nftrace";

/// Frames that one [`Device::read`] may bring: about 160 kB of them.
const BATCH: usize = 512;

/// Where a reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record that the rings still have.
    Oldest,
    /// With what comes from now on.
    Newest,
}

/// One reader of the records, with a position of its own.
#[derive(Debug)]
pub struct Device {
    fd: OwnedFd,
    path: PathBuf,
    info: Info,
    buffer: Vec<Frame>,
}

impl Device {
    /// Opens the device and makes sure that the module speaks this ABI. The reader
    /// starts behind the newest record; reading blocks.
    ///
    /// # Errors
    ///
    /// The module is not loaded, is of another version, or the user may not.
    pub fn open(path: &Path) -> Result<Self> {
        let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| Error::of_open(path, errno))?;
        let info = read_info(fd.as_fd()).map_err(|errno| match errno {
            Errno::NOTTY => Error::NotTheDevice {
                path: path.to_owned(),
            },
            Errno::ACCESS | Errno::PERM => Error::of_open(path, errno),
            errno => Error::kernel("asking the module for its version")(errno),
        })?;
        check(&info)?;
        Ok(Self {
            fd,
            path: path.to_owned(),
            info,
            buffer: Vec::new(),
        })
    }

    /// What the module is, and which rings it has.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// The module's version.
    pub fn version(&self) -> &str {
        let bytes = self.info.version.split(|byte| *byte == 0).next();
        bytes
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .unwrap_or("?")
    }

    /// Whether [`Self::read`] comes back at once when there is nothing to read.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn set_nonblocking(&self, nonblocking: bool) -> Result<()> {
        let set = |flags| rustix::fs::fcntl_setfl(&self.fd, flags);
        rustix::fs::fcntl_getfl(&self.fd)
            .and_then(|mut flags| {
                flags.set(OFlags::NONBLOCK, nonblocking);
                set(flags)
            })
            .map_err(Error::kernel("setting how the device is read"))
    }

    /// Reads frames, those of all CPUs in the order of their times. Without any, it
    /// waits for one, or brings none if the device does not block. A signal does not
    /// end the waiting; use [`Self::wait`] where it should.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn read(&mut self) -> Result<&[Frame]> {
        if self.buffer.is_empty() {
            let blank = Frame {
                position: 0,
                lost: 0,
                record: Record::EMPTY,
            };
            self.buffer.resize(BATCH, blank);
        }
        let bytes = loop {
            match rustix::io::read(&self.fd, self.buffer.as_mut_slice().as_mut_bytes()) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break 0,
                result => break result.map_err(Error::kernel("reading records"))?,
            }
        };
        if bytes % FRAME_SIZE != 0 {
            return Err(Error::Partial { bytes });
        }
        Ok(self.buffer.get(..bytes / FRAME_SIZE).unwrap_or_default())
    }

    /// Waits until there is something to read, for so long at most. False: the time is over, or
    /// a signal came.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn wait(&self, most: Option<Duration>) -> Result<bool> {
        let most = most.map(|most| Timespec {
            tv_sec: most.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: most.subsec_nanos().into(),
        });
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        match rustix::event::poll(&mut fds, most.as_ref()) {
            Ok(count) => Ok(count != 0),
            Err(Errno::INTR) => Ok(false),
            Err(errno) => Err(Error::kernel("waiting for records")(errno)),
        }
    }

    /// Like [`Self::wait`], until a moment.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn wait_until(&self, end: Instant) -> Result<bool> {
        self.wait(Some(end.saturating_duration_since(Instant::now())))
    }

    /// What was produced, and what this reader was given and lost of it.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn stats(&self) -> Result<Stats> {
        // SAFETY: IOC_STATS writes one `Stats`, any bytes of which are one.
        let command = unsafe { Getter::<{ IOC_STATS }, Stats>::new() };
        // SAFETY: this is the module's device (`open` checked it), and that is the
        // module's command, with the argument that it takes.
        unsafe { ioctl(&self.fd, command) }.map_err(Error::kernel("asking for the counters"))
    }

    /// Moves this reader. What it passes over counts as neither read nor lost.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn seek(&self, to: Start) -> Result<()> {
        let to = match to {
            Start::Oldest => SEEK_OLDEST,
            Start::Newest => SEEK_NEWEST,
        };
        self.seek_to(to as usize)
            .map_err(Error::kernel("moving in the records"))
    }

    /// The same with any number.
    pub(crate) fn seek_to(&self, to: usize) -> std::result::Result<(), Errno> {
        // SAFETY: IOC_SEEK takes a number and touches no memory of ours.
        let command = unsafe { IntegerSetter::<{ IOC_SEEK }>::new_usize(to) };
        // SAFETY: this is the module's device (`open` checked it), and that is the
        // module's command, with the argument that it takes.
        unsafe { ioctl(&self.fd, command) }
    }

    /// Sets what is traced, for everybody: bytes as in [`nftrace_core::trace`].
    ///
    /// # Errors
    ///
    /// The module refuses the filter; the old one stays in force.
    pub fn set_filter(&self, bytes: &[u8]) -> Result<()> {
        let buffer = Buffer {
            abi: ABI,
            len: bytes.len().try_into().map_err(|_| Error::FilterTooLarge)?,
            address: bytes.as_ptr() as u64,
        };
        // SAFETY: IOC_SET_FILTER reads a `Buffer`.
        let command = unsafe { Setter::<{ IOC_SET_FILTER }, Buffer>::new(buffer) };
        // SAFETY: this is the module's device (`open` checked it), and that is the
        // module's command, with the argument that it takes; the module only reads
        // the `len` bytes at `address`, which are those of `bytes`.
        match unsafe { ioctl(&self.fd, command) } {
            Err(Errno::PROTONOSUPPORT) => Err(Error::Abi {
                module: self.info.abi,
            }),
            Err(errno @ (Errno::PERM | Errno::ACCESS)) => Err(Error::of_open(&self.path, errno)),
            result => result.map_err(Error::of_filter),
        }
    }

    /// What is traced: bytes as in [`nftrace_core::trace`].
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn filter(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0_u8; MAX_SPEC];
        let mut buffer = Buffer {
            abi: ABI,
            len: bytes.len().try_into().map_err(|_| Error::FilterTooLarge)?,
            address: bytes.as_mut_ptr() as u64,
        };
        // SAFETY: IOC_GET_FILTER reads and writes a `Buffer`, any bytes of which are one.
        let command = unsafe { Updater::<{ IOC_GET_FILTER }, Buffer>::new(&mut buffer) };
        // SAFETY: this is the module's device (`open` checked it), and that is the
        // module's command, with the argument that it takes; the module writes at most
        // `len` bytes at `address`, which are ours, and nobody uses them meanwhile.
        unsafe { ioctl(&self.fd, command) }.map_err(Error::kernel("asking for the filter"))?;
        bytes.truncate(buffer.len as usize);
        Ok(bytes)
    }

    /// Where the device was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Asks whatever was opened; anything but the device refuses the command.
fn read_info(fd: BorrowedFd<'_>) -> std::result::Result<Info, Errno> {
    // SAFETY: IOC_INFO writes one `Info`, any bytes of which are one, in every version.
    let command = unsafe { Getter::<{ IOC_INFO }, Info>::new() };
    // SAFETY: the command's number has the size of `Info` in it, so that no other
    // driver takes it for one that writes more, or elsewhere.
    unsafe { ioctl(fd, command) }
}

fn check(info: &Info) -> Result<()> {
    if info.abi != ABI {
        return Err(Error::Abi { module: info.abi });
    }
    if usize::try_from(info.frame_size) != Ok(FRAME_SIZE) {
        return Err(Error::FrameSize {
            module: info.frame_size,
            command: FRAME_SIZE,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_without_a_device_means_that_the_module_is_not_loaded() {
        let error = Device::open(Path::new("/nonexistent/nftrace")).unwrap_err();
        assert!(matches!(error, Error::NotLoaded { .. }), "{error}");
    }

    #[test]
    fn another_device_is_not_taken_for_ours() {
        let error = Device::open(Path::new("/dev/null")).unwrap_err();
        assert!(matches!(error, Error::NotTheDevice { .. }), "{error}");
    }

    #[test]
    fn a_module_of_another_version_is_refused_before_anything_else_is_believed() {
        let mut info = Info {
            abi: ABI,
            frame_size: FRAME_SIZE.try_into().unwrap(),
            ..Info::default()
        };
        assert!(check(&info).is_ok());
        info.frame_size += 8;
        assert!(matches!(check(&info), Err(Error::FrameSize { .. })));
        info.abi += 1;
        assert!(matches!(check(&info), Err(Error::Abi { module }) if module == ABI + 1));
    }
}
