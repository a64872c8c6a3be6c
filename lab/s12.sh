#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# S12: an overlay network: two hosts joined by VXLAN, a container on each
#
# The containers are on one network, 10.244.0.0/24; between the hosts their packets
# travel inside UDP datagrams to port 4789.
#
#    ctrA            hostA                          hostB                     ctrB
#   +-----------+   +---------------------------+  +------------------------+   +-------------+
#   | eth0      |---| vethA -- br0 -- vxlan0    |  | vxlan0 -- br0 -- vethB |---| eth0        |
#   | 10.244.0.2|   |            eth0           |--|   eth0                 |   | 10.244.0.3  |
#   +-----------+   |       192.168.60.1        |  |   192.168.60.2         |   | httpd :8080 |
#                   +---------------------------+  +------------------------+   +-------------+
#
# variants: ipv4
# ports: 8080 4789
# modules: veth bridge vxlan
# programs: ip ethtool ping ss curl busybox

# shellcheck source=lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

up() {
	local end local=1 remote=2
	setup_ns hostA hostB ctrA ctrB
	link hostA eth0 hostB eth0
	for end in A B; do
		address "host$end" eth0 "192.168.60.$local/24"
		link "host$end" "veth$end" "ctr$end" eth0
		device "host$end" vxlan0 type vxlan id 42 dstport 4789 local "192.168.60.$local" remote "192.168.60.$remote" dev eth0
		bridge "host$end" br0 "veth$end" vxlan0
		# Where br_netfilter is loaded, it is for all bridges of the machine.
		[[ ! -e /proc/sys/net/bridge ]] || set_sysctl net.bridge.bridge-nf-call-iptables 0 "host$end"
		address "ctr$end" eth0 "10.244.0.$((local + 1))/24"
		ip_in "ctr$end" link set eth0 mtu 1450
		local=2 remote=1
	done
	http_server ctrB 10.244.0.3 8080
	warm_up hostA 192.168.60.2
	warm_up ctrA 10.244.0.3
}

traffic() { http_get ctrA 10.244.0.3 8080; }

lab "$@"
