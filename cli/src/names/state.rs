// SPDX-License-Identifier: GPL-2.0

//! The names of namespaces that are gone, in a small file that every run completes.
//!
//! A container that lived between two runs, and in none, stays unknown.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{Name, Namespace};

/// How many namespaces are remembered; the latest ones are.
const MOST: usize = 1024;

/// A namespace that once had a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remembered {
    pub(super) boot: String,
    pub(super) cookie: u64,
    pub(super) inode: u32,
    pub(super) names: Vec<Name>,
    /// When it was last seen alive with these names, in seconds since 1970.
    pub(super) seen: u64,
}

#[derive(Default, Serialize, Deserialize)]
struct Memory {
    namespaces: Vec<Remembered>,
}

/// Where this user's file is: only root sees all names, so there is one for each user.
pub(super) fn path() -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Some("/run/nftrace/names.json".into());
    }
    let folder = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty())?;
    Some(PathBuf::from(folder).join("nftrace/names.json"))
}

/// What is remembered of this boot, the latest first. A broken file is as none.
pub(super) fn recall(path: &Path, boot: &str) -> Vec<Remembered> {
    let mut all = load(path).namespaces;
    all.retain(|remembered| remembered.boot == boot);
    all.sort_by(|a, b| (b.seen, b.cookie).cmp(&(a.seen, a.cookie)));
    all
}

fn load(path: &Path) -> Memory {
    fs::read(path)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default()
}

/// Adds what lives and has a name. The file is replaced as a whole, by one run at a time.
pub(super) fn remember(path: &Path, boot: &str, living: &[Namespace]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(folder)?;
    let lock = open(&path.with_extension("lock"))?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)?;

    let before = load(path).namespaces;
    let mut after: Vec<Remembered> = living
        .iter()
        .filter(|namespace| !namespace.is_host() && !namespace.names.is_empty())
        .filter_map(|namespace| {
            let names = namespace.names.iter().cloned();
            Some(Remembered {
                boot: boot.to_owned(),
                cookie: namespace.cookie?,
                inode: namespace.inode,
                // The process's number will be another's.
                names: names.map(|name| Name { pid: None, ..name }).collect(),
                seen: now(),
            })
        })
        .collect();
    let news = after.iter().any(|new| {
        !before
            .iter()
            .any(|old| (&old.boot, old.cookie, &old.names) == (&new.boot, new.cookie, &new.names))
    });
    if !news {
        return Ok(());
    }
    let known = |old: &Remembered| {
        after
            .iter()
            .any(|new| (&new.boot, new.cookie) == (&old.boot, old.cookie))
    };
    let old: Vec<Remembered> = before.into_iter().filter(|old| !known(old)).collect();
    after.extend(old);
    after.sort_by(|a, b| (b.seen, b.cookie).cmp(&(a.seen, a.cookie)));
    after.truncate(MOST);

    let part = path.with_extension("part");
    let mut file = open(&part)?;
    file.set_len(0)?;
    serde_json::to_writer(&mut file, &Memory { namespaces: after })?;
    fs::rename(&part, path)
}

/// For its owner only: what containers are called is nobody else's business.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    fn namespace(cookie: u64) -> Namespace {
        Namespace {
            cookie: Some(cookie),
            inode: 1,
            names: vec![Name {
                kind: Kind::Docker,
                name: format!("web{cookie}"),
                id: None,
                pid: None,
                shared: false,
                gone: false,
            }],
            processes: Vec::new(),
            mounts: Vec::new(),
            gone: false,
        }
    }

    #[test]
    fn what_was_seen_is_remembered_of_its_own_boot_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/names.json");
        remember(&path, "boot-1", &[namespace(20), namespace(21)]).unwrap();
        remember(&path, "boot-2", &[namespace(20)]).unwrap();
        let cookies = |boot| -> Vec<u64> { recall(&path, boot).iter().map(|r| r.cookie).collect() };
        assert_eq!(cookies("boot-1"), [21, 20]);
        assert_eq!(cookies("boot-2"), [20]);
        assert_eq!(cookies("boot-3"), [0; 0]);
    }

    #[test]
    fn the_file_does_not_grow_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("names.json");
        for start in (0..4000).step_by(500) {
            let living: Vec<Namespace> = (start..start + 500).map(namespace).collect();
            remember(&path, "boot", &living).unwrap();
        }
        let kept = recall(&path, "boot");
        assert_eq!(kept.len(), MOST);
        assert_eq!(kept[0].cookie, 3999);
    }

    #[test]
    fn a_broken_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("names.json");
        fs::write(&path, "{\"namespaces\":[{").unwrap();
        assert_eq!(recall(&path, "boot"), []);
        remember(&path, "boot", &[namespace(20)]).unwrap();
        assert_eq!(recall(&path, "boot").len(), 1);
    }

    #[test]
    fn two_runs_at_once_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("names.json");
        std::thread::scope(|scope| {
            for cookie in 0..8 {
                let path = &path;
                scope.spawn(move || remember(path, "boot", &[namespace(cookie)]).unwrap());
            }
        });
        assert_eq!(recall(&path, "boot").len(), 8);
    }
}
