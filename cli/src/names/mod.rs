// SPDX-License-Identifier: GPL-2.0

//! Who is who: the network namespaces of this machine and how they are called.
//!
//! A namespace is its cookie; an inode number is used again as soon as it is
//! free. Names are what people gave to what runs in it, and a namespace may have
//! several: a pod's and those of its containers. They are remembered when the
//! namespace is gone. What has no name is said to have none.

mod addresses;
mod bundle;
mod cgroup;
mod devices;
mod engine;
pub(crate) mod enter;
mod events;
mod http;
mod identity;
mod mounts;
mod processes;
mod resolve;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;

use nftrace_journeys::NamespaceId;
use serde::{Deserialize, Serialize};

pub(crate) use addresses::addresses_here;
pub(crate) use devices::{device_name, devices_here, NetDevice};
pub(crate) use events::{engine_sockets, follow};
pub(crate) use identity::identify;
use identity::Identity;
pub(crate) use resolve::ResolveError;
pub(crate) use snapshot::Sources;

/// What a name is the name of; the first is preferred when one is to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// The initial namespace, called `host`.
    Host,
    /// A pod, as `namespace/name`.
    Pod,
    /// A container of Docker.
    Docker,
    /// A container of Podman.
    Podman,
    /// A container of containerd, also Kubernetes' and nerdctl's.
    Containerd,
    /// A container of CRI-O.
    Crio,
    /// A container of LXC or Incus.
    Lxc,
    /// A machine that systemd knows.
    Machine,
    /// A name that `ip netns` shows.
    Netns,
    /// A systemd unit with a namespace of its own.
    Unit,
}

impl Kind {
    /// The name, which is also the prefix of a qualified name, as in `docker:web`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Pod => "pod",
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Containerd => "containerd",
            Self::Crio => "crio",
            Self::Lxc => "lxc",
            Self::Machine => "machine",
            Self::Netns => "netns",
            Self::Unit => "unit",
        }
    }

    /// All kinds.
    const ALL: [Self; 10] = [
        Self::Host,
        Self::Pod,
        Self::Docker,
        Self::Podman,
        Self::Containerd,
        Self::Crio,
        Self::Lxc,
        Self::Machine,
        Self::Netns,
        Self::Unit,
    ];

    /// Whether `container:NAME` may mean it.
    const fn is_container(self) -> bool {
        matches!(
            self,
            Self::Docker | Self::Podman | Self::Containerd | Self::Crio | Self::Lxc
        )
    }
}

/// One name of a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Name {
    /// What it names.
    pub(crate) kind: Kind,
    /// The name; a container that has none goes by the start of its id.
    pub(crate) name: String,
    /// The whole id of a container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    /// A process of a container that lives, the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pid: Option<u32>,
    /// It is in the namespace of somebody else: of the host, or of another container.
    #[serde(default)]
    pub(crate) shared: bool,
    /// What it named is no more.
    #[serde(default)]
    pub(crate) gone: bool,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    /// Its number.
    pub(crate) pid: u32,
    /// Its name, which the kernel cuts to 15 bytes.
    pub(crate) comm: String,
}

/// A network namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Namespace {
    /// The cookie; none where we were not allowed to learn it.
    pub(crate) cookie: Option<u64>,
    /// The inode number.
    pub(crate) inode: u32,
    /// Its names, the best one first.
    pub(crate) names: Vec<Name>,
    /// The processes in it that we could see.
    pub(crate) processes: Vec<Process>,
    /// Where it is mounted.
    pub(crate) mounts: Vec<PathBuf>,
    /// It is no more.
    pub(crate) gone: bool,
}

impl Namespace {
    /// A file to open it by, where there is one.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        if self.gone {
            return None;
        }
        match (self.processes.first(), self.mounts.first()) {
            (_, Some(mount)) => Some(mount.clone()),
            (Some(process), None) => Some(format!("/proc/{}/ns/net", process.pid).into()),
            (None, None) => None,
        }
    }

    /// Whether it is the initial namespace.
    pub(crate) fn is_host(&self) -> bool {
        self.names
            .first()
            .is_some_and(|name| name.kind == Kind::Host)
    }

    /// What kind of thing it is the namespace of.
    pub(crate) fn kind(&self) -> Option<Kind> {
        self.names.first().map(|name| name.kind)
    }

    /// How to mean it and no other, whatever else has its name.
    pub(crate) fn unique(&self) -> String {
        match self.cookie {
            Some(cookie) => format!("cookie:{cookie}"),
            None => format!("inode:{}", self.inode),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gone = if self.gone { " (gone)" } else { "" };
        match self.kind {
            Kind::Host => write!(f, "{}{gone}", self.name),
            kind => write!(f, "{}:{}{gone}", kind.name(), self.name),
        }
    }
}

/// All namespaces at one moment, and those that are remembered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Names {
    /// The boot that the cookies belong to.
    pub(crate) boot: String,
    /// The living ones, the host's first, then those that are gone.
    pub(crate) namespaces: Vec<Namespace>,
    /// Containers that do not run, and have no namespace.
    pub(crate) stopped: Vec<Name>,
    /// What could not be seen, each a sentence.
    pub(crate) unseen: Vec<String>,
}

impl Names {
    /// Looks at this machine.
    pub(crate) fn snapshot() -> Self {
        snapshot::take(&Sources::system())
    }

    /// The namespace of a cookie, or of an inode number where there is no cookie.
    ///
    /// With both, both must fit: a recording may be of another boot. Of two that
    /// had the same inode number, the living one is it.
    pub(crate) fn lookup(&self, cookie: Option<u64>, inode: Option<u32>) -> Option<&Namespace> {
        let fits = |namespace: &&Namespace| {
            inode.is_none_or(|inode| namespace.inode == inode)
                && match cookie {
                    // Who has the inode number now may be another.
                    Some(_) => namespace.cookie == cookie,
                    None => inode.is_some(),
                }
        };
        self.namespaces.iter().find(fits)
    }

    /// How to show a namespace: its best name, with its kind where another has the same.
    pub(crate) fn display(&self, namespace: &Namespace) -> Option<String> {
        let name = namespace.names.first()?;
        let same = |other: &&Namespace| {
            other.gone == namespace.gone
                && (other.cookie, other.inode) != (namespace.cookie, namespace.inode)
                && other
                    .names
                    .first()
                    .is_some_and(|best| best.name == name.name)
        };
        let mut shown = match self.namespaces.iter().find(same) {
            None => name.name.clone(),
            Some(other) if other.names[0].kind != name.kind => {
                format!("{}:{}", name.kind.name(), name.name)
            }
            Some(_) => format!("{}:{}[{}]", name.kind.name(), name.name, namespace.unique()),
        };
        if namespace.gone || name.gone {
            shown.push_str(" (gone)");
        }
        Some(shown)
    }
}

impl nftrace_journeys::Names for Names {
    fn name(&self, namespace: &NamespaceId) -> Option<String> {
        let inode = namespace.inode()?;
        self.display(self.lookup(namespace.cookie(), Some(inode))?)
    }
}
