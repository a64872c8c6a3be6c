// SPDX-License-Identifier: GPL-2.0

//! The devices of a namespace.

use std::fs::{self, File};
use std::io;

use super::{enter, Namespace};

impl Namespace {
    /// The names of its devices, in the kernel's order.
    ///
    /// # Errors
    ///
    /// It is gone, or we are not allowed to look.
    pub(crate) fn devices(&self) -> io::Result<Vec<String>> {
        // What a process sees may be read without being there.
        for process in self.processes.iter().take(16) {
            let file = format!("/proc/{}/net/dev", process.pid);
            if let Ok(text) = fs::read_to_string(file) {
                return Ok(parse(&text));
            }
        }
        let path = self.path().ok_or(io::ErrorKind::NotFound)?;
        let read = || fs::read_to_string("/proc/thread-self/net/dev");
        Ok(parse(&enter::inside(File::open(path)?, read)??))
    }
}

/// Two lines of titles, then `name: numbers`.
fn parse(text: &str) -> Vec<String> {
    text.lines()
        .skip(2)
        .filter_map(|line| Some(line.rsplit_once(':')?.0.trim().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_devices_are_read_as_the_kernel_writes_them() {
        let text = "Inter-|   Receive\n face |bytes\n    lo:       0       0\neth0:1: 12 3\n";
        assert_eq!(parse(text), ["lo", "eth0:1"]);
    }
}
