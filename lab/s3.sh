#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# S3: container to container on one bridge, through br_netfilter
#
# bridge-nf-call-iptables is 1, so that bridged traffic passes the host's IP hooks
# also. In the variants "host", ctrA fetches from the host itself.
#
#    ctrA                      host                                ctrB
#   +-----------------+       +---------------------------+       +-----------------+
#   | eth0            |-------| vethA -- br0 -- vethB     |-------| eth0            |
#   | 172.17.0.2      |       |       172.17.0.1/16       |       | 172.17.0.3      |
#   | fd00:17::2      |       |       fd00:17::1/64       |       | fd00:17::3      |
#   +-----------------+       |       br_netfilter        |       | httpd :8080     |
#                             +---------------------------+       +-----------------+
#
# variants: ipv4 ipv6 ipv4-host
# ports: 8080
# modules: veth bridge br_netfilter
# programs: ip ethtool ping sysctl ss curl busybox

# shellcheck source=lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=lab/pair.sh
. "${BASH_SOURCE[0]%/*}/pair.sh"

up() {
	bridge_calls_iptables 1
	two_containers "$1"
	if [[ $1 == ipv4-host ]]; then
		http_server host 172.17.0.1 8080
		warm_up ctrA 172.17.0.1
	fi
}

traffic() {
	if [[ $1 == ipv4-host ]]; then http_get ctrA 172.17.0.1 8080; else http_get ctrA "$(server_of "$1")" 8080; fi
}

lab "$@"
