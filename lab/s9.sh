#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# S9: host network mode: a container's process in the host's own namespace
#
# Nothing of the network tells it from its neighbours; its control group does, which
# has the net_cls.classid 0x100001. The variant neighbour asks the same from beside it.
#
#    host                                   outside
#   +------------------------------+       +-------------+
#   | cgroup nftrace-lab-s9:       |       |             |
#   |   classid 0x100001           |       |             |
#   |   curl 10.10.10.3:8080       |       |             |
#   |                 ens160       |-------| eth0        |
#   |              10.10.10.2/24   |       | 10.10.10.3  |
#   +------------------------------+       | httpd :8080 |
#                                          +-------------+
#
# variants: classid neighbour
# ports: 8080
# modules: veth
# programs: ip ethtool ping ss curl busybox mount
# root: a cgroup v1 hierarchy is mounted

# shellcheck source=lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

NET_CLS=$LAB_STATE/net_cls
GROUP=$NET_CLS/nftrace-lab-s9

# The kernel frees a hierarchy that nothing mounts when it has no groups left.
# shellcheck disable=SC2317 # undo calls it.
end_group() {
	rmdir "$GROUP"
	umount "$NET_CLS"
	rmdir "$NET_CLS"
}

up() {
	setup_ns outside
	link outside eth0 host ens160
	address outside eth0 10.10.10.3/24
	address host ens160 10.10.10.2/24
	mkdir -p "$NET_CLS"
	run mount -t cgroup -o net_cls net_cls "$NET_CLS"
	undo end_group
	run mkdir -p "$GROUP"
	say "classid of $GROUP: 0x100001"
	echo 0x100001 >"$GROUP/net_cls.classid"
	http_server outside 10.10.10.3 8080
	warm_up host 10.10.10.3
}

traffic() {
	(
		if [[ $1 == classid ]]; then echo "$BASHPID" >"$GROUP/cgroup.procs"; fi
		http_get host 10.10.10.3 8080
	)
}

lab "$@"
