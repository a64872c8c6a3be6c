// SPDX-License-Identifier: GPL-2.0

//! Who else is on the hooks, and what that does to what nftrace sees.

use std::collections::BTreeSet;

use nftrace_core::hook::{Family, Hook};

use super::finding::{Finding, Severity};
use crate::hooks::{at, Entry, Owner, Place};

/// What the hooks of one namespace give reason to say. `loaded`: the module is there.
pub(super) fn findings(entries: &[Entry], loaded: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    if loaded && !entries.iter().any(Entry::is_nftrace) {
        findings.push(
            Finding::new(Severity::Problem, "hooks", "nftrace is not on the hooks")
                .meaning("nothing of this namespace is traced")
                .remedy("load the module again, and see what the kernel's log says: dmesg | grep nftrace"),
        );
    }
    for family in Family::ALL {
        for hook in Hook::ALL {
            findings.extend(before_us(entries, family, hook));
        }
    }
    findings.extend(flowtables(entries));
    findings.extend(two_firewalls(entries));
    findings.extend(at_devices(entries));
    findings
}

fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(", ")
}

/// Of equal priorities the last one to register is the first to see a packet.
fn before_us(entries: &[Entry], family: Family, hook: Hook) -> Vec<Finding> {
    let place = Place::Hook { family, hook };
    let all: Vec<&Entry> = at(entries, family, hook).collect();
    let Some(ours) = all.iter().position(|entry| entry.is_nftrace()) else {
        return Vec::new();
    };
    all[..ours]
        .iter()
        .map(|entry| {
            let found = format!("{entry} comes before nftrace at {place}");
            if entry.function == "ip_sabotage_in" {
                Finding::new(Severity::Note, "order", found).meaning(
                    "br_netfilter takes a bridged packet for this machine out of its second \
                     pass here; nftrace sees the first one",
                )
            } else {
                Finding::new(Severity::Warning, "order", found)
                    .meaning("nftrace does not see what it drops, and sees what it changes changed")
                    .remedy("load nftrace after it: rmmod nftrace, then insmod nftrace.ko")
            }
        })
        .collect()
}

fn flowtables(entries: &[Entry]) -> Option<Finding> {
    let is_flowtable = |entry: &&Entry| {
        matches!(entry.owner, Owner::Flowtable { .. })
            || entry.function.starts_with("nf_flow_offload")
    };
    let found: Vec<&Entry> = entries.iter().filter(is_flowtable).collect();
    if found.is_empty() {
        return None;
    }
    // One for each device; what counts is whose they are, and where.
    let owners: BTreeSet<String> = found.iter().map(ToString::to_string).collect();
    let places: BTreeSet<String> = found.iter().map(|entry| entry.place.to_string()).collect();
    Some(
        Finding::new(
            Severity::Warning,
            "flowtable",
            format!("{} at {}", list(owners), list(places)),
        )
        .meaning(
            "packets of connections that it has taken over skip every other hook, nftrace's too: \
             of each, only the first packets are seen",
        )
        .remedy("take the 'flow add' rule out (nft list ruleset) while you trace"),
    )
}

/// iptables-legacy and nftables know nothing of each other.
fn two_firewalls(entries: &[Entry]) -> Option<Finding> {
    let legacy: BTreeSet<&str> = entries
        .iter()
        .filter(|entry| entry.decides() && entry.owner == Owner::Function)
        .map(|entry| entry.module.as_deref().unwrap_or(&entry.function))
        .collect();
    let is_ip = |entry: &&Entry| {
        matches!(
            entry.owner,
            Owner::Chain {
                family: "ip" | "ip6" | "inet",
                ..
            }
        )
    };
    let tables: BTreeSet<String> = entries
        .iter()
        .filter(is_ip)
        .filter_map(|entry| match &entry.owner {
            Owner::Chain { family, table, .. } => Some(format!("{family} {table}")),
            _ => None,
        })
        .collect();
    if legacy.is_empty() || tables.is_empty() {
        return None;
    }
    Some(
        Finding::new(
            Severity::Warning,
            "two-firewalls",
            format!(
                "iptables-legacy ({}) and nftables ({}) both filter here",
                list(legacy),
                list(tables)
            ),
        )
        .meaning("a packet needs the consent of both, and neither's tool shows the other's rules")
        .remedy(
            "use one: iptables-legacy-save shows what the one holds, nft list ruleset the other's",
        ),
    )
}

/// What decides at a device's own hooks, in front of ours or behind them.
fn at_devices(entries: &[Entry]) -> Option<Finding> {
    let decides = |entry: &&Entry| {
        matches!(entry.place, Place::Device { .. })
            && matches!(entry.owner, Owner::Chain { .. } | Owner::Bpf(_))
    };
    let found: BTreeSet<String> = entries
        .iter()
        .filter(decides)
        .map(|entry| format!("{entry} at {}", entry.place))
        .collect();
    (!found.is_empty()).then(|| {
        Finding::new(Severity::Note, "device-hooks", list(found)).meaning(
            "what it drops when packets come is never seen by nftrace; \
             what it drops when they go, behind the last record",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hooks::Side;

    fn entry(hook: Hook, function: &str, module: &str, owner: Owner) -> Entry {
        Entry {
            place: Place::Hook {
                family: Family::Ipv4,
                hook,
            },
            priority: i32::MIN,
            function: function.to_owned(),
            module: Some(module.to_owned()),
            owner,
        }
    }

    fn ours(hook: Hook) -> Entry {
        entry(hook, "nftrace_hook", "nftrace", Owner::Function)
    }

    fn chain(hook: Hook) -> Entry {
        let owner = Owner::Chain {
            family: "ip",
            table: "filter".to_owned(),
            name: "FORWARD".to_owned(),
        };
        entry(hook, "nft_do_chain_ipv4", "nf_tables", owner)
    }

    fn found(entries: &[Entry]) -> Vec<(Severity, &'static str)> {
        findings(entries, true)
            .iter()
            .map(|f| (f.severity, f.subject))
            .collect()
    }

    #[test]
    fn who_comes_before_nftrace_is_named_and_who_comes_behind_is_not() {
        let other = entry(Hook::Forward, "spy", "spy", Owner::Function);
        let entries = [other.clone(), ours(Hook::Forward), chain(Hook::Forward)];
        let findings = findings(&entries, true);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].severity, Severity::Warning);
        assert_eq!(
            findings[0].found,
            "spy [spy] comes before nftrace at ipv4 FORWARD"
        );
        assert_eq!(found(&[ours(Hook::Forward), other]), []);
    }

    #[test]
    fn br_netfilters_own_hook_is_worth_a_note_only() {
        let sabotage = entry(
            Hook::PreRouting,
            "ip_sabotage_in",
            "br_netfilter",
            Owner::Function,
        );
        assert_eq!(
            found(&[sabotage, ours(Hook::PreRouting)]),
            [(Severity::Note, "order")]
        );
    }

    #[test]
    fn a_namespace_without_our_hooks_is_a_problem_once_the_module_is_loaded() {
        assert_eq!(
            found(&[chain(Hook::Forward)]),
            [(Severity::Problem, "hooks")]
        );
        assert_eq!(findings(&[chain(Hook::Forward)], false), []);
    }

    #[test]
    fn a_flow_table_is_a_warning_that_names_its_devices_once() {
        let at = |device: &str| Entry {
            place: Place::Device {
                device: device.to_owned(),
                hook: Side::Ingress,
            },
            owner: Owner::Flowtable {
                family: "inet",
                table: "t".to_owned(),
                name: "ft".to_owned(),
            },
            ..chain(Hook::PreRouting)
        };
        let entries = [at("eth0"), at("br0"), ours(Hook::PreRouting)];
        let findings = findings(&entries, true);
        assert_eq!(findings.len(), 1);
        assert_eq!(
            findings[0].found,
            "flowtable inet t ft at br0 ingress, eth0 ingress"
        );
    }

    #[test]
    fn two_firewalls_in_one_namespace_are_a_warning() {
        let legacy = entry(
            Hook::Forward,
            "iptable_filter_hook",
            "iptable_filter",
            Owner::Function,
        );
        let entries = [ours(Hook::Forward), legacy.clone(), chain(Hook::Forward)];
        assert_eq!(found(&entries), [(Severity::Warning, "two-firewalls")]);
        assert_eq!(found(&[ours(Hook::Forward), legacy]), []);
    }
}
