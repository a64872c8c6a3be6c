#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# bench-native.sh   measures the cells of /mnt/vmtest/bench-plan by the clock, in turns
#
# The plan is that of bench.sh, in groups: a line "group NAME BLOCKS" and those of its cells.
# What is measured in a group stays set up, each peer in a namespace of its own, and nftrace
# is loaded for its turns only: it has hooks in every namespace. A block measures each once;
# every other block does so in reverse order.
#
# out/cells.jsonl: a line for each cell and block; out/machine.txt: the kernel, and which code
# pipapo has. Any cell that cannot be measured, or whose verdicts are others, ends the script.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lab/probe.sh
. "${BASH_SOURCE[0]%/*}/probe.sh"
# shellcheck source=tests/lab/bench-peers.sh
. "${BASH_SOURCE[0]%/*}/bench-peers.sh"

FILES=/mnt/vmtest
BENCH=/sys/kernel/debug/hook_bench
PEERS=${BASH_SOURCE[0]%/*}/bench-peers.sh

now() { echo "${EPOCHREALTIME/./}"; }

is_ours() { [[ $1 == idle || $1 == trace || $1 == ports || $1 == policy || $1 == compiled ]]; }

# settle_in UNIT   a namespace with a shell in it that obeys `at`: a program's start takes long here
settle_in() {
	local name=u$1 to from
	ip netns add "$name"
	add_bench_device -n "$name"
	rm -f /tmp/at."$1".*
	mkfifo /tmp/at."$1".{in,out}
	# /sys stays what it is here. The shell ends with its input.
	# shellcheck disable=SC2016 # The inner shell expands them.
	nsenter --net="/run/netns/$name" bash -uc '. "$0"
		while read -r line; do
			if eval "$line" >/tmp/said 2>&1; then echo well; else echo ill; fi
		done' "$PEERS" <"/tmp/at.$1.in" >"/tmp/at.$1.out" &
	exec {to}>"/tmp/at.$1.in" {from}<"/tmp/at.$1.out"
	in[$1]=$to out[$1]=$from
}

# at UNIT COMMAND...   in its namespace, one of PEERS' functions; what it says is in /tmp/said
at() {
	local answer
	printf '%s\n' "${*:2}" >&"${in[$1]}"
	read -r answer <&"${out[$1]}"
	[[ $answer == well ]]
}

# set_up UNIT PEER PF HOOK RULES   notes in $setup how many microseconds it took
set_up() {
	local start
	start=$(now)
	at "$1" "up_$2" "$3" "${4/pktgen*/0}" "$FILES/$5" || {
		tail -n 20 /tmp/said
		die "$group: $2 cannot be set up"
	}
	setup=$(($(now) - start))
}

# turn UNIT BLOCK   all its cells
turn() {
	local block=$2 name peer pf hook mode rounds rules packets verdicts result
	read -r peer pf hook rules <<<"${units[$1]}"
	setup=${setups[$1]:-0}
	if is_ours "$peer"; then set_up "$1" "$peer" "$pf" "$hook" "$rules"; fi
	while read -r name mode rounds packets verdicts; do
		if [[ $packets != - && $packets != "$loaded" ]]; then
			cat "$FILES/$packets" >"$BENCH/packets"
			loaded=$packets
		fi
		at "$1" measure "$pf" "$hook" "$mode" "$rounds" || die "$name: $(</tmp/said)"
		result=$(</tmp/said)
		printf '{"cell":"%s","group":"%s","block":%d,"setup_kinsn":%d,"result":%s}\n' \
			"$name" "$group" "$block" "$setup" "$result" >>/tmp/cells.jsonl
		[[ $verdicts == - || $result == *"\"verdicts\":\"$verdicts\""* ]] ||
			die "$name: the verdicts are others than expected: $result, expected $verdicts"
	done <<<"${cells[$1]}"
	if is_ours "$peer"; then at "$1" "down_$peer" "$pf" "$hook" "$FILES/$rules" || die "$peer: $(</tmp/said)"; fi
}

# One group, whose lines are in $lines.
measure_group() {
	local units=() cells=() setups=() in=() out=() setup=0 loaded='' unit line block i peer pf hook rules to from
	local -A known=()
	for line in "${lines[@]}"; do
		# NAME PEER PF HOOK MODE ROUNDS RULES PACKETS VERDICTS
		read -ra line <<<"$line"
		unit="${line[1]} ${line[2]} ${line[3]} ${line[6]}"
		if [[ -z ${known[$unit]:-} ]]; then
			known[$unit]=${#units[@]}
			units+=("$unit")
			cells+=("")
		fi
		i=${known[$unit]}
		cells[i]+="${cells[i]:+$'\n'}${line[0]} ${line[4]} ${line[5]} ${line[7]} ${line[8]}"
	done
	for i in "${!units[@]}"; do
		settle_in "$i"
		read -r peer pf hook rules <<<"${units[i]}"
		is_ours "$peer" || set_up "$i" "$peer" "$pf" "$hook" "$rules"
		setups[i]=$setup
	done
	for ((block = 0; block < blocks; block++)); do
		for i in "${!units[@]}"; do
			turn $((block % 2 ? ${#units[@]} - 1 - i : i)) "$block"
		done
	done
	c_hooks_off
	for i in "${!units[@]}"; do
		[[ ${units[i]} != "nfttrace "* ]] || at "$i" down_nfttrace
		to=${in[i]} from=${out[i]}
		exec {to}>&- {from}<&-
		ip netns delete "u$i"
	done
	wait
	say "$group: ${#units[@]} peers, $blocks blocks"
}

main() {
	local line group='' blocks=0 lines=() plan
	run insmod "$FILES/hook_bench.ko"
	run mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug
	local_module
	cp "$FILES/nftrace" "$FILES/bench" /tmp
	chmod 755 /tmp/{nftrace,bench}
	export MODULE
	describe_machine >"$OUT/machine.txt"
	# As a whole: a program that still writes it would be waited for at the end of a group.
	mapfile -t plan <"$FILES/bench-plan"
	for line in "${plan[@]}" "group end 0"; do
		if [[ $line == "group "* ]]; then
			[[ -z $group ]] || measure_group
			read -r _ group blocks <<<"$line"
			lines=()
		elif [[ -n $line ]]; then
			lines+=("$line")
		fi
	done
	cp /tmp/cells.jsonl "$OUT/cells.jsonl"
}

main
