// SPDX-License-Identifier: GPL-2.0

//! Doing something inside another network namespace.

use std::io;
use std::os::fd::AsFd;
use std::thread;

use rustix::thread::{move_into_link_name_space, LinkNameSpaceType};

/// Runs `work` in a thread of its own that has moved into the namespace, so that
/// the rest of the command stays where it is.
///
/// # Errors
///
/// `EPERM`: to move takes CAP_SYS_ADMIN.
pub(crate) fn inside<T: Send>(
    namespace: impl AsFd,
    work: impl FnOnce() -> T + Send,
) -> io::Result<T> {
    let namespace = namespace.as_fd();
    thread::scope(|scope| {
        let worker = scope.spawn(move || {
            move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))?;
            Ok(work())
        });
        worker
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
