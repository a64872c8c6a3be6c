// SPDX-License-Identifier: GPL-2.0

//! The folder of one test: what its guest is given, and what is left of it.

use std::env;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use anyhow::{ensure, Context, Result};
use rustix::fs::{flock, FlockOperation};

use super::accel::QEMU;
use super::images::Images;
use super::Vm;
use crate::checkout::top;
use crate::command::binary;

/// Where the guest sees the folder: vmtest mounts it there.
pub(super) const GUEST: &str = "/mnt/vmtest";

/// The scripts of the tests.
const TESTS: &str = "tests/lab";

/// What the guest has of the repository, in the same places.
const SCRIPTS: [&str; 2] = ["lab", TESTS];

pub(super) struct Folder {
    pub(super) path: PathBuf,
    /// Another run of the same test, from the same checkout, waits for this one.
    _lock: File,
}

/// `S1: a published port` is `s1-a-published-port`.
pub(super) fn slug(name: &str) -> String {
    let words = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

/// The folder of the test `name`, whether it exists or not: in the checkout, also
/// where Cargo's own target folder is elsewhere.
pub(super) fn path_of(name: &str) -> PathBuf {
    top().join("target/vm").join(slug(name))
}

impl Folder {
    /// Empties the folder and puts into it what the guest needs.
    pub(super) fn prepare(vm: &Vm) -> Result<Self> {
        let path = path_of(&vm.name);
        let vms = path.parent().unwrap_or(&path);
        fs::create_dir_all(vms).with_context(|| vms.display().to_string())?;
        let lock = File::create(path.with_extension("lock")).context("lock file")?;
        flock(&lock, FlockOperation::LockExclusive).context("locking the test's folder")?;
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("emptying {}", path.display()));
            }
            _ => {}
        }
        let folder = Self { path, _lock: lock };
        folder
            .fill(vm)
            .with_context(|| format!("filling {}", folder.path.display()))?;
        Ok(folder)
    }

    fn fill(&self, vm: &Vm) -> Result<()> {
        // vmtest writes its init script into the temporary folder of the root
        // that it is given. Ours has nothing else (see scripts/guest-init).
        let temporary = env::temp_dir();
        let inside = temporary
            .strip_prefix("/")
            .context("the temporary folder's path is not absolute")?;
        fs::create_dir_all(self.root().join(inside))?;
        fs::create_dir_all(self.out())?;

        for folder in SCRIPTS {
            let (from, to) = (top().join(folder), self.path.join(folder));
            fs::create_dir_all(&to)?;
            for entry in fs::read_dir(&from).with_context(|| from.display().to_string())? {
                let entry = entry?;
                fs::copy(entry.path(), to.join(entry.file_name()))?;
            }
        }
        for (name, content) in &vm.files {
            fs::write(self.path.join(name), content)?;
        }
        let script = top().join(&vm.script);
        ensure!(
            script.parent() == Some(&top().join(TESTS)) && script.is_file(),
            "{} is no file below tests/lab",
            vm.script.display()
        );

        let mut env = vm.env.clone();
        if vm.module {
            if env::var_os("NFTRACE_NO_MODULE").is_some_and(|value| value == "1") {
                env.push(("NFTRACE_NO_MODULE".to_owned(), "1".to_owned()));
            } else {
                let module = module(vm)?;
                fs::copy(&module, self.path.join("nftrace.ko")).with_context(|| {
                    format!(
                        "{}: no module; build it, or say NFTRACE_NO_MODULE=1",
                        module.display()
                    )
                })?;
            }
        }
        if vm.command {
            fs::copy(binary()?, self.path.join("nftrace"))?;
        }
        let mut exports = String::new();
        for (name, value) in &env {
            exports += &format!("export {name}={}\n", quote(value));
        }
        fs::write(self.path.join("environment"), exports)?;

        // Between vmtest and QEMU: knows the process by number, and lets it
        // outlive neither the thread that waits for it nor the test.
        let program = format!(
            "#!/bin/sh\n[ \"$1\" != --help ] || exit 0\necho $$ >{}\nexec setpriv --pdeathsig KILL {QEMU} \"$@\"\n",
            quote(&self.pid_file().to_string_lossy())
        );
        fs::write(self.qemu(), program)?;
        fs::set_permissions(self.qemu(), fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    /// The command that the guest runs.
    pub(super) fn command(&self, vm: &Vm) -> String {
        let script = vm.script.file_name().unwrap_or_default().to_string_lossy();
        let words = [vm.timeout.as_secs().to_string(), script.into_owned()];
        let words = words.iter().chain(&vm.args).map(|word| quote(word));
        format!(
            "exec {GUEST}/{TESTS}/run {}",
            words.collect::<Vec<_>>().join(" ")
        )
    }

    /// The almost empty folder that vmtest takes for the guest's root.
    pub(super) fn root(&self) -> PathBuf {
        self.path.join("root")
    }

    pub(super) fn out(&self) -> PathBuf {
        self.path.join("out")
    }

    pub(super) fn qemu(&self) -> PathBuf {
        self.path.join("qemu")
    }

    pub(super) fn pid_file(&self) -> PathBuf {
        self.path.join("qemu.pid")
    }
}

/// The module that the guest is to load.
fn module(vm: &Vm) -> Result<PathBuf> {
    if let Some(kernel) = vm.debug {
        return Images::find_debug(kernel)?
            .module
            .with_context(|| format!("no module; run scripts/debug-kernel {}", kernel.name()));
    }
    let named = env::var_os("NFTRACE_MODULE");
    Ok(named.map_or_else(|| top().join("nftrace.ko"), PathBuf::from))
}

/// As one word of a shell's command line.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_name_becomes_a_folder_name() {
        assert_eq!(
            slug("S1: a published port (IPv4)"),
            "s1-a-published-port-ipv4"
        );
    }

    #[test]
    fn any_word_survives_the_shell() {
        assert_eq!(quote("it's $HOME"), r"'it'\''s $HOME'");
    }
}
