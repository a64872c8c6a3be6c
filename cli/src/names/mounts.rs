// SPDX-License-Identifier: GPL-2.0

//! Namespaces that are mounted: those of `ip netns`, and what engines keep.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Where `ip netns` has its names.
const NETNS: &str = "/run/netns";

/// The mounted network namespaces of `/proc/self/mountinfo`: inode number and path.
pub(super) fn mounted(mountinfo: &str) -> Vec<(u32, PathBuf)> {
    let mut found: Vec<(u32, PathBuf)> = mountinfo.lines().filter_map(line).collect();
    // A shared mount shows once for each folder that it is seen through.
    found.sort();
    found.dedup();
    found
}

/// `36 35 0:4 net:[4026532289] /run/netns/blue rw shared:1 - nsfs nsfs rw`
fn line(line: &str) -> Option<(u32, PathBuf)> {
    let mut words = line.split(' ');
    let root = words.nth(3)?;
    let path = words.next()?;
    let mut rest = words.skip_while(|&word| word != "-").skip(1);
    if rest.next()? != "nsfs" {
        return None;
    }
    let inode = super::identity::inode(Path::new(root))?;
    Some((inode, unescape(path)))
}

/// mountinfo writes blanks and the like as three octal digits.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let octal = tail
            .get(..3)
            .filter(|_| byte == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match octal {
            Some(code) => {
                bytes.push(code);
                rest = &tail[3..];
            }
            None => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// The name that `ip netns` shows for a mount, if it does.
pub(super) fn netns_name(mount: &Path) -> Option<String> {
    let parent = mount.parent()?;
    let name = mount.file_name()?.to_str()?;
    (parent == Path::new(NETNS) || parent == Path::new("/var/run/netns")).then(|| name.to_owned())
}

/// Every file where `ip netns` looks; which of them are namespaces is for the caller to see.
pub(super) fn netns_files(root: &Path) -> Vec<PathBuf> {
    let folder = root.join(NETNS.trim_start_matches('/'));
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounted_network_namespaces_are_found_and_others_are_not() {
        let mountinfo = "\
            22 1 0:20 / /proc rw - proc proc rw\n\
            36 35 0:4 net:[4026532289] /run/netns/blue rw shared:1 master:2 - nsfs nsfs rw\n\
            37 35 0:4 net:[4026532290] /run/netns/a\\040b rw - nsfs nsfs rw\n\
            38 35 0:4 mnt:[4026532291] /run/ns/mnt rw - nsfs nsfs rw\n\
            36 35 0:4 net:[4026532289] /run/netns/blue rw shared:1 - nsfs nsfs rw\n";
        assert_eq!(
            mounted(mountinfo),
            [
                (4026532289, PathBuf::from("/run/netns/blue")),
                (4026532290, PathBuf::from("/run/netns/a b")),
            ]
        );
    }

    #[test]
    fn only_what_ip_netns_shows_has_its_name() {
        assert_eq!(
            netns_name(Path::new("/var/run/netns/blue")).as_deref(),
            Some("blue")
        );
        assert_eq!(netns_name(Path::new("/run/docker/netns/4f1c")), None);
    }
}
