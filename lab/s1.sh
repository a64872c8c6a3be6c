#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# S1: a published port: a machine outside asks the host, a container answers
#
# The host rewrites port 8081 of its own address to port 8080 of a container on its
# bridge.
#
#    outside               host                                  ctr
#   +------------+        +--------------------------------+     +-------------+
#   | eth0       |--------| ens160          br0 -- veth0   |-----| eth0        |
#   | 10.10.10.3 |        | 10.10.10.2/24   172.17.0.1/16  |     | 172.17.0.2  |
#   | fd00:10::3 |        | fd00:10::2      fd00:17::1     |     | fd00:17::2  |
#   +------------+        |  DNAT :8081 -> 172.17.0.2:8080 |     | :8080       |
#                         +--------------------------------+     +-------------+
#
# variants: ipv4 udp icmp ipv6
# ports: 8080 8081
# modules: veth bridge nft_chain_nat nft_compat xt_nat
# programs: ip iptables ip6tables ethtool ping sysctl ss curl busybox socat

# shellcheck source=lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=lab/container.sh
. "${BASH_SOURCE[0]%/*}/container.sh"

up() {
	machine_outside
	container_behind_bridge
	case $1 in
	icmp) rule host iptables nat PREROUTING -p icmp -d 10.10.10.2 -j DNAT --to-destination 172.17.0.2 ;;
	ipv6)
		rule host ip6tables nat PREROUTING -p tcp -d fd00:10::2 --dport 8081 -j DNAT --to-destination '[fd00:17::2]:8080'
		serve "$1" ctr fd00:17::2 8080
		warm_up outside fd00:10::2
		warm_up host fd00:17::2
		return
		;;
	*)
		rule host iptables nat PREROUTING -p "$(protocol "$1")" -d 10.10.10.2 --dport 8081 \
			-j DNAT --to-destination 172.17.0.2:8080
		;;
	esac
	serve "$1" ctr 172.17.0.2 8080
	warm_up outside 10.10.10.2
	warm_up host 172.17.0.2
}

traffic() {
	if [[ $1 == ipv6 ]]; then ask "$1" outside fd00:10::2 8081; else ask "$1" outside 10.10.10.2 8081; fi
}

lab "$@"
