// SPDX-License-Identifier: GPL-2.0

//! Packets of any bytes, taken in by the thread that makes them.

use std::fs::File;
use std::os::fd::AsRawFd as _;

use rustix::fs::{Mode, OFlags};

use super::arena::told;
use crate::error::{Error, Result};

/// Packets of IP, with nothing before them: `IFF_TUN | IFF_NO_PI`.
const FLAGS: libc::c_short = 0x1001;

/// Opens a TUN device that exists. What is written, a packet each time from its IP header
/// on, comes in by that device, and goes as far as it does in the writer's own context.
///
/// # Errors
///
/// What the kernel says: there is no TUN, or no device of that name.
pub fn tun(name: &str) -> Result<File> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open("/dev/net/tun", flags, Mode::empty())
        .map_err(Error::kernel("opening /dev/net/tun"))?;
    // SAFETY: all zeroes are an `ifreq`: no name, no flags.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays 0.
    let places = request.ifr_name.iter_mut().take(libc::IFNAMSIZ - 1);
    for (place, byte) in places.zip(name.bytes()) {
        *place = libc::c_char::from_ne_bytes([byte]);
    }
    request.ifr_ifru.ifru_flags = FLAGS;
    // SAFETY: the kernel reads and writes one `ifreq`, which is there until it returns.
    let code = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    told(code == 0).map_err(Error::kernel("opening a TUN device"))?;
    Ok(file.into())
}
