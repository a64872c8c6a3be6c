#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# S7: a container network made by hand
#
# What a container engine does, step by step: `ip netns`, a veth pair, a bridge, a
# default route, MASQUERADE for the way out, DNAT 30001 -> 5050 for the way in.
#
#    outside                host                                    netns0
#   +--------------+       +----------------------------------+     +-------------+
#   | eth0         |-------| ens160            cni0 -- veth0  |-----| ceth0       |
#   | 192.168.50.9 |       | 192.168.50.2/24   10.88.0.1/24   |     | 10.88.0.10  |
#   | fd00:50::9   |       | fd00:50::2        fd00:88::1     |     | fd00:88::10 |
#   | :7070        |       |  DNAT :30001 -> 10.88.0.10:5050  |     | :5050       |
#   +--------------+       |  MASQUERADE of 10.88.0.0/24      |     +-------------+
#                          +----------------------------------+
#
# variants: in out in-udp out-udp in-icmp out-icmp in-ipv6 out-ipv6
# ports: 5050 7070 30001
# modules: veth bridge nft_chain_nat nft_compat xt_nat xt_MASQUERADE
# programs: ip iptables ip6tables ethtool ping sysctl ss curl busybox socat

# shellcheck source=lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

# addresses VARIANT   OUTSIDE, HOST and NETNS0 in the variant's family
addresses() {
	if [[ $1 == *-ipv6 ]]; then
		OUTSIDE=fd00:50::9 HOST=fd00:50::2 NETNS0=fd00:88::10
	else
		OUTSIDE=192.168.50.9 HOST=192.168.50.2 NETNS0=10.88.0.10
	fi
}

up() {
	local kind=${1#*-} iptables=iptables net=10.88.0.0/24
	addresses "$1"
	setup_ns outside netns0
	link outside eth0 host ens160
	link host veth0 netns0 ceth0
	bridge host cni0 veth0
	address outside eth0 192.168.50.9/24 fd00:50::9/64
	address host ens160 192.168.50.2/24 fd00:50::2/64
	address host cni0 10.88.0.1/24 fd00:88::1/64
	address netns0 ceth0 10.88.0.10/24 fd00:88::10/64
	gateway netns0 10.88.0.1 fd00:88::1
	forwarding
	if [[ $kind == ipv6 ]]; then iptables=ip6tables net=fd00:88::/64; fi
	rule host "$iptables" nat POSTROUTING -s "$net" -o ens160 -j MASQUERADE
	if [[ $kind == icmp ]]; then
		rule host iptables nat PREROUTING -i ens160 -p icmp -d "$HOST" -j DNAT --to-destination "$NETNS0"
	else
		rule host "$iptables" nat PREROUTING -i ens160 -p "$(protocol "$kind")" -d "$HOST" --dport 30001 \
			-j DNAT --to-destination "$(endpoint "$NETNS0" 5050)"
	fi
	serve "$kind" netns0 "$NETNS0" 5050
	serve "$kind" outside "$OUTSIDE" 7070
	warm_up host "$OUTSIDE" "$NETNS0"
}

traffic() {
	addresses "$1"
	case $1 in
	in*) ask "${1#*-}" outside "$HOST" 30001 ;;
	out*) ask "${1#*-}" netns0 "$OUTSIDE" 7070 ;;
	esac
}

lab "$@"
