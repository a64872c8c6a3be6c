// SPDX-License-Identifier: GPL-2.0

//! What the programs share that tests run in a guest.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;

use anyhow::{anyhow, Context, Result};
use nftrace_core::policy::control::Status;
use nftrace_device::{Device, Loading, DEFAULT_PATH};
use nftrace_policy::ast::NamespaceSpec;
use nftrace_policy::{compile, load_text, resolve, Blob, Memory, Resolver};
use rustix::thread::{move_into_link_name_space, LinkNameSpaceType};

/// Knows the root cgroup, and nothing else.
struct Nothing;

impl Resolver for Nothing {
    fn addresses(&self, of: &NamespaceSpec) -> Result<Vec<std::net::IpAddr>, String> {
        Err(format!("{of} is unknown"))
    }

    fn namespace(&self, spec: &NamespaceSpec) -> Result<u64, String> {
        Err(format!("{spec} is unknown"))
    }

    fn cgroup(&self, path: &str) -> Result<(u64, u32), String> {
        match path {
            "/" => Ok((1, 0)),
            _ => Err(format!("{path} is unknown")),
        }
    }

    fn host(&self) -> Result<u64, String> {
        Err("the host is unknown".to_owned())
    }
}

/// A policy without names, compiled.
///
/// # Errors
///
/// All that is wrong with it.
pub fn compiled(text: &str) -> Result<Blob> {
    let report = |report: nftrace_policy::Report| anyhow!("{report}");
    let document = load_text("policy", text, &Memory::default()).map_err(report)?;
    let program = resolve(&document, &Nothing).map_err(report)?;
    compile(&program).map_err(|error| anyhow!(error))
}

/// A policy of so many rules, each of which has another port.
///
/// # Errors
///
/// There are not so many ports.
pub fn many_rules(count: u32) -> Result<Blob> {
    let rule = |at| format!("drop udp to any port {} at local_out\n", 20_000 + at);
    compiled(&(0..count).map(rule).collect::<String>())
}

/// The device of the module.
///
/// # Errors
///
/// The module is not there.
pub fn device() -> Result<Device> {
    Ok(Device::open(Path::new(DEFAULT_PATH))?)
}

/// For good, in place of whatever is in force, for all namespaces that there are.
#[must_use]
pub fn plainly(status: &Status) -> Loading {
    Loading {
        epoch: status.epoch,
        trial: None,
        expected: None,
        keep_sets: false,
    }
}

/// Does something in the namespace that `ip netns` knows by that name. Sockets that are
/// made there stay there.
///
/// # Errors
///
/// There is none of that name; whatever fails there.
pub fn within<T: Send>(name: &str, act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let path = Path::new("/run/netns").join(name);
    let namespace = File::open(&path).with_context(|| path.display().to_string())?;
    let inside = move || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        act()
    };
    thread::scope(|scope| scope.spawn(inside).join()).map_err(|_| anyhow!("panicked in {name}"))?
}
