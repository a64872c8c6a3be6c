// SPDX-License-Identifier: GPL-2.0

//! Packets of any bytes, taken in by the thread that makes them.

use std::fs::File;

use rustix::fs::{Mode, OFlags};
use rustix::ioctl::{ioctl, opcode, Opcode, Updater};

use crate::error::{Error, Result};

// Of linux/if_tun.h.
const TUNSETIFF: Opcode = opcode::write::<libc::c_int>(b'T', 202);

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
    // SAFETY: TUNSETIFF reads and writes an `ifreq`, and leaves no address in it.
    let command = unsafe { Updater::<{ TUNSETIFF }, libc::ifreq>::new(&mut request) };
    // SAFETY: the file is TUN's, and that is its command.
    unsafe { ioctl(&file, command) }.map_err(Error::kernel("opening a TUN device"))?;
    Ok(file.into())
}
