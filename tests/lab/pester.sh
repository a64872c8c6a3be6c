#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# pester.sh CALLS SEED [coverage]: the module is called at random, as tests/src/bin/pester
# does it; afterwards it works, nobody holds it, and it can be unloaded and loaded again.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lab/probe.sh
. "${BASH_SOURCE[0]%/*}/probe.sh"

install --mode=755 /mnt/vmtest/pester /tmp
# What comes in by one is for this host, or goes out by the other.
run modprobe tun
for device in pester0 pester1; do
	ip tuntap add mode tun "$device"
	ip link set "$device" up
done
ip address add 198.51.100.2/24 dev pester0
ip address add 2001:db8:1::2/64 dev pester0 nodad
ip route add default dev pester1
ip -6 route add default dev pester1
run sysctl --quiet net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0
local_module
load_module ports=8080 log_rate=5
keep pester /tmp/pester "$@"
awk '$1 == "nftrace" { print $3 }' /proc/modules >"$OUT/users.txt"
unload_module
load_module ports=8080
unload_module
