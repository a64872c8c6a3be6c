#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# S5: the host asks its own address for a published port
#
# DNAT in OUTPUT: the packet starts with the host's address at LOCAL_OUT and leaves
# with the container's at POST_ROUTING.
#
#    host                                         ctr
#   +--------------------------------------+     +-------------+
#   | ens160 10.10.10.2/24                 |     |             |
#   | br0 172.17.0.1/16 -- veth0           |-----| eth0        |
#   |  curl 10.10.10.2:3000                |     | 172.17.0.2  |
#   |  OUTPUT: DNAT -> 172.17.0.2:8080     |     | httpd :8080 |
#   +--------------------------------------+     +-------------+
#
# variants: ipv4
# ports: 3000 8080
# modules: veth bridge dummy nft_chain_nat nft_compat xt_nat
# programs: ip iptables ethtool ping sysctl ss curl busybox

# shellcheck source=lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=lab/container.sh
. "${BASH_SOURCE[0]%/*}/container.sh"

up() {
	container_behind_bridge
	device host ens160 type dummy
	address host ens160 10.10.10.2/24
	rule host iptables nat OUTPUT -p tcp -d 10.10.10.2 --dport 3000 -j DNAT --to-destination 172.17.0.2:8080
	http_server ctr 172.17.0.2 8080
	warm_up host 172.17.0.2
}

traffic() { http_get host 10.10.10.2 3000; }

lab "$@"
