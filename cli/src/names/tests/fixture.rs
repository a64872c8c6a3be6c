// SPDX-License-Identifier: GPL-2.0

//! A machine in a folder.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::super::engine::{self, Socket};
use super::super::identity::{inode, Identity};
use super::super::snapshot::{take, Sources};
use super::super::Names;

/// The host's namespace.
pub(super) const HOST: u32 = 4_026_531_833;

/// `/proc`, `/run` and the like below a temporary folder.
pub(super) struct Machine {
    pub(super) root: tempfile::TempDir,
}

impl Machine {
    /// A machine on which nothing runs but the kernel.
    pub(super) fn new() -> Self {
        let machine = Self {
            root: tempfile::tempdir().unwrap(),
        };
        machine.write("proc/sys/kernel/random/boot_id", "boot-1\n");
        machine.process(2, "kthreadd", HOST, "/");
        machine
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(super) fn process(&self, pid: u32, comm: &str, inode: u32, cgroup: &str) {
        self.write(&format!("proc/{pid}/comm"), &format!("{comm}\n"));
        self.write(&format!("proc/{pid}/cgroup"), &format!("0::{cgroup}\n"));
        fs::create_dir_all(self.path(&format!("proc/{pid}/ns"))).unwrap();
        symlink(
            format!("net:[{inode}]"),
            self.path(&format!("proc/{pid}/ns/net")),
        )
        .unwrap();
    }

    pub(super) fn end(&self, pid: u32) {
        fs::remove_dir_all(self.path(&format!("proc/{pid}"))).unwrap();
    }

    /// A name of `ip netns`.
    pub(super) fn netns(&self, name: &str, inode: u32) {
        self.write(&format!("run/netns/{name}"), &format!("net:[{inode}]"));
    }

    /// The socket of Docker, where it is looked for.
    pub(super) fn docker(&self) -> PathBuf {
        self.folder("run/docker.sock")
    }

    /// The socket of Podman, where it is looked for.
    pub(super) fn podman(&self) -> PathBuf {
        self.folder("run/podman/podman.sock")
    }

    fn folder(&self, path: &str) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    pub(super) fn sockets(&self) -> Vec<Socket> {
        engine::sockets(self.root.path(), |_| None)
    }

    pub(super) fn names(&self) -> Names {
        take(&Sources {
            root: self.root.path().to_owned(),
            sockets: self.sockets(),
            state: Some(self.path("run/nftrace/names.json")),
            identify,
            notes: Vec::new(),
        })
    }
}

/// The fixture's files say which namespace they are; cookies count from the host's, 7.
fn identify(path: &Path) -> io::Result<Identity> {
    let text = match fs::read_link(path) {
        Ok(target) => target,
        Err(_) => fs::read_to_string(path)?.into(),
    };
    let inode = inode(&text).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(Identity {
        cookie: Some(u64::from(inode - HOST) + 7),
        inode,
    })
}
