// SPDX-License-Identifier: GPL-2.0

//! What surrounds the packet that is to be explained.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};

use anyhow::Context as _;
use nftrace_policy::ast::NamespaceSpec;
use nftrace_policy::explain::{cgroup_paths, state, Circumstances, Named};
use nftrace_policy::Resolver;

use crate::policy::resolver::Live;

/// What surrounds the packet.
#[derive(Debug, clap::Args)]
pub(crate) struct AroundArgs {
    /// The container that it is in; without: the host
    #[arg(long, value_name = "NAME", conflicts_with = "ns")]
    container: Option<String>,
    /// The namespace that it is in, as rules say it: container:NAME, netns:NAME, pid:N,
    /// a path, cookie:N, inode:N, host
    #[arg(long, visible_alias = "in", value_name = "NS")]
    ns: Option<String>,
    /// As in a namespace that was made after the policy was loaded
    #[arg(long)]
    pub(super) new: bool,
    /// How conntrack sees it: new, established, related, invalid, untracked
    #[arg(long, value_name = "STATE", default_value = "new")]
    state: String,
    /// Where its connection went before NAT; without: where the packet goes
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    original: Option<String>,
    /// The firewall mark
    #[arg(long, value_name = "N", value_parser = number, default_value = "0")]
    mark: u32,
    /// The user of the local socket
    #[arg(long, value_name = "N", value_parser = number)]
    uid: Option<u32>,
    /// The classid of the local socket
    #[arg(long, value_name = "N", value_parser = number)]
    classid: Option<u32>,
    /// The cgroup of the local socket, as /proc/PID/cgroup shows it
    #[arg(long, value_name = "PATH")]
    cgroup: Option<String>,
    /// Rules with a limit have matched as often as they may
    #[arg(long)]
    over_limit: bool,
}

/// A number, decimal or `0x…`.
pub(crate) fn number(text: &str) -> Result<u32, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| "it is a number from 0 to 4294967295, or 0x…".to_owned())
}

/// An address, with a port or without.
pub(crate) fn endpoint(text: &str) -> Result<(IpAddr, Option<u16>), String> {
    if let Ok(with_port) = text.parse::<SocketAddr>() {
        return Ok((with_port.ip(), Some(with_port.port())));
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse();
    let address = address.map_err(|_| {
        format!("'{text}' is no address: it is as in 10.0.0.9:8081 or [2001:db8::1]:80")
    })?;
    Ok((address, None))
}

/// What names mean to a file's policy: what is given; without anything given what they
/// mean on this machine, and else what no other name means.
pub(crate) struct Here {
    named: Named,
    live: Option<Live>,
    unknown: RefCell<Vec<String>>,
}

impl Here {
    /// This machine.
    pub(crate) fn machine() -> anyhow::Result<Self> {
        Ok(Self {
            named: Named::default(),
            live: Some(Live::new()?),
            unknown: RefCell::default(),
        })
    }

    /// Only what is given.
    pub(crate) fn given(named: Named) -> Self {
        Self {
            named,
            live: None,
            unknown: RefCell::default(),
        }
    }

    /// Says what is not known here.
    pub(crate) fn warn(&self) {
        for unknown in self.unknown.borrow().iter() {
            eprintln!("nftrace: {unknown}");
        }
    }

    fn live<T>(&self, ask: impl FnOnce(&Live) -> Result<T, String>) -> Option<T> {
        ask(self.live.as_ref()?).ok()
    }
}

impl Resolver for Here {
    fn addresses(&self, of: &NamespaceSpec) -> Result<Vec<IpAddr>, String> {
        if self.live.is_none() {
            return self.named.addresses(of);
        }
        Ok(self.live(|live| live.addresses(of)).unwrap_or_else(|| {
            let unknown = format!(
                "the addresses of {of} are not known here, and match nothing: --names FILE gives them"
            );
            let mut known = self.unknown.borrow_mut();
            if !known.contains(&unknown) {
                known.push(unknown);
            }
            Vec::new()
        }))
    }

    fn namespace(&self, spec: &NamespaceSpec) -> Result<u64, String> {
        if self.live.is_none() {
            return self.named.namespace(spec);
        }
        let live = self.live(|live| live.namespace(spec));
        Ok(live.unwrap_or_else(|| self.named.cookie(spec)))
    }

    fn cgroup(&self, path: &str) -> Result<(u64, u32), String> {
        let live = self.live(|live| live.cgroup(path));
        live.map_or_else(|| self.named.cgroup(path), Ok)
    }

    fn host(&self) -> Result<u64, String> {
        let live = self.live(Live::host);
        live.map_or_else(|| self.named.host(), Ok)
    }
}

impl AroundArgs {
    /// What the options say, with names as `resolver` knows them.
    pub(crate) fn circumstances(
        &self,
        named: &Named,
        resolver: &dyn Resolver,
    ) -> anyhow::Result<Circumstances> {
        let spec = match (&self.container, &self.ns) {
            (Some(name), _) => NamespaceSpec::Container(name.clone()),
            (None, Some(text)) => named.namespace_of(text).map_err(anyhow::Error::msg)?,
            (None, None) => NamespaceSpec::Host,
        };
        let cookie = match &spec {
            NamespaceSpec::Host => resolver.host(),
            NamespaceSpec::Cookie(cookie) => Ok(*cookie),
            _ => resolver.namespace(&spec),
        };
        let original = self.original.as_deref().map(endpoint).transpose();
        let cgroup = self.cgroup.as_ref().map(|path| {
            let ids = cgroup_paths(path)
                .iter()
                .map(|path| Ok(resolver.cgroup(path)?.0))
                .collect::<Result<Vec<u64>, String>>();
            ids.map(|ids| (path.clone(), ids))
        });
        Ok(Circumstances {
            is_new_namespace: self.new,
            mark: self.mark,
            state: state(&self.state)
                .map_err(anyhow::Error::msg)
                .context("--state")?,
            original: original.map_err(anyhow::Error::msg).context("--original")?,
            uid: self.uid,
            classid: self.classid,
            cgroup: cgroup.transpose().map_err(anyhow::Error::msg)?,
            is_over_limit: self.over_limit,
            ..Circumstances::new(cookie.map_err(anyhow::Error::msg)?, spec.to_string())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_read_with_and_without_a_port() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(endpoint("10.0.0.9:80"), Ok((address("10.0.0.9"), Some(80))));
        assert_eq!(endpoint("10.0.0.9"), Ok((address("10.0.0.9"), None)));
        assert_eq!(endpoint("[::1]:80"), Ok((address("::1"), Some(80))));
        assert_eq!(endpoint("::1"), Ok((address("::1"), None)));
        assert!(endpoint("web:80").unwrap_err().contains("'web:80'"));
    }

    #[test]
    fn without_root_a_container_is_one_that_no_other_name_means() {
        let here = Here::machine().unwrap();
        let container = |name: &str| {
            let spec = NamespaceSpec::Container(name.to_owned());
            here.namespace(&spec).unwrap()
        };
        assert_eq!(container("no-such-web"), container("no-such-web"));
        assert_ne!(container("no-such-web"), container("no-such-db"));
        assert_ne!(container("no-such-web"), here.host().unwrap());
    }
}
