// SPDX-License-Identifier: GPL-2.0

//! What systemd is told: `sd_notify(3)`.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Tells the one who started us, if somebody wants to know.
pub(super) struct Notify(Option<SocketAddr>);

impl Notify {
    /// As the environment says it.
    pub(super) fn new() -> Self {
        let name = std::env::var("NOTIFY_SOCKET").ok();
        Self(name.and_then(|name| address(&name).ok()))
    }

    /// The policy is in force.
    pub(super) fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}"));
    }

    /// How things are.
    pub(super) fn status(&self, status: &str) {
        self.send(&format!("STATUS={status}"));
    }

    /// The file is read again; [`Self::ready`] says when that is done.
    pub(super) fn reloading(&self) {
        let microseconds = nftrace_device::monotonic() / 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
    }

    /// We are about to end.
    pub(super) fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// Nothing depends on whether it is heard.
    fn send(&self, message: &str) {
        if let Some(address) = &self.0 {
            let sent = UnixDatagram::unbound()
                .and_then(|socket| socket.send_to_addr(message.as_bytes(), address));
            drop(sent);
        }
    }
}

fn address(name: &str) -> io::Result<SocketAddr> {
    match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_hears_what_it_is_told_at_a_path_and_at_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify").display().to_string();
        let hidden = format!("@nftrace-test-{}", std::process::id());
        for name in [path, hidden] {
            let address = address(&name).unwrap();
            let socket = UnixDatagram::bind_addr(&address).unwrap();
            Notify(Some(address)).ready("generation 3");
            let mut heard = [0; 256];
            let length = socket.recv(&mut heard).unwrap();
            assert_eq!(&heard[..length], b"READY=1\nSTATUS=generation 3", "{name}");
        }
    }

    #[test]
    fn without_systemd_nobody_is_told() {
        Notify(None).ready("");
    }
}
