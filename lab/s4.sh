#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# S4: a container asks a machine outside; the host lends it its address
#
# MASQUERADE behind the host's POST_ROUTING; the reply is translated back before its
# FORWARD. In the variant icmp-error the port is closed, and the ICMP error quotes
# the packet as it was outside.
#
#    ctr                   host                                 outside
#   +-------------+       +--------------------------------+    +-------------+
#   | eth0        |-------| veth0 -- br0         ens160    |----| eth0        |
#   | 172.17.0.2  |       | 172.17.0.1/16    10.10.10.2/24 |    | 10.10.10.3  |
#   | fd00:17::2  |       | fd00:17::1       fd00:10::2    |    | fd00:10::3  |
#   +-------------+       |  MASQUERADE of 172.17.0.0/16   |    | :8080       |
#                         +--------------------------------+    +-------------+
#
# variants: ipv4 udp icmp ipv6 icmp-error
# ports: 8080
# modules: veth bridge nft_chain_nat nft_compat xt_MASQUERADE
# programs: ip iptables ip6tables ethtool ping sysctl ss curl busybox socat

# shellcheck source=lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=lab/container.sh
. "${BASH_SOURCE[0]%/*}/container.sh"

up() {
	machine_outside
	container_behind_bridge
	rule host iptables nat POSTROUTING -s 172.17.0.0/16 ! -o br0 -j MASQUERADE
	rule host ip6tables nat POSTROUTING -s fd00:17::/64 ! -o br0 -j MASQUERADE
	if [[ $1 == ipv6 ]]; then
		serve "$1" outside fd00:10::3 8080
		warm_up host fd00:10::3 fd00:17::2
	else
		[[ $1 == icmp-error ]] || serve "$1" outside 10.10.10.3 8080
		warm_up host 10.10.10.3 172.17.0.2
	fi
}

traffic() {
	case $1 in
	ipv6) ask "$1" ctr fd00:10::3 8080 ;;
	icmp-error)
		say "a datagram to a port that nobody listens on"
		from ctr bash -c 'printf ping >/dev/udp/10.10.10.3/8080'
		flow ctr udp 10.10.10.3 8080 failed
		;;
	*) ask "$1" ctr 10.10.10.3 8080 ;;
	esac
}

lab "$@"
