// SPDX-License-Identifier: GPL-2.0

//! What names in a policy mean on this machine, now.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::IpAddr;
use std::path::Path;

use nftrace_device::{Device, DEFAULT_PATH};
use nftrace_policy::ast::NamespaceSpec;
use nftrace_policy::{resolve, Document, Program, Report, Resolver, Severity};

pub(super) use crate::names::addresses_here;
use crate::names::{Names, Namespace, ResolveError};

mod cgroups;

/// Why a name means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unresolved {
    /// What it names is not there, or not now.
    Absent(String),
    /// It cannot be found out, or may mean several things.
    Failed(String),
}

impl From<Unresolved> for String {
    fn from(why: Unresolved) -> Self {
        match why {
            Unresolved::Absent(said) | Unresolved::Failed(said) => said,
        }
    }
}

type Means<T> = Result<T, Unresolved>;

/// The running machine, looked at when the first name is asked for.
#[derive(Debug)]
pub(crate) struct Live {
    names: OnceCell<Names>,
    /// Entered once each.
    addresses: RefCell<HashMap<u32, Vec<IpAddr>>>,
}

impl Live {
    /// As it is now.
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            names: OnceCell::new(),
            addresses: RefCell::default(),
        })
    }

    fn names(&self) -> &Names {
        self.names.get_or_init(Names::snapshot)
    }

    fn find(&self, spec: &NamespaceSpec) -> Means<Namespace> {
        let wanted = match spec {
            NamespaceSpec::Container(name) => format!("container:{name}"),
            NamespaceSpec::Netns(name) => format!("netns:{name}"),
            NamespaceSpec::Pid(pid) => format!("pid:{pid}"),
            NamespaceSpec::Cookie(cookie) => format!("cookie:{cookie}"),
            NamespaceSpec::Inode(inode) => format!("inode:{inode}"),
            NamespaceSpec::Path(path) if path.starts_with('/') => path.clone(),
            NamespaceSpec::Path(path) => format!("./{path}"),
            NamespaceSpec::Host | NamespaceSpec::All => {
                return Err(Unresolved::Failed(format!("{spec} has no name to look up")))
            }
        };
        let found = self.names().resolve(&wanted).map_err(|error| match error {
            ResolveError::Unknown { .. } | ResolveError::Stopped(_) => {
                Unresolved::Absent(error.to_string())
            }
            ResolveError::Path(_) if is_absent(spec) => Unresolved::Absent(error.to_string()),
            ResolveError::Ambiguous { .. } | ResolveError::Path(_) => {
                Unresolved::Failed(error.to_string())
            }
        })?;
        if found.gone {
            let gone = format!("{spec} was there, but its namespace is gone: start it first");
            return Err(Unresolved::Absent(gone));
        }
        if found.is_host() && matches!(spec, NamespaceSpec::Container(_)) {
            return Err(Unresolved::Failed(format!(
                "{spec} lives in the network of the host, with everything else that does: say 'host' \
                 if you mean all of it, or 'cgroup' to mean the container's processes"
            )));
        }
        Ok(found)
    }

    pub(super) fn addresses_of(&self, of: &NamespaceSpec) -> Means<Vec<IpAddr>> {
        let namespace = self.find(of)?;
        if let Some(known) = self.addresses.borrow().get(&namespace.inode) {
            return Ok(known.clone());
        }
        let addresses = namespace.addresses().map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => Unresolved::Failed(format!(
                "the addresses of {of} cannot be seen: {error} (run as root)"
            )),
            io::ErrorKind::NotFound => {
                Unresolved::Absent(format!("{of} went away while it was looked at"))
            }
            _ => Unresolved::Failed(format!("the addresses of {of} cannot be seen: {error}")),
        })?;
        if addresses.is_empty() {
            return Err(Unresolved::Absent(format!(
                "{of} has no address that others could use; say 'in {of}' to mean what happens inside it"
            )));
        }
        let mut known = self.addresses.borrow_mut();
        known.insert(namespace.inode, addresses.clone());
        Ok(addresses)
    }

    pub(super) fn cookie_of(&self, spec: &NamespaceSpec) -> Means<u64> {
        self.find(spec)?.cookie.ok_or_else(|| {
            Unresolved::Failed(format!("the cookie of {spec} cannot be seen: run as root"))
        })
    }

    pub(super) fn cgroup_of(&self, path: &str) -> Means<(u64, u32)> {
        cgroups::find(path)
    }

    /// The namespaces that there are.
    pub(super) fn cookies(&self) -> BTreeSet<u64> {
        let living = self.names().namespaces.iter().filter(|one| !one.gone);
        living.filter_map(|namespace| namespace.cookie).collect()
    }

    pub(super) fn host_cookie(&self) -> Means<u64> {
        // The module knows, also where /proc is not the host's.
        if let Ok(device) = Device::open(Path::new(DEFAULT_PATH)) {
            return Ok(device.info().init_cookie);
        }
        let mut namespaces = self.names().namespaces.iter();
        let host = namespaces.find(|namespace| namespace.is_host());
        host.and_then(|host| host.cookie).ok_or_else(|| {
            let why = "the host's namespace cannot be seen from here: run as root of the host";
            Unresolved::Failed(why.to_owned())
        })
    }
}

/// Whether it is not there, where a path or process could not be opened.
fn is_absent(spec: &NamespaceSpec) -> bool {
    match spec {
        NamespaceSpec::Pid(pid) => !Path::new(&format!("/proc/{pid}")).exists(),
        NamespaceSpec::Path(path) => !Path::new(path).exists(),
        _ => false,
    }
}

impl Resolver for Live {
    fn addresses(&self, of: &NamespaceSpec) -> Result<Vec<IpAddr>, String> {
        Ok(self.addresses_of(of)?)
    }

    fn namespace(&self, spec: &NamespaceSpec) -> Result<u64, String> {
        Ok(self.cookie_of(spec)?)
    }

    fn cgroup(&self, path: &str) -> Result<(u64, u32), String> {
        Ok(self.cgroup_of(path)?)
    }

    fn host(&self) -> Result<u64, String> {
        Ok(self.host_cookie()?)
    }
}

/// No namespace has this cookie, and no cgroup this id: they count from 1.
pub(super) const NOBODY: u64 = 0;

/// Has what `inner` does not know mean nothing: no address, no namespace, no cgroup.
struct Nobody<'a>(&'a dyn Resolver);

impl Resolver for Nobody<'_> {
    fn addresses(&self, of: &NamespaceSpec) -> Result<Vec<IpAddr>, String> {
        Ok(self.0.addresses(of).unwrap_or_default())
    }

    fn namespace(&self, spec: &NamespaceSpec) -> Result<u64, String> {
        Ok(self.0.namespace(spec).unwrap_or(NOBODY))
    }

    fn cgroup(&self, path: &str) -> Result<(u64, u32), String> {
        Ok(self.0.cgroup(path).unwrap_or((NOBODY, u32::MAX)))
    }

    fn host(&self) -> Result<u64, String> {
        Ok(self.0.host().unwrap_or(NOBODY))
    }
}

/// Resolves the names that mean something, and warns of the others, which mean nothing:
/// what a rule has of them matches no packet.
///
/// # Errors
///
/// None that comes from a name.
pub(crate) fn as_far_as_known(
    document: &Document,
    resolver: &dyn Resolver,
) -> Result<(Program, Report), Report> {
    match resolve(document, resolver) {
        Ok(program) => Ok((program, Report::default())),
        Err(mut report) => {
            let program = resolve(document, &Nobody(resolver))?;
            for unknown in &mut report.diagnostics {
                unknown.severity = Severity::Warning;
            }
            Ok((program, report))
        }
    }
}
