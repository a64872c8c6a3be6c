#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# abuse.sh READERS LOADERS KILLED: the device as nobody should use it, as
# tests/src/bin/abuse does it, under traffic.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lab/probe.sh
. "${BASH_SOURCE[0]%/*}/probe.sh"

install --mode=755 /mnt/vmtest/{abuse,nftrace} /tmp
load_module ports=8080 log_rate=5
run /tmp/nftrace trace set --port 8080

# A packet now and then, so that readers sleep and wake.
export -f datagrams
(
	while [[ ! -e /tmp/stop ]] && ((SECONDS < 600)); do
		datagrams 127.0.0.1 8080 5 2>/dev/null
		sleep 0.01
	done
) &
traffic=$!

keep maps /tmp/abuse maps
keep readers /tmp/abuse readers "$1"
keep loaders /tmp/abuse loaders "$2"
keep killed /tmp/abuse killed 16 "$3"
touch /tmp/stop
wait "$traffic"
run /tmp/nftrace flush
awk '$1 == "nftrace" { print $3 }' /proc/modules >"$OUT/users.txt"
unload_module
