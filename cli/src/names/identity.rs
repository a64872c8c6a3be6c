// SPDX-License-Identifier: GPL-2.0

//! Which namespace a file is.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::sync::OnceLock;

use nftrace_device::netns;

use super::enter;

/// What a namespace is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// None where we were not allowed to learn it.
    pub(crate) cookie: Option<u64>,
    pub(crate) inode: u32,
}

/// The network namespace that a path leads to, as `/proc/1/ns/net` or `/run/netns/blue`.
///
/// # Errors
///
/// `InvalidInput`: it is something else.
pub(crate) fn identify(path: &Path) -> io::Result<Identity> {
    let file = File::open(path)?;
    // The kernel's own numbers are of 32 bits.
    let inode = u32::try_from(netns::inode(&file)?).map_err(io::Error::other)?;
    Ok(Identity {
        cookie: cookie(&file),
        inode,
    })
}

/// The inode number in `net:[4026531833]`.
pub(super) fn inode(target: &Path) -> Option<u32> {
    let text = target.to_str()?.strip_prefix("net:[")?;
    text.strip_suffix(']')?.parse().ok()
}

/// The cookie of an open namespace. Kernels that do not tell it of the file tell
/// it of a socket inside, which only root can make.
fn cookie(namespace: &File) -> Option<u64> {
    if ids_are_cookies() {
        return netns::namespace_id(namespace).ok();
    }
    enter::inside(namespace, own_cookie).ok()?.ok()
}

fn own_cookie() -> io::Result<u64> {
    netns::socket_cookie(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?)
}

/// Whether this kernel takes both from one counter.
fn ids_are_cookies() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let id = File::open("/proc/thread-self/ns/net").and_then(netns::namespace_id);
        matches!((id, own_cookie()), (Ok(id), Ok(cookie)) if id == cookie)
    })
}
