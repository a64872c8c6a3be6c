// SPDX-License-Identifier: GPL-2.0

//! What the settings of a namespace do to its packets.

use nftrace_core::hook::{Family, Hook};

use super::finding::{Finding, Severity};
use super::settings::Settings;
use crate::hooks::{at, Entry};

/// `NF_IP_PRI_NAT_DST`.
const DNAT: i32 = -100;

/// What the settings of one namespace give reason to say.
pub(super) fn findings(settings: &Settings, entries: &[Entry]) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(forwarding(settings));
    findings.extend(reverse_path(settings));
    findings.extend(loopback(settings, entries));
    findings.extend(bridges(settings));
    findings.extend(conntrack(settings));
    findings
}

/// A namespace with one device forwards nothing, and needs not.
fn is_router(settings: &Settings) -> bool {
    settings.devices.len() > 1
}

fn forwarding(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    // Bridges are what containers hang on: without one, it may be meant so.
    let severity = if settings.bridges.is_empty() {
        Severity::Note
    } else {
        Severity::Warning
    };
    if settings.ip_forward == Some(0) && is_router(settings) {
        findings.push(
            Finding::new(
                severity,
                "ip_forward",
                "IPv4 forwarding is off (net.ipv4.ip_forward=0)",
            )
            .meaning("packets from one device to another die between PRE_ROUTING and FORWARD")
            .remedy("sysctl -w net.ipv4.ip_forward=1"),
        );
    }
    if settings.ipv6_forwarding == Some(0) && !settings.bridges.is_empty() && is_router(settings) {
        findings.push(
            Finding::new(
                Severity::Note,
                "ipv6_forwarding",
                "IPv6 forwarding is off (net.ipv6.conf.all.forwarding=0)",
            )
            .meaning("IPv6 packets from one device to another die between PRE_ROUTING and FORWARD")
            .remedy("sysctl -w net.ipv6.conf.all.forwarding=1"),
        );
    }
    findings
}

fn reverse_path(settings: &Settings) -> Option<Finding> {
    let strict: Vec<&str> = settings
        .devices
        .iter()
        .map(String::as_str)
        .filter(|device| settings.rp_filter(device) == 1)
        .collect();
    if strict.is_empty() || !is_router(settings) {
        return None;
    }
    Some(
        Finding::new(
            Severity::Warning,
            "rp_filter",
            format!(
                "the reverse path filter is strict (rp_filter=1) on {}",
                strict.join(", ")
            ),
        )
        .meaning(
            "a packet whose sender would be answered through another device dies behind \
             PRE_ROUTING, as packets that come by a second way do, or with a foreign source",
        )
        .remedy(
            "if journeys end there: sysctl -w net.ipv4.conf.DEVICE.rp_filter=2, and of 'all' too",
        ),
    )
}

/// DNAT in OUTPUT makes packets from 127.0.0.1 leave through a device, which needs the setting.
fn loopback(settings: &Settings, entries: &[Entry]) -> Option<Finding> {
    let on: Vec<&str> = settings
        .devices
        .iter()
        .map(String::as_str)
        .filter(|device| settings.is_on("route_localnet", device))
        .collect();
    if !on.is_empty() {
        return Some(
            Finding::new(
                Severity::Note,
                "route_localnet",
                format!(
                    "127.0.0.0/8 is routed (route_localnet=1) on {}",
                    on.join(", ")
                ),
            )
            .meaning(
                "neighbours on these devices can reach what listens on 127.0.0.1 here, \
                 unless a rule forbids it",
            ),
        );
    }
    let nat = at(entries, Family::Ipv4, Hook::LocalOut).any(|entry| entry.priority == DNAT);
    (nat && !settings.bridges.is_empty()).then(|| {
        Finding::new(
            Severity::Note,
            "route_localnet",
            "addresses are rewritten at LOCAL_OUT, but route_localnet is off",
        )
        .meaning("a connection to 127.0.0.1 that DNAT sends to a container dies behind LOCAL_OUT")
        .remedy("sysctl -w net.ipv4.conf.BRIDGE.route_localnet=1, with MASQUERADE of 127.0.0.0/8")
    })
}

fn bridges(settings: &Settings) -> Option<Finding> {
    if settings.bridges.is_empty() {
        return None;
    }
    let bridges = settings.bridges.join(", ");
    let on: Vec<&str> = settings
        .bridge
        .iter()
        .filter(|&(_, &value)| value != 0)
        .map(|(name, _)| name.as_str())
        .collect();
    if !on.is_empty() {
        let found = format!("br_netfilter: {}=1, with {bridges}", on.join("=1, "));
        return Some(Finding::new(Severity::Note, "br_netfilter", found).meaning(
            "what a bridge switches between two of its ports passes the IP hooks here too: \
             rules of FORWARD apply to it, and NAT may",
        ));
    }
    let found = if settings.bridge.is_empty() {
        format!("br_netfilter is not loaded, with {bridges}")
    } else {
        format!("br_netfilter: bridge-nf-call-iptables=0, with {bridges}")
    };
    Some(
        Finding::new(Severity::Note, "br_netfilter", found)
            .meaning(
                "what a bridge switches between two of its ports passes no IP hook here, \
                 and no rule of FORWARD stops it",
            )
            .remedy("to see it all the same, load nftrace with bridge=1"),
    )
}

fn conntrack(settings: &Settings) -> Option<Finding> {
    let (count, max) = (settings.conntrack_count?, settings.conntrack_max?);
    (max > 0 && u64::from(count) * 10 >= u64::from(max) * 9).then(|| {
        Finding::new(
            Severity::Warning,
            "conntrack",
            format!("the connection table is nearly full: {count} of {max}"),
        )
        .meaning(
            "when it is full, packets of new connections are dropped at PRE_ROUTING and LOCAL_OUT",
        )
        .remedy("raise net.netfilter.nf_conntrack_max")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(devices: &[&str], bridges: &[&str]) -> Settings {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Settings {
            devices: owned(devices),
            bridges: owned(bridges),
            ip_forward: Some(1),
            ipv6_forwarding: Some(1),
            ..Settings::default()
        }
    }

    fn subjects(settings: &Settings) -> Vec<(Severity, &'static str)> {
        findings(settings, &[])
            .iter()
            .map(|f| (f.severity, f.subject))
            .collect()
    }

    fn set(settings: &mut Settings, name: &str, device: &str, value: u32) {
        let values = settings.ipv4.entry(name.to_owned()).or_default();
        values.insert(device.to_owned(), value);
    }

    #[test]
    fn a_container_with_one_device_need_not_forward_nor_filter() {
        let mut container = settings(&["eth0"], &[]);
        container.ip_forward = Some(0);
        container.ipv6_forwarding = Some(0);
        set(&mut container, "rp_filter", "all", 1);
        assert_eq!(subjects(&container), []);
    }

    #[test]
    fn a_host_of_containers_that_does_not_forward_is_warned() {
        let mut host = settings(&["eth0", "br0"], &["br0"]);
        host.ip_forward = Some(0);
        assert!(subjects(&host).contains(&(Severity::Warning, "ip_forward")));
    }

    #[test]
    fn the_strict_reverse_path_filter_names_its_devices() {
        let mut host = settings(&["eth0", "eth1"], &[]);
        set(&mut host, "rp_filter", "eth1", 1);
        let findings = findings(&host, &[]);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].found.ends_with(" on eth1"), "{findings:?}");
    }

    #[test]
    fn whether_bridged_packets_meet_the_ip_hooks_is_said_either_way() {
        let mut host = settings(&["eth0", "br0"], &["br0"]);
        let said = |host: &Settings| findings(host, &[])[0].found.clone();
        assert_eq!(said(&host), "br_netfilter is not loaded, with br0");
        host.bridge.insert("bridge-nf-call-iptables".to_owned(), 1);
        assert_eq!(
            said(&host),
            "br_netfilter: bridge-nf-call-iptables=1, with br0"
        );
    }

    #[test]
    fn a_full_connection_table_is_a_warning_and_a_half_full_one_is_not() {
        let mut host = settings(&["eth0"], &[]);
        host.conntrack_max = Some(1000);
        host.conntrack_count = Some(500);
        assert_eq!(subjects(&host), []);
        host.conntrack_count = Some(900);
        assert_eq!(subjects(&host), [(Severity::Warning, "conntrack")]);
    }
}
