// SPDX-License-Identifier: GPL-2.0

//! What sits on the hooks of a network namespace, in the order in which packets meet it.
//!
//! The kernel tells it itself (nfnetlink's hook dump), for what nftables, iptables,
//! eBPF and other modules have registered.

mod culprits;
mod netlink;

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;

use nftrace_core::hook::{Family, Hook};
use serde::Serialize;

use crate::names::{devices_here, enter};

pub(crate) use culprits::Culprits;

/// Why the hooks are not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No part of the kernel answers.
    #[error("this kernel does not tell what is on the hooks (CONFIG_NETFILTER_NETLINK_HOOK)")]
    Unsupported,
    /// We may not ask.
    #[error("to see what is on the hooks takes CAP_NET_ADMIN there: run as root")]
    Permission,
    /// We may not go there.
    #[error("cannot enter the namespace: {0}{hint}", hint = hint(.0))]
    Enter(io::Error),
    /// The kernel refused.
    #[error("cannot read what is on the hooks: {0}")]
    Io(io::Error),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "; run as root",
        _ => "",
    }
}

/// Where packets meet it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Place {
    /// A hook that nftrace sees.
    Hook {
        #[serde(serialize_with = "family_name")]
        family: Family,
        #[serde(serialize_with = "hook_name")]
        hook: Hook,
    },
    /// A device's own: before all others when packets come (`ingress`), behind
    /// all others when they go (`egress`).
    Device { device: String, hook: Side },
}

/// A side of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Side {
    Ingress,
    Egress,
}

fn family_name<S: serde::Serializer>(family: &Family, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(family.name())
}

fn hook_name<S: serde::Serializer>(hook: &Hook, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(hook.name())
}

/// What is registered there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Owner {
    /// A base chain of nftables (also iptables-nft's).
    Chain {
        family: &'static str,
        table: String,
        name: String,
    },
    /// A flow table: it forwards packets of known flows past all other hooks.
    Flowtable {
        family: &'static str,
        table: String,
        name: String,
    },
    /// An eBPF program, by its id.
    Bpf(u32),
    /// A function of the kernel or of a module.
    Function,
}

/// One thing on one hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Entry {
    #[serde(flatten)]
    pub(crate) place: Place,
    /// The lowest comes first; of equals, the one that was registered last.
    pub(crate) priority: i32,
    pub(crate) function: String,
    /// None: it is part of the kernel itself.
    pub(crate) module: Option<String>,
    pub(crate) owner: Owner,
}

impl Entry {
    /// Whether it is our own.
    pub(crate) fn is_nftrace(&self) -> bool {
        self.module.as_deref() == Some("nftrace")
    }

    /// Whether rules that somebody wrote decide there, or a program.
    pub(crate) fn decides(&self) -> bool {
        !self.is_nftrace()
            && (!matches!(self.owner, Owner::Function)
                // iptables-legacy, one function for each table.
                || self.module.as_deref().is_some_and(is_tables)
                || ["ipt_do_table", "ip6t_do_table", "ebt_"]
                    .iter()
                    .any(|start| self.function.starts_with(start)))
    }

    /// Whether it is what the kernel names as the place of a drop, as in
    /// `nft_do_chain_ipv4+0x9c [nf_tables]`.
    fn is_at(&self, location: &str) -> bool {
        let (function, module) = match location.split_once(" [") {
            Some((function, module)) => (function, Some(module.trim_end_matches(']'))),
            None => (location, None),
        };
        let function = function.split('+').next().unwrap_or(function);
        function == self.function || module.is_some() && module == self.module.as_deref()
    }
}

/// The modules of iptables-legacy and ebtables.
fn is_tables(module: &str) -> bool {
    [
        "iptable_",
        "ip6table_",
        "ebtable_",
        "ip_tables",
        "ip6_tables",
    ]
    .iter()
    .any(|start| module.starts_with(start))
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hook { family, hook } => write!(f, "{} {}", family.name(), hook.name()),
            Self::Device { device, hook } => write!(f, "{device} {hook}"),
        }
    }
}

/// As its owner would call it: `chain ip filter FORWARD`, `nf_conntrack_in [nf_conntrack]`.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.owner {
            Owner::Chain {
                family,
                table,
                name,
            } => write!(f, "chain {family} {table} {name}"),
            Owner::Flowtable {
                family,
                table,
                name,
            } => {
                write!(f, "flowtable {family} {table} {name}")
            }
            Owner::Bpf(id) => write!(f, "eBPF program {id}"),
            Owner::Function => match &self.module {
                Some(module) => write!(f, "{} [{module}]", self.function),
                None => write!(f, "{}", self.function),
            },
        }
    }
}

/// All that is on the hooks of the namespace that `path` leads to.
///
/// # Errors
///
/// See [`Error`].
pub(crate) fn dump(path: &Path) -> Result<Vec<Entry>, Error> {
    let file = File::open(path).map_err(Error::Enter)?;
    enter::inside(file, dump_here).map_err(Error::Enter)?
}

/// All that is on the hooks of the caller's namespace.
pub(crate) fn dump_here() -> Result<Vec<Entry>, Error> {
    let mut dumper = netlink::HookDumper::new()?;
    let mut entries = Vec::new();
    for family in Family::ALL {
        for hook in Hook::ALL {
            entries.extend(dumper.dump(&Place::Hook { family, hook })?);
        }
    }
    for device in devices_here()? {
        for hook in [Side::Ingress, Side::Egress] {
            let device = device.name.clone();
            entries.extend(dumper.dump(&Place::Device { device, hook })?);
        }
    }
    Ok(entries)
}

/// What is on one hook, in order.
pub(crate) fn at(
    entries: &[Entry],
    family: Family,
    hook: Hook,
) -> impl Iterator<Item = &Entry> + '_ {
    entries
        .iter()
        .filter(move |entry| entry.place == Place::Hook { family, hook })
}

/// Who may have dropped a packet at a hook: what decides there, and of that only
/// what is at the kernel's `location`, where the kernel says one that fits.
pub(crate) fn suspects<'a>(
    entries: &'a [Entry],
    family: Family,
    hook: Hook,
    location: Option<&str>,
) -> Vec<&'a Entry> {
    let deciding: Vec<&Entry> = at(entries, family, hook).filter(|e| e.decides()).collect();
    let located: Vec<&Entry> = deciding
        .iter()
        .copied()
        .filter(|entry| location.is_some_and(|location| entry.is_at(location)))
        .collect();
    if located.is_empty() {
        deciding
    } else {
        located
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(function: &str, module: Option<&str>, owner: Owner) -> Entry {
        Entry {
            place: Place::Hook {
                family: Family::Ipv4,
                hook: Hook::Forward,
            },
            priority: 0,
            function: function.to_owned(),
            module: module.map(str::to_owned),
            owner,
        }
    }

    fn chain(table: &str) -> Entry {
        let owner = Owner::Chain {
            family: "ip",
            table: table.to_owned(),
            name: "FORWARD".to_owned(),
        };
        entry("nft_do_chain_ipv4", Some("nf_tables"), owner)
    }

    fn all() -> Vec<Entry> {
        vec![
            entry("nftrace_hook", Some("nftrace"), Owner::Function),
            entry("nf_conntrack_in", Some("nf_conntrack"), Owner::Function),
            chain("filter"),
            entry(
                "iptable_filter_hook",
                Some("iptable_filter"),
                Owner::Function,
            ),
        ]
    }

    fn named(location: Option<&str>) -> Vec<String> {
        let all = all();
        let found = suspects(&all, Family::Ipv4, Hook::Forward, location);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn those_who_may_have_dropped_are_those_with_rules() {
        assert_eq!(
            named(None),
            [
                "chain ip filter FORWARD",
                "iptable_filter_hook [iptable_filter]"
            ]
        );
    }

    #[test]
    fn the_kernels_location_tells_which_of_them() {
        let nft = "nft_do_chain_ipv4+0x9c [nf_tables]";
        assert_eq!(named(Some(nft)), ["chain ip filter FORWARD"]);
        // Where all drops of hooks are made: that tells nothing.
        assert_eq!(named(Some("nf_hook_slow+0xb2")).len(), 2);
    }

    #[test]
    fn another_hooks_owners_are_not_suspected() {
        assert!(suspects(&all(), Family::Ipv6, Hook::Forward, None).is_empty());
        assert!(suspects(&all(), Family::Ipv4, Hook::LocalIn, None).is_empty());
    }
}
