#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# bench.sh   measures every cell of /mnt/vmtest/bench-plan, one peer at a time
#
# A line of the plan: NAME PEER PF HOOK MODE ROUNDS RULES PACKETS VERDICTS, with `-` for
# what there is not. RULES and PACKETS are files beside the plan; PF, HOOK, ROUNDS and MODE
# as hook_bench knows them, but HOOK may be pktgenN for bursts of N; VERDICTS is the hash of the verdicts that must come out.
#
# out/cells.jsonl: a line for each cell; out/machine.txt: the kernel, its mitigations. Any cell that cannot be measured, or whose
# verdicts are others, ends the script.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lab/probe.sh
. "${BASH_SOURCE[0]%/*}/probe.sh"
# shellcheck source=tests/lab/bench-peers.sh
. "${BASH_SOURCE[0]%/*}/bench-peers.sh"

FILES=/mnt/vmtest
BENCH=/sys/kernel/debug/hook_bench

# Nothing but the peer under test may be on any hook, but for what is always there.
hooks() { nft list hooks 2>/dev/null || true; }
assert_nobody() {
	local now
	now=$(hooks)
	[[ $now == "$hooks_before" ]] || die "$1: on the hooks there is still: $now"
}

verdicts() { sed -nE 's/.*"verdicts":"([0-9a-f]+)".*/\1/p' <<<"$1"; }

# cell NAME PEER PF HOOK MODE ROUNDS RULES PACKETS VERDICTS
cell() {
	local name=$1 peer=$2 pf=$3 hook=$4 mode=$5 rounds=$6 rules=$7 packets=$8 expected=$9 start result got
	if [[ $packets != - && $packets != "$loaded_packets" ]]; then
		cat "$FILES/$packets" >"$BENCH/packets"
		loaded_packets=$packets
	fi
	# The same rules and other packets: the peer stays.
	if [[ "$peer $pf $hook $rules" != "$peer_up" ]]; then
		take_peer_down
		start=$(busy)
		"up_$peer" "$pf" "${hook/pktgen*/0}" "$FILES/$rules" >"$OUT/peer.log" 2>&1 || {
			tail -n 20 "$OUT/peer.log"
			die "$name: the peer cannot be set up"
		}
		setup=$(($(busy) - start))
		peer_up="$peer $pf $hook $rules"
	fi
	result=$(measure "$pf" "$hook" "$mode" "$rounds")
	got=$(verdicts "$result")
	printf '{"cell":"%s","setup_kinsn":%d,"result":%s}\n' "$name" "$setup" "$result" >>"$CELLS"
	[[ $expected == - || $got == "$expected" ]] ||
		die "$name: the verdicts are others than expected: $result, expected $expected"
}

take_peer_down() {
	local peer pf hook rules
	read -r peer pf hook rules <<<"$peer_up"
	[[ -n $peer ]] || return 0
	if declare -F "down_$peer" >/dev/null; then "down_$peer" "$pf" "$hook" "$FILES/$rules"; fi
	peer_up=
	assert_nobody "$peer"
}

main() {
	local line
	run insmod "$FILES/hook_bench.ko"
	run mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug
	run add_bench_device
	local_module
	cp "$FILES/nftrace" /tmp/nftrace
	[[ ! -e $FILES/bench ]] || install -m 755 "$FILES/bench" /tmp/bench
	CELLS=$OUT/cells.jsonl
	{
		uname -r
		sed 's/^/spectre_v2: /' /sys/devices/system/cpu/vulnerabilities/spectre_v2
	} >"$OUT/machine.txt"
	loaded_packets='' peer_up='' setup=0
	hooks_before=$(hooks)
	cp "$FILES/bench-plan" /tmp/plan
	while read -ra line; do
		[[ ${#line[@]} -ge 9 ]] || continue
		cell "${line[@]}"
	done </tmp/plan
	take_peer_down
}

main
