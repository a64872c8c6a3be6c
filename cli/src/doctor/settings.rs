// SPDX-License-Identifier: GPL-2.0

//! Settings of a namespace that eat packets, or let them pass elsewhere.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::names::NetDevice;

/// Settings that have a value for each device.
const OF_DEVICES: [&str; 4] = ["rp_filter", "accept_local", "route_localnet", "forwarding"];
/// Settings of br_netfilter, which are there while it is loaded.
const BRIDGE: [&str; 3] = [
    "bridge-nf-call-iptables",
    "bridge-nf-call-ip6tables",
    "bridge-nf-call-arptables",
];

/// The settings of one namespace, as far as they are there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Settings {
    pub(super) ip_forward: Option<u32>,
    pub(super) ipv6_forwarding: Option<u32>,
    /// By setting, then by device, `all` and `default` among them.
    pub(super) ipv4: BTreeMap<String, BTreeMap<String, u32>>,
    /// Those of br_netfilter.
    pub(super) bridge: BTreeMap<String, u32>,
    pub(super) conntrack_count: Option<u32>,
    pub(super) conntrack_max: Option<u32>,
    /// Devices, the loopback device left out.
    pub(super) devices: Vec<String>,
    /// Those of them that are bridges.
    pub(super) bridges: Vec<String>,
}

impl Settings {
    /// Reads `/proc/sys/net`, which is that of the calling thread's namespace.
    pub(super) fn read(sys: &Path, devices: Vec<NetDevice>) -> Self {
        let conf = sys.join("ipv4/conf");
        let mut ipv4: BTreeMap<String, BTreeMap<String, u32>> = BTreeMap::new();
        let folders = fs::read_dir(&conf).into_iter().flatten().flatten();
        for folder in folders {
            let device = folder.file_name().to_string_lossy().into_owned();
            for setting in OF_DEVICES {
                if let Some(value) = number(&folder.path().join(setting)) {
                    ipv4.entry(setting.to_owned())
                        .or_default()
                        .insert(device.clone(), value);
                }
            }
        }
        let bridge = |name: &str| Some((name.to_owned(), number(&sys.join("bridge").join(name))?));
        Self {
            ip_forward: number(&sys.join("ipv4/ip_forward")),
            ipv6_forwarding: number(&sys.join("ipv6/conf/all/forwarding")),
            ipv4,
            bridge: BRIDGE.into_iter().filter_map(bridge).collect(),
            conntrack_count: number(&sys.join("netfilter/nf_conntrack_count")),
            conntrack_max: number(&sys.join("netfilter/nf_conntrack_max")),
            bridges: devices
                .iter()
                .filter(|device| device.kind.as_deref() == Some("bridge"))
                .map(|device| device.name.clone())
                .collect(),
            devices: devices
                .into_iter()
                .map(|device| device.name)
                .filter(|name| name != "lo")
                .collect(),
        }
    }

    fn of(&self, setting: &str, device: &str) -> u32 {
        let values = self.ipv4.get(setting);
        values
            .and_then(|values| values.get(device))
            .copied()
            .unwrap_or_default()
    }

    /// What is in force for a device: of `rp_filter` the larger of its own value and `all`'s.
    pub(super) fn rp_filter(&self, device: &str) -> u32 {
        self.of("rp_filter", device)
            .max(self.of("rp_filter", "all"))
    }

    /// What is in force for a device, of a setting that `all` switches on for all.
    pub(super) fn is_on(&self, setting: &str, device: &str) -> bool {
        self.of(setting, device) != 0 || self.of(setting, "all") != 0
    }
}

fn number(path: &Path) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_force_follows_the_kernels_rules() {
        let sys = tempfile::tempdir().unwrap();
        for (file, value) in [
            ("ipv4/ip_forward", "0"),
            ("ipv4/conf/all/rp_filter", "1"),
            ("ipv4/conf/eth0/rp_filter", "2"),
            ("ipv4/conf/eth1/rp_filter", "0"),
            ("ipv4/conf/eth0/route_localnet", "1"),
            ("bridge/bridge-nf-call-iptables", "1"),
        ] {
            let path = sys.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{value}\n")).unwrap();
        }
        let device = |name: &str, kind: Option<&str>| NetDevice {
            name: name.to_owned(),
            kind: kind.map(str::to_owned),
            ..NetDevice::default()
        };
        let devices = vec![
            device("lo", None),
            device("eth0", None),
            device("eth1", Some("bridge")),
        ];
        let settings = Settings::read(sys.path(), devices);
        assert_eq!(settings.ip_forward, Some(0));
        assert_eq!(settings.devices, ["eth0", "eth1"]);
        assert_eq!(settings.bridges, ["eth1"]);
        assert_eq!(
            (settings.rp_filter("eth0"), settings.rp_filter("eth1")),
            (2, 1)
        );
        assert!(settings.is_on("route_localnet", "eth0"));
        assert!(!settings.is_on("route_localnet", "eth1"));
        assert_eq!(settings.bridge["bridge-nf-call-iptables"], 1);
        assert_eq!(settings.conntrack_max, None);
    }
}
