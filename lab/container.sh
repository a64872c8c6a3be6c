# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# A container behind the host's bridge, and a machine outside: the topology of S1 and
# S4, and without the machine of S5, S6 and S8.

container_behind_bridge() {
	setup_ns ctr
	link host veth0 ctr eth0
	bridge host br0 veth0
	address host br0 172.17.0.1/16 fd00:17::1/64
	address ctr eth0 172.17.0.2/16 fd00:17::2/64
	gateway ctr 172.17.0.1 fd00:17::1
	forwarding
}

machine_outside() {
	setup_ns outside
	link outside eth0 host ens160
	address outside eth0 10.10.10.3/24 fd00:10::3/64
	address host ens160 10.10.10.2/24 fd00:10::2/64
}
