#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# abuse.sh READERS LOADERS KILLED SIGNALS MODULES: the device as nobody should use it, as
# tests/src/bin/abuse does it, under traffic.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lab/probe.sh
. "${BASH_SOURCE[0]%/*}/probe.sh"

install --mode=755 /mnt/vmtest/{abuse,nftrace} /tmp
local_module
load_module ports=8080 log_rate=5
run /tmp/nftrace trace set --port 8080

# A packet now and then, so that readers sleep and wake.
export -f datagrams
(
	while [[ ! -e /tmp/stop ]] && ((SECONDS < 600)); do
		# Not while all is dropped.
		datagrams 127.0.0.1 8080 5 2>/dev/null || true
		sleep 0.01
	done
) &
traffic=$!

keep maps /tmp/abuse maps
keep readers /tmp/abuse readers "$1"
keep loaders /tmp/abuse loaders "$2"
keep signals /tmp/abuse signals "$4"
keep killed /tmp/abuse killed 16 "$3"
run /tmp/nftrace flush
awk '$1 == "nftrace" { print $3 }' /proc/modules >"$OUT/users.txt"
unload_module
keep modules /tmp/abuse modules "$MODULE" "$5"
touch /tmp/stop
wait "$traffic"
