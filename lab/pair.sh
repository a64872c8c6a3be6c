# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Two containers on one bridge of the host: the topology of S2 and S3.

# server_of VARIANT   the address of ctrB in the variant's family
server_of() { if [[ $1 == ipv6* ]]; then echo fd00:17::3; else echo 172.17.0.3; fi; }

# two_containers VARIANT   the topology, and a server in ctrB
two_containers() {
	setup_ns ctrA ctrB
	link host vethA ctrA eth0
	link host vethB ctrB eth0
	bridge host br0 vethA vethB
	address host br0 172.17.0.1/16 fd00:17::1/64
	address ctrA eth0 172.17.0.2/16 fd00:17::2/64
	address ctrB eth0 172.17.0.3/16 fd00:17::3/64
	http_server ctrB "$(server_of "$1")" 8080
	warm_up ctrA "$(server_of "$1")"
}

# bridge_calls_iptables 0|1   whether bridged packets pass the host's IP hooks; both families
bridge_calls_iptables() {
	[[ -e /proc/sys/net/bridge ]] || run modprobe br_netfilter
	set_sysctl net.bridge.bridge-nf-call-iptables "$1"
	set_sysctl net.bridge.bridge-nf-call-ip6tables "$1"
}
