# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Two containers on one bridge of the host: the topology of S2 and S3.

# two_containers ipv4|ipv6   the topology, and a server in ctrB; SERVER is its address
two_containers() {
	case $1 in
	ipv4) SERVER=172.17.0.3 ;;
	ipv6) SERVER=fd00:17::3 ;;
	*) die "$1 is neither ipv4 nor ipv6" ;;
	esac
	setup_ns ctrA ctrB
	link host vethA ctrA eth0
	link host vethB ctrB eth0
	bridge host br0 vethA vethB
	address host br0 172.17.0.1/16 fd00:17::1/64
	address ctrA eth0 172.17.0.2/16 fd00:17::2/64
	address ctrB eth0 172.17.0.3/16 fd00:17::3/64
	http_server ctrB "$SERVER" 8080
	warm_up ctrA "$SERVER"
}

# bridge_calls_iptables 0|1   whether bridged packets pass the host's IP hooks; both families
bridge_calls_iptables() {
	set_sysctl net.bridge.bridge-nf-call-iptables "$1"
	set_sysctl net.bridge.bridge-nf-call-ip6tables "$1"
}
