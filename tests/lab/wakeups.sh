#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# wakeups.sh BURST...   a reader of the device sleeps, and is woken for bursts of so many packets
#
# A bridge switches it: it has six records, of PRE_ROUTING, FORWARD and POST_ROUTING and
# of their ends.
# out/wakeups.txt: what the reader says.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lab/probe.sh
. "${BASH_SOURCE[0]%/*}/probe.sh"
# shellcheck source=tests/lab/pktgen.sh
. "${BASH_SOURCE[0]%/*}/pktgen.sh"

setup_ns ctr
link host veth0 ctr eth0
device ctr dummy0 type dummy
bridge ctr br0 eth0 dummy0
load_module log_rate=1 exit=1 bridge=1 ring_slots=8192
cp /mnt/vmtest/nftrace /mnt/vmtest/wakeups /tmp
chmod 755 /tmp/nftrace /tmp/wakeups
run /tmp/nftrace trace set --port 8080 --proto udp
# Where nothing but the translator is fast, more fits into a millisecond that is longer by a tenth.
run busybox adjtimex -t 9000
arm ctr eth0 02:00:00:00:00:02
# Nothing that runs comes before it once it is woken.
ip netns exec ctr chrt --fifo 10 /tmp/wakeups /tmp/ready /tmp/stop >"$OUT/wakeups.txt" &
reader=$!
await_file /tmp/ready
for burst in "$@"; do
	generate ctr eth0 "$burst"
	sleep 0.1
done
touch /tmp/stop
generate ctr eth0 1
wait "$reader"
unload_module
