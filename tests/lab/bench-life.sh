#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# bench-life.sh COUNT...   what loading costs: the module, and policies of so many rules
#
# The policies are /mnt/vmtest/policy.COUNT.
# out/life.txt: lines NAME VALUE; instructions in thousands, memory in bytes.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lab/probe.sh
. "${BASH_SOURCE[0]%/*}/probe.sh"
# shellcheck source=tests/lab/bench-peers.sh
. "${BASH_SOURCE[0]%/*}/bench-peers.sh"

note() { printf '%s %s\n' "$1" "$2" >>"$OUT/life.txt"; }

# timed NAME COMMAND...   what was done meanwhile, by whomever
timed() {
	local name=$1 start
	shift
	start=$(busy)
	"$@"
	note "$name" $(($(busy) - start))
}

local_module
cp /mnt/vmtest/nftrace /tmp/nftrace
cp /mnt/vmtest/policy.* /tmp

# What is not ours: starting a program.
timed program /bin/true
insmod "$MODULE"
rmmod nftrace
timed insmod insmod "$MODULE"
timed rmmod rmmod nftrace
for ((i = 0; i < 500; i++)); do ip netns add "n$i"; done
timed insmod-500 insmod "$MODULE"
timed rmmod-500 rmmod nftrace
run ip -all netns delete

insmod "$MODULE"
timed status /tmp/nftrace show >/dev/null
for count in "$@"; do
	timed "load-$count" /tmp/nftrace load --verbose "/tmp/policy.$count" >"$OUT/load-$count.txt"
	kib=$(sed -nE 's/.*it takes ([0-9]+) KiB there.*/\1/p' "$OUT/load-$count.txt")
	note "memory-$count" $((kib * 1024))
	timed "reload-$count" /tmp/nftrace load "/tmp/policy.$count"
	timed "flush-$count" /tmp/nftrace flush
done
unload_module
