#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# S6: the host asks 127.0.0.1 for a published port
#
# DNAT in OUTPUT needs route_localnet, and MASQUERADE of 127.0.0.0/8 (masquerade).
# Without the MASQUERADE the container refuses a packet from 127.0.0.1 (bare), and
# if it is made to take it, it answers to itself (reply: route_localnet and accept_local
# in the container).
#
#    host                                         ctr
#   +--------------------------------------+     +-------------+
#   | lo  127.0.0.1                        |     |             |
#   | br0 172.17.0.1/16 -- veth0           |-----| eth0        |
#   |  curl 127.0.0.1:3000                 |     | 172.17.0.2  |
#   |  OUTPUT: DNAT -> 172.17.0.2:8080     |     | httpd :8080 |
#   |  POSTROUTING: MASQUERADE 127.0.0.0/8 |     |             |
#   +--------------------------------------+     +-------------+
#
# variants: masquerade bare reply
# ports: 3000 8080
# modules: veth bridge nft_chain_nat nft_compat xt_nat xt_MASQUERADE
# programs: ip iptables ethtool ping sysctl ss curl busybox

# shellcheck source=lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=lab/container.sh
. "${BASH_SOURCE[0]%/*}/container.sh"

up() {
	container_behind_bridge
	set_sysctl net.ipv4.conf.br0.route_localnet 1
	rule host iptables nat OUTPUT -p tcp -d 127.0.0.1 --dport 3000 -j DNAT --to-destination 172.17.0.2:8080
	case $1 in
	masquerade) rule host iptables nat POSTROUTING -s 127.0.0.0/8 -o br0 -j MASQUERADE ;;
	reply)
		set_sysctl net.ipv4.conf.eth0.route_localnet 1 ctr
		set_sysctl net.ipv4.conf.eth0.accept_local 1 ctr
		;;
	esac
	http_server ctr 172.17.0.2 8080
	warm_up host 172.17.0.2
}

traffic() { if [[ $1 == masquerade ]]; then http_get host 127.0.0.1 3000; else http_get host 127.0.0.1 3000 failed; fi; }

lab "$@"
