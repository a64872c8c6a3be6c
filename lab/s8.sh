#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# S8: REDIRECT inside a container: port 80 becomes 8080
#
# What the sidecars of service meshes do: a rule in the container's own namespace
# takes what comes for port 80 to a program on port 8080.
#
#    host                                 ctr
#   +----------------------------+       +--------------------------------+
#   | br0 172.17.0.1/16 -- veth0 |-------| eth0 172.17.0.2                |
#   |  curl 172.17.0.2:80        |       |  PREROUTING: REDIRECT 80->8080 |
#   +----------------------------+       |  httpd :8080                   |
#                                        +--------------------------------+
#
# variants: ipv4
# ports: 80 8080
# modules: veth bridge nft_chain_nat nft_compat xt_REDIRECT
# programs: ip iptables ethtool ping sysctl ss curl busybox

# shellcheck source=lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=lab/container.sh
. "${BASH_SOURCE[0]%/*}/container.sh"

up() {
	container_behind_bridge
	rule ctr iptables nat PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 8080
	http_server ctr 172.17.0.2 8080
	warm_up host 172.17.0.2
}

traffic() { http_get host 172.17.0.2 80; }

lab "$@"
