// SPDX-License-Identifier: GPL-2.0

//! What a scenario needs, and whether this machine has it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

use super::catalog::Scenario;

/// Whether something is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// It is.
    There,
    /// A module that is loaded when it is asked for.
    Loadable,
    /// It is not.
    Missing,
    /// The system does not tell which modules it has.
    Unknown,
}

/// Something that is needed.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Need {
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) state: State,
}

/// All that a scenario needs.
pub(super) fn of(scenario: Scenario, kernel: &Kernel) -> Vec<Need> {
    let need = |kind, name: &str, state| Need {
        kind,
        name: name.to_owned(),
        state,
    };
    let programs = SANDBOX_PROGRAMS.iter().copied().chain(scenario.programs());
    let mut needs: Vec<Need> = programs
        .map(|name| need("program", name, program(name)))
        .collect();
    needs.extend(
        scenario
            .modules()
            .into_iter()
            .map(|name| need("module", name, kernel.module(name))),
    );
    // The kernel itself loads the others when somebody makes what they are for.
    let loads = |need: &Need| need.name == "br_netfilter" && need.state != State::There;
    if scenario.root().is_some() || needs.iter().any(loads) {
        let state = match rustix::process::geteuid().is_root() {
            true => State::There,
            false => State::Missing,
        };
        needs.push(need("user", "root", state));
    }
    needs
}

/// What the sandbox itself is made with.
const SANDBOX_PROGRAMS: [&str; 4] = ["bash", "unshare", "nsenter", "tac"];

fn program(name: &str) -> State {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let there = folders
        .map(|folder| folder.join(name))
        .any(|file| file.is_file());
    match there && (name != "busybox" || has_httpd()) {
        true => State::There,
        false => State::Missing,
    }
}

/// Some builds of busybox have no web server.
fn has_httpd() -> bool {
    let output = Command::new("busybox").arg("--list").output();
    output.is_ok_and(|output| {
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .any(|applet| applet == "httpd")
    })
}

/// The modules of the running kernel.
#[derive(Debug)]
pub(super) struct Kernel {
    /// The lists of modules that can be loaded, and of those that are built in.
    lists: Option<[String; 2]>,
}

impl Kernel {
    /// That of this machine.
    pub(super) fn running() -> Self {
        let uname = rustix::system::uname();
        let folder = Path::new("/lib/modules").join(&*uname.release().to_string_lossy());
        let list = |name| fs::read_to_string(folder.join(name));
        Self {
            lists: list("modules.dep")
                .ok()
                .map(|dep| [dep, list("modules.builtin").unwrap_or_default()]),
        }
    }

    fn module(&self, name: &str) -> State {
        if Path::new("/sys/module")
            .join(name.replace('-', "_"))
            .exists()
        {
            return State::There;
        }
        let Some([loadable, builtin]) = &self.lists else {
            return State::Unknown;
        };
        match (listed(builtin, name), listed(loadable, name)) {
            (true, _) => State::There,
            (_, true) => State::Loadable,
            _ => State::Missing,
        }
    }
}

/// Whether a line of a list is of `…/name.ko…`.
fn listed(list: &str, name: &str) -> bool {
    let name = name.replace('-', "_");
    list.lines().any(|line| {
        let path = line.split(':').next().unwrap_or_default();
        let file = path.rsplit('/').next().unwrap_or_default();
        file.split_once(".ko")
            .is_some_and(|(stem, _)| stem.replace('-', "_") == name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_loadable_built_in_missing_or_unknown() {
        let dep = "kernel/drivers/net/veth.ko.xz: kernel/net/a.ko.xz\nkernel/net/bridge/br-netfilter.ko: x\n";
        let kernel = Kernel {
            lists: Some([
                dep.to_owned(),
                "kernel/net/nftrace_test_builtin.ko\n".to_owned(),
            ]),
        };
        assert_ne!(kernel.module("veth"), State::Missing);
        assert_ne!(kernel.module("br_netfilter"), State::Missing);
        assert_eq!(kernel.module("nftrace_test_builtin"), State::There);
        assert_eq!(kernel.module("nftrace_test_none"), State::Missing);
        // A module that only others depend on is not there.
        assert_eq!(kernel.module("a"), State::Missing);
        assert_eq!(
            Kernel { lists: None }.module("nftrace_test_none"),
            State::Unknown
        );
    }

    #[test]
    fn a_program_is_found_along_the_path() {
        assert_eq!(program("sh"), State::There);
        assert_eq!(program("nftrace-no-such-program"), State::Missing);
    }
}
