#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# S10: macvlan containers, in bridge mode: the host's IP hooks see nothing
#
# The driver takes packets off the parent device before the host's stack has them;
# between two of its containers they do not even reach the wire.
#
#    outside               host                        ctrA, ctrB
#   +------------+        +--------------------+       +-----------------------+
#   | eth0       |--------| ens160             |=======| eth0 (macvlan) in each|
#   | 10.10.10.3 |        | (no address needed)|       | 10.10.10.11, .12      |
#   +------------+        +--------------------+       | httpd :8080 in ctrB   |
#                                                      +-----------------------+
#
# variants: between outside
# ports: 8080
# modules: veth macvlan
# programs: ip ethtool ping ss curl busybox

# shellcheck source=lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

up() {
	local ns
	setup_ns outside ctrA ctrB
	link outside eth0 host ens160
	address outside eth0 10.10.10.3/24
	for ns in ctrA ctrB; do
		ip_in host link add eth0 link ens160 netns "$ns" type macvlan mode bridge
		quiet_device "$ns" eth0
		ip_in "$ns" link set eth0 up
	done
	address ctrA eth0 10.10.10.11/24
	address ctrB eth0 10.10.10.12/24
	http_server ctrB 10.10.10.12 8080
	warm_up ctrA 10.10.10.12
	warm_up outside 10.10.10.12
}

traffic() { if [[ $1 == between ]]; then http_get ctrA 10.10.10.12 8080; else http_get outside 10.10.10.12 8080; fi; }

lab "$@"
