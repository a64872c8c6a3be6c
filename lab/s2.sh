#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# S2: container to container on one bridge, unseen by the host's IP hooks
#
# bridge-nf-call-iptables is 0: without br_netfilter, or (off) with it loaded. Where
# some other program has loaded it, it stays, and is switched off for this host.
#
#    ctrA                      host                                ctrB
#   +-----------------+       +---------------------------+       +-----------------+
#   | eth0            |-------| vethA -- br0 -- vethB     |-------| eth0            |
#   | 172.17.0.2      |       |       172.17.0.1/16       |       | 172.17.0.3      |
#   | fd00:17::2      |       |       fd00:17::1/64       |       | fd00:17::3      |
#   +-----------------+       +---------------------------+       | httpd :8080     |
#                                                                 +-----------------+
#
# variants: ipv4 ipv6 ipv4-off ipv6-off
# ports: 8080
# modules: veth bridge
# programs: ip ethtool ping ss curl busybox

# shellcheck source=lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=lab/pair.sh
. "${BASH_SOURCE[0]%/*}/pair.sh"

up() {
	if [[ $1 == *-off || -e /proc/sys/net/bridge ]]; then bridge_calls_iptables 0; fi
	two_containers "$1"
}

traffic() { http_get ctrA "$(server_of "$1")" 8080; }

lab "$@"
