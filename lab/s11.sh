#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# S11: ipvlan containers, in the modes L2, L3 and L3S
#
# In mode L2 the host's IP hooks see nothing, as with macvlan. In mode L3 the host
# routes what leaves; in mode L3S also what comes passes a hook of the host's.
# Between two containers (l2, l3) nothing leaves the driver.
#
#    outside               host                        ctrA, ctrB
#   +------------+        +--------------------+       +-----------------------+
#   | eth0       |--------| ens160             |=======| eth0 (ipvlan) in each |
#   | 10.10.10.3 |        | 10.10.10.2/24      |       | 10.10.10.11, .12      |
#   +------------+        +--------------------+       | httpd :8080 in ctrB   |
#                                                      +-----------------------+
#
# variants: l2 l2-outside l3 l3-outside l3s-outside
# ports: 8080
# modules: veth ipvlan
# programs: ip ethtool ping ss curl busybox

# shellcheck source=lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

up() {
	local ns mode=${1%-outside}
	setup_ns outside ctrA ctrB
	link outside eth0 host ens160
	address outside eth0 10.10.10.3/24
	address host ens160 10.10.10.2/24
	for ns in ctrA ctrB; do
		ip_in host link add eth0 link ens160 netns "$ns" type ipvlan mode "$mode" bridge
		quiet_device "$ns" eth0
		ip_in "$ns" link set eth0 up
	done
	address ctrA eth0 10.10.10.11/24
	address ctrB eth0 10.10.10.12/24
	warm_up outside 10.10.10.2
	if [[ $mode != l2 ]]; then
		# Without ARP in the containers, the host has to be the way to them.
		ip_in outside route add 10.10.10.12/32 via 10.10.10.2
		for ns in ctrA ctrB; do ip_in "$ns" route add default dev eth0; done
	fi
	http_server ctrB 10.10.10.12 8080
	warm_up ctrA 10.10.10.12
	warm_up outside 10.10.10.12
}

traffic() { if [[ $1 == *-outside ]]; then http_get outside 10.10.10.12 8080; else http_get ctrA 10.10.10.12 8080; fi; }

lab "$@"
