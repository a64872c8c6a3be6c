#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# bench-life.sh   what loading costs: the module, and policies; by the clock also changes of sets
#
# The policies are /mnt/vmtest/policy.NAME. BENCH_CLOCK=wall: where the clock is one; then
# they are compiled, and /mnt/vmtest/bench loads them.
# out/life.txt: lines NAME VALUE; instructions in thousands, or microseconds; memory in bytes.

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

# in_us DURATION   as the command prints it: 12.3ms
in_us() {
	awk -v text="$1" 'BEGIN {
		unit = text ~ /ns$/ ? 0.001 : text ~ /µs$/ ? 1 : text ~ /ms$/ ? 1000 : 1000000
		printf "%d", text * unit
	}'
}

# told NAME TEXT   what the command itself says of a load
told() {
	note "$1-$2" "$(in_us "$(sed -nE "s/.*$3 ([0-9.]+[^ ;]*).*/\1/p" "$OUT/load-$2.txt")")"
}

if [[ ${BENCH_CLOCK:-} == wall ]]; then
	busy() { echo "${EPOCHREALTIME/./}"; }

	# load NAME POLICY   what the command does at last
	load() { /tmp/bench load-blob --tell "$1" "$2" >>"$OUT/life.txt"; }

	rates() { /tmp/bench set-rates >>"$OUT/life.txt"; }
else
	# load NAME POLICY   by the command
	load() {
		local kib
		timed "load-$1" /tmp/nftrace load --verbose "$2" >"$OUT/load-$1.txt"
		told compile "$1" "compiled in"
		told verify "$1" "verified it in"
		told install "$1" "put it in force in"
		kib=$(sed -nE 's/.*it takes ([0-9]+) KiB there.*/\1/p' "$OUT/load-$1.txt")
		note "memory-$1" $((kib * 1024))
		timed "reload-$1" /tmp/nftrace load "$2"
	}

	rates() { :; }
fi

describe_machine >"$OUT/machine.txt"
local_module
cp /mnt/vmtest/nftrace /tmp/nftrace
cp /mnt/vmtest/policy.* /tmp
[[ ! -e /mnt/vmtest/bench ]] || install -m 755 /mnt/vmtest/bench /tmp/bench

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
for policy in /tmp/policy.*; do
	load "${policy#*.}" "$policy"
	timed "flush-${policy#*.}" /tmp/nftrace flush
done
rates
unload_module
