// SPDX-License-Identifier: GPL-2.0

//! What names in a policy mean on this machine, now.

use std::net::IpAddr;

use nftrace_policy::ast::NamespaceSpec;
use nftrace_policy::Resolver;

/// The running machine.
pub(crate) struct Live;

impl Live {
    /// As it is now.
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self)
    }
}

impl Resolver for Live {
    fn addresses(&self, _of: &NamespaceSpec) -> Result<Vec<IpAddr>, String> {
        Err("not built yet".to_owned())
    }

    fn namespace(&self, _spec: &NamespaceSpec) -> Result<u64, String> {
        Err("not built yet".to_owned())
    }

    fn cgroup(&self, _path: &str) -> Result<(u64, u32), String> {
        Err("not built yet".to_owned())
    }

    fn host(&self) -> Result<u64, String> {
        Err("not built yet".to_owned())
    }
}
