// SPDX-License-Identifier: GPL-2.0

//! Who dropped a packet: the rules on the hook where it died.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use nftrace_core::hook::{Family, Hook};
use nftrace_device::{Device, DEFAULT_PATH};
use nftrace_journeys::{DropBy, Journey, NamespaceId};
use nftrace_policy::rule_text_of;

use super::{dump, suspects, Entry};
use crate::names::Names;
use crate::policy::kept::kept;

/// What is on the hooks of namespaces that live, each asked for once.
///
/// It is what is there now: of a packet that died long ago, it tells who sits
/// there today.
#[derive(Debug, Default)]
pub(crate) struct Culprits {
    known: RefCell<BTreeMap<u32, Vec<Entry>>>,
    /// The rules of generations of our own policy, which the module keeps for a while.
    rules: RefCell<BTreeMap<u32, Vec<String>>>,
}

impl Culprits {
    /// Names who may have dropped the packet of a journey, where netfilter did.
    pub(crate) fn accuse(&self, journey: &mut Journey, names: &Names) {
        let Some(drop) = &mut journey.drop else {
            return;
        };
        let by_netfilter = match drop.by {
            DropBy::Kernel => drop
                .reason
                .as_deref()
                .is_some_and(|r| r.contains("NETFILTER")),
            DropBy::NoExit => true,
            DropBy::Verdict => false,
        };
        if drop.by == DropBy::Verdict && drop.rule != 0 {
            drop.rule_text = self.rule(drop.generation, drop.rule);
        }
        if let (true, Some(family), Some(hook)) = (by_netfilter, drop.family, drop.hook) {
            let place = (family, hook);
            drop.suspects = self.who(names, &drop.namespace, place, drop.location.as_deref());
        }
    }

    /// A rule of a generation as it was written; none where the module is gone, or
    /// does not keep that generation any more.
    fn rule(&self, generation: u32, rule: u32) -> Option<String> {
        let mut known = self.rules.borrow_mut();
        let rules = known
            .entry(generation)
            .or_insert_with(|| rules_of(generation).unwrap_or_default());
        rules
            .get(usize::try_from(rule).ok()?.checked_sub(1)?)
            .cloned()
    }

    /// Who may have dropped a packet at a hook, as in `chain ip filter FORWARD`, the
    /// first to meet it in front; none where nobody there decides, or nobody can tell.
    fn who(
        &self,
        names: &Names,
        namespace: &NamespaceId,
        (family, hook): (Family, Hook),
        location: Option<&str>,
    ) -> Vec<String> {
        let found = names.lookup(namespace.cookie(), namespace.inode());
        let Some(living) = found.filter(|found| !found.gone) else {
            return Vec::new();
        };
        let mut known = self.known.borrow_mut();
        let entries = known.entry(living.inode).or_insert_with(|| {
            let path = living.path();
            path.and_then(|path| dump(&path).ok()).unwrap_or_default()
        });
        let suspects = suspects(entries, family, hook, location);
        suspects.iter().map(ToString::to_string).collect()
    }
}

/// All rules of a generation.
fn rules_of(generation: u32) -> Option<Vec<String>> {
    let device = Device::open(Path::new(DEFAULT_PATH)).ok()?;
    let (_, blob) = kept(&device, Some(generation)).ok()??;
    let tables = blob.tables().ok()?;
    let rules = tables.rules.iter();
    Some(rules.map(|rule| rule_text_of(&tables, rule)).collect())
}

#[cfg(test)]
mod tests {
    use super::super::{Owner, Place};
    use super::*;
    use crate::names::Namespace;

    fn names(gone: bool) -> Names {
        Names {
            boot: String::new(),
            namespaces: vec![Namespace {
                cookie: Some(20),
                inode: 5,
                names: Vec::new(),
                processes: Vec::new(),
                mounts: Vec::new(),
                gone,
            }],
            stopped: Vec::new(),
            unseen: Vec::new(),
        }
    }

    fn culprits() -> Culprits {
        let culprits = Culprits::default();
        let chain = Entry {
            place: Place::Hook {
                family: Family::Ipv4,
                hook: Hook::Forward,
            },
            priority: 0,
            function: "nft_do_chain_ipv4".to_owned(),
            module: Some("nf_tables".to_owned()),
            owner: Owner::Chain {
                family: "ip",
                table: "filter".to_owned(),
                name: "FORWARD".to_owned(),
            },
        };
        culprits.known.borrow_mut().insert(5, vec![chain]);
        culprits
    }

    const ID: NamespaceId = NamespaceId::Cookie {
        cookie: 20,
        inode: 5,
    };

    #[test]
    fn the_chain_on_the_hook_where_a_packet_died_is_named() {
        let who = |hook| culprits().who(&names(false), &ID, (Family::Ipv4, hook), None);
        assert_eq!(who(Hook::Forward), ["chain ip filter FORWARD"]);
        assert_eq!(who(Hook::LocalIn), [""; 0]);
    }

    #[test]
    fn nobody_is_blamed_for_what_happened_in_a_namespace_that_is_gone() {
        let hook = (Family::Ipv4, Hook::Forward);
        assert_eq!(culprits().who(&names(true), &ID, hook, None), [""; 0]);
    }
}
