// SPDX-License-Identifier: GPL-2.0

//! The processes of this machine, by the namespace that they are in.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::cgroup::{self, Owner};
use super::{identity, Process};

/// What is in one namespace.
#[derive(Debug, Default)]
pub(super) struct Inhabitants {
    pub(super) processes: Vec<Process>,
    /// Each container or unit once, with its first process.
    pub(super) owners: Vec<(Owner, u32)>,
}

impl Inhabitants {
    /// Whether a process in it belongs to that container or unit.
    pub(super) fn has(&self, owner: &Owner) -> bool {
        self.owners.iter().any(|(known, _)| known == owner)
    }
}

/// All of `/proc`.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) namespaces: BTreeMap<u32, Inhabitants>,
    /// How many processes did not let us see their namespace.
    pub(super) hidden: usize,
}

impl Scan {
    /// The namespace that a process was seen in.
    pub(super) fn namespace_of(&self, pid: u32) -> Option<u32> {
        let mut all = self.namespaces.iter();
        let is_in = |inhabitants: &Inhabitants| {
            let mut processes = inhabitants.processes.iter();
            processes.any(|process| process.pid == pid)
        };
        all.find_map(|(&inode, inhabitants)| is_in(inhabitants).then_some(inode))
    }
}

/// Reads `proc`. A process may end at any moment, and is then left out.
pub(super) fn scan(proc: &Path) -> io::Result<Scan> {
    let mut scan = Scan::default();
    let mut pids: Vec<u32> = fs::read_dir(proc)?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    for pid in pids {
        let dir = proc.join(pid.to_string());
        match fs::read_link(dir.join("ns/net")) {
            Ok(target) => {
                let Some(inode) = identity::inode(&target) else {
                    continue;
                };
                let inhabitants = scan.namespaces.entry(inode).or_default();
                let comm = comm(&dir).unwrap_or_default();
                inhabitants.processes.push(Process { pid, comm });
                if let Some(owner) = owner(&dir) {
                    if !inhabitants.has(&owner) {
                        inhabitants.owners.push((owner, pid));
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => scan.hidden += 1,
            Err(_) => {}
        }
    }
    Ok(scan)
}

/// The container or unit of a process.
pub(super) fn owner(dir: &Path) -> Option<Owner> {
    cgroup::owner(&fs::read_to_string(dir.join("cgroup")).ok()?)
}

/// Whether a process is in the control group of that container.
pub(super) fn is_in(dir: &Path, id: &str) -> bool {
    fs::read_to_string(dir.join("cgroup")).is_ok_and(|text| cgroup::is_of(&text, id))
}

fn comm(dir: &Path) -> Option<String> {
    let comm = fs::read(dir.join("comm")).ok()?;
    Some(String::from_utf8_lossy(&comm).trim_end().to_owned())
}

/// The directory of a process.
pub(super) fn dir(proc: &Path, pid: u32) -> PathBuf {
    proc.join(pid.to_string())
}
