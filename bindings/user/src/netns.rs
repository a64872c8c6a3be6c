// SPDX-License-Identifier: GPL-2.0

//! Which network namespace a file or a socket belongs to, by its cookie.
//!
//! The cookie is the identity that the module's records carry: unlike an inode
//! number it is never used again until the next boot.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::ioctl::{ioctl, opcode, Getter};

/// The type of an open namespace (`CLONE_NEWNET` and the like), by `NS_GET_NSTYPE`.
///
/// # Errors
///
/// `ENOTTY`: the file is none of a namespace. Which other files answer what to
/// this call is not defined: look for nsfs first.
pub fn namespace_type(namespace: impl AsFd) -> io::Result<i32> {
    // _IO(0xb7, 3), of linux/nsfs.h.
    const NS_GET_NSTYPE: rustix::ioctl::Opcode = opcode::none(0xb7, 3);
    // SAFETY: The call has no argument.
    let result = unsafe { libc::ioctl(namespace.as_fd().as_raw_fd(), NS_GET_NSTYPE.into()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

/// The inode number of an open file, where the file is a network namespace.
///
/// # Errors
///
/// `InvalidInput`: it is something else.
pub fn inode(file: impl AsFd) -> io::Result<u64> {
    const NSFS_MAGIC: i64 = 0x6e73_6673;
    let nsfs = rustix::fs::fstatfs(&file)?.f_type == NSFS_MAGIC;
    if !nsfs || namespace_type(&file)? != libc::CLONE_NEWNET {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a network namespace",
        ));
    }
    Ok(rustix::fs::fstat(&file)?.st_ino)
}

/// The identity of an open namespace (as of `/proc/PID/ns/net`), by `NS_GET_ID`.
///
/// It is the cookie where the kernel takes both from one counter, which it does
/// from 6.18 on: compare it with [`socket_cookie`] once before you rely on that.
///
/// # Errors
///
/// `ENOTTY`: the file is none of a namespace, or the kernel is older.
pub fn namespace_id(namespace: impl AsFd) -> io::Result<u64> {
    // _IOR(0xb7, 13, __u64), of linux/nsfs.h.
    const NS_GET_ID: rustix::ioctl::Opcode = opcode::read::<u64>(0xb7, 13);
    // SAFETY: By NS_GET_ID, the kernel writes a u64.
    let getter = unsafe { Getter::<NS_GET_ID, u64>::new() };
    // SAFETY: NS_GET_ID reads nothing from us, and the getter has room for what it
    // writes; on a file that is no namespace it is refused.
    Ok(unsafe { ioctl(namespace, getter) }?)
}

/// The cookie of the namespace that a socket was made in, by `SO_NETNS_COOKIE`.
///
/// # Errors
///
/// `ENOTSOCK`, or `ENOPROTOOPT` where the kernel is older than 5.14.
pub fn socket_cookie(socket: impl AsFd) -> io::Result<u64> {
    let socket: BorrowedFd<'_> = socket.as_fd();
    let mut cookie = 0u64;
    let mut length = libc::socklen_t::try_from(size_of::<u64>()).unwrap_or(8);
    // SAFETY: The kernel writes at most `length` bytes, the size of `cookie`, and
    // the new length; both outlive the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    if result == 0 {
        Ok(cookie)
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn a_socket_tells_the_cookie_of_its_namespace() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let again = UdpSocket::bind("127.0.0.1:0").unwrap();
        let cookie = socket_cookie(&socket).unwrap();
        assert_ne!(cookie, 0);
        assert_eq!(socket_cookie(&again).unwrap(), cookie);
    }

    #[test]
    fn what_is_no_socket_and_no_namespace_is_refused() {
        let file = File::open("/proc/self/status").unwrap();
        assert_eq!(
            socket_cookie(&file).unwrap_err().raw_os_error(),
            Some(libc::ENOTSOCK)
        );
        assert_eq!(
            namespace_id(&file).unwrap_err().raw_os_error(),
            Some(libc::ENOTTY)
        );
    }

    #[test]
    fn only_a_network_namespace_has_a_network_namespaces_inode() {
        let network = File::open("/proc/self/ns/net").unwrap();
        let link = std::fs::read_link("/proc/self/ns/net").unwrap();
        let text = format!("net:[{}]", inode(&network).unwrap());
        assert_eq!(link.to_str(), Some(text.as_str()));
        for other in ["/proc/self/ns/mnt", "/proc/self/status", "/dev/null"] {
            let error = inode(File::open(other).unwrap()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{other}");
        }
    }

    /// Kernels before 6.18 have no identity to compare.
    #[test]
    fn where_a_namespace_has_an_identity_it_is_the_cookie() {
        let namespace = File::open("/proc/self/ns/net").unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        match namespace_id(&namespace) {
            Ok(id) => assert_eq!(id, socket_cookie(&socket).unwrap()),
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::ENOTTY)),
        }
    }
}
