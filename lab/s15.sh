#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# S15: a rootless container: slirp4netns carries its packets
#
# An ordinary user may not make devices in the host. So slirp4netns, a process of that
# user, reads packets from a tap device in the container and makes connections of its
# own in the host: two connections that no packet has in common.
#
#    ctr (user namespace)     host                                 outside
#   +--------------------+   +--------------------------------+    +-------------+
#   | tap0 10.0.2.100    |==>| slirp4netns                    |    |             |
#   |  curl 10.10.10.3   |   |   connect(10.10.10.3:8080)     |    |             |
#   +--------------------+   |               ens160           |----| eth0        |
#                            |             10.10.10.2/24      |    | 10.10.10.3  |
#                            +--------------------------------+    | httpd :8080 |
#                                                                  +-------------+
#
# variants: ipv4
# ports: 8080
# modules: veth tun
# programs: ip ethtool ping ss curl busybox slirp4netns unshare setpriv

# shellcheck source=lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

# Somebody who has no rights at all; in a lab of an ordinary user's that is who we are.
AS_USER=()
if setpriv --reuid=65534 --regid=65534 --clear-groups true 2>/dev/null; then
	AS_USER=(setpriv --reuid=65534 --regid=65534 --clear-groups)
fi

# Without udev only root may use the device. Here everybody gets a node of it, on top of
# the machine's.
open_tun() {
	mkdir -p "$LAB_STATE/dev"
	run mount -t tmpfs -o mode=755 tmpfs "$LAB_STATE/dev"
	undo umount "$LAB_STATE/dev"
	run mknod -m 666 "$LAB_STATE/dev/tun" c 10 200
	run mount --bind "$LAB_STATE/dev/tun" /dev/net/tun
	undo umount /dev/net/tun
}

up() {
	local ctr i
	setup_ns outside
	link outside eth0 host ens160
	address outside eth0 10.10.10.3/24
	address host ens160 10.10.10.2/24
	[[ -e /dev/net/tun ]] || run modprobe tun
	"${AS_USER[@]}" test -w /dev/net/tun || open_tun

	say "a user namespace with a network namespace, of user 65534"
	"${AS_USER[@]}" unshare --user --map-root-user --net sleep infinity </dev/null >/dev/null 2>&1 &
	ctr=$!
	undo kill "$ctr"
	for ((i = 0; i < 100; i++)); do
		[[ $(cat "/proc/$ctr/comm") != sleep ]] || break
		sleep 0.1
	done
	((i < 100)) || die "there is no user namespace"
	adopt_ns ctr "$ctr"
	"${AS_USER[@]}" slirp4netns --configure --mtu=1500 --disable-host-loopback "$ctr" tap0 </dev/null >"$LAB_STATE/slirp4netns.log" 2>&1 &
	undo kill "$!"
	for ((i = 0; i < 100; i++)); do
		[[ $(ip -netns ctr -brief address show tap0 2>/dev/null) != *10.0.2.100* ]] || break
		sleep 0.1
	done
	((i < 100)) || { cat "$LAB_STATE/slirp4netns.log"; die "slirp4netns makes no tap0"; }
	http_server outside 10.10.10.3 8080
	warm_up host 10.10.10.3
}

traffic() { http_get ctr 10.10.10.3 8080; }

lab "$@"
