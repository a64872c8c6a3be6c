#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# bench-records.sh SLOTS...   how many records a second a reader gets without a loss, with
#                             rings of so many slots
#
# /mnt/vmtest/bench is the program that floods and reads, /mnt/vmtest/packets what it sends.
# out/records.txt: lines NAME VALUE.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lab/probe.sh
. "${BASH_SOURCE[0]%/*}/probe.sh"
# shellcheck source=tests/lab/bench-peers.sh
. "${BASH_SOURCE[0]%/*}/bench-peers.sh"

local_module
cp /mnt/vmtest/{nftrace,bench} /tmp
chmod 755 /tmp/{nftrace,bench}
run insmod /mnt/vmtest/hook_bench.ko
run ip link add bench0 type dummy
run ip link set bench0 up
cat /mnt/vmtest/packets >/sys/kernel/debug/hook_bench/packets
describe_machine >"$OUT/machine.txt"

for slots in "$@"; do
	run insmod "$MODULE" "ring_slots=$slots"
	run /tmp/nftrace trace set --port 8080
	/tmp/bench probe "records-$slots" >>/tmp/records.txt
	unload_module
done
cp /tmp/records.txt "$OUT/records.txt"
