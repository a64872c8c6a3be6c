// SPDX-License-Identifier: GPL-2.0

//! Cgroups by their paths.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use super::Unresolved;

/// Id and level of the cgroup at a path, as `/system.slice/ssh.service`.
pub(super) fn find(path: &str) -> Result<(u64, u32), Unresolved> {
    let root = mount(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
        .ok_or_else(|| Unresolved::Failed(format!(
            "cgroup {path:?}: the cgroup2 file system is not mounted; mount it: mount -t cgroup2 none /sys/fs/cgroup"
        )))?;
    below(&root, path)
}

fn below(root: &Path, path: &str) -> Result<(u64, u32), Unresolved> {
    let failed = |why: &str| Unresolved::Failed(format!("cgroup {path:?}: {why}"));
    if !path.starts_with('/') {
        return Err(failed(
            "its path begins with /, as /proc/self/cgroup shows it",
        ));
    }
    // What people copy from the file system is meant as what it is.
    let shown = root.to_string_lossy();
    let below = match path.strip_prefix(shown.as_ref()) {
        Some(rest) if rest.starts_with('/') => rest,
        _ => path,
    };
    let mut folder = root.to_owned();
    let mut level = 0;
    for part in Path::new(below).components() {
        match part {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => {
                folder.push(name);
                level += 1;
            }
            _ => return Err(failed("it may have no '..'")),
        }
    }
    match fs::metadata(&folder) {
        Ok(found) if found.is_dir() => Ok((found.ino(), level)),
        Ok(_) => Err(failed("it is a file, not a cgroup")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let near = nearest(root, &folder).map_or_else(
                || "'systemd-cgls' lists what there is".to_owned(),
                |near| format!("did you mean {near:?}?"),
            );
            let absent = format!("there is no cgroup {path:?}: {near}");
            Err(Unresolved::Absent(absent))
        }
        Err(error) => Err(failed(&error.to_string())),
    }
}

/// Beside the first folder that is not there, the one that is written most alike.
fn nearest(root: &Path, missing: &Path) -> Option<String> {
    let (parent, wanted) = missing.ancestors().find_map(|path| {
        let parent = path.parent()?;
        parent.is_dir().then_some((parent, path.file_name()?))
    })?;
    let wanted = wanted.to_string_lossy();
    let others = fs::read_dir(parent).ok()?.filter_map(|entry| {
        let entry = entry.ok()?;
        let is_folder = entry.file_type().ok()?.is_dir();
        is_folder.then(|| entry.file_name().to_string_lossy().into_owned())
    });
    let near = others
        .map(|name| (strsim::damerau_levenshtein(&wanted, &name), name))
        .filter(|(distance, _)| *distance <= wanted.len().max(3) / 3)
        .min()?;
    let path = parent.join(near.1);
    Some(format!("/{}", path.strip_prefix(root).ok()?.display()))
}

/// Where the unified hierarchy is mounted.
fn mount(mountinfo: &str) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let mut words = line.split(' ');
        let root = words.nth(3)?;
        let path = words.next()?;
        let kind = words.skip_while(|word| *word != "-").nth(1)?;
        (kind == "cgroup2" && root == "/").then(|| path.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unified_hierarchy_is_found_wherever_it_is_mounted() {
        let old = "30 24 0:26 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory";
        let new = "31 24 0:27 / /sys/fs/cgroup/unified rw shared:10 - cgroup2 cgroup2 rw";
        let text = format!("{old}\n{new}\n");
        assert_eq!(mount(&text), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(mount(old), None);
    }

    #[test]
    fn a_cgroup_is_its_folder_and_its_level_its_depth() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("system.slice/web.service");
        fs::create_dir_all(&folder).unwrap();
        let inode = |path: &Path| fs::metadata(path).unwrap().ino();
        let found = |path: &str| below(root.path(), path).unwrap();
        assert_eq!(found("/"), (inode(root.path()), 0));
        let web = (inode(&folder), 2);
        assert_eq!(found("/system.slice/web.service"), web);
        assert_eq!(found("/system.slice/web.service/"), web);
        assert_eq!(found(&folder.display().to_string()), web);
    }

    #[test]
    fn a_cgroup_that_is_not_there_is_answered_with_the_nearest_one() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("system.slice/web.service")).unwrap();
        let said = |path: &str| match below(root.path(), path) {
            Err(Unresolved::Absent(said)) => said,
            other => panic!("{path}: {other:?}"),
        };
        assert!(said("/system.slice/wbe.service").contains("\"/system.slice/web.service\""));
        assert!(said("/sistem.slice/web.service").contains("\"/system.slice\""));
        assert!(said("/nothing/alike").contains("systemd-cgls"));
    }

    #[test]
    fn a_path_that_leaves_the_hierarchy_is_refused() {
        let root = tempfile::tempdir().unwrap();
        for path in ["system.slice", "/../etc"] {
            assert!(
                matches!(below(root.path(), path), Err(Unresolved::Failed(_))),
                "{path}"
            );
        }
    }
}
