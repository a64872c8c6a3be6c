# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# What tests of the module itself send, and where they look.

PARAMETERS=/sys/module/nftrace/parameters

# The module is loaded more than once, and the host's folder is slow.
local_module() {
	[[ ! -e $MODULE ]] || cp "$MODULE" /tmp/nftrace.ko
	MODULE=/tmp/nftrace.ko
}

# mark TEXT   a line "lab: TEXT" in the kernel's log
mark() { printf '<6>lab: %s\n' "$*" >/dev/kmsg; }

# datagram ADDRESS PORT BYTES   one UDP packet; how long it is tells it from others
datagram() { printf '%*s' "$3" '' >"/dev/udp/$1/$2"; }

# datagrams ADDRESS PORT COUNT   that many of one byte, as fast as a shell can; nobody may refuse them
datagrams() {
	local fd i
	exec {fd}>"/dev/udp/$1/$2"
	for ((i = 0; i < $3; i++)); do printf x >&"$fd"; done
	exec {fd}>&-
}

# count_and_drop ROLE   drops UDP packets to port 8080 at PRE_ROUTING, behind our hook
count_and_drop() {
	in_ns "$1" nft "
		table inet lab {
			chain pre {
				type filter hook prerouting priority 0
				udp dport 8080 counter drop
			}
		}"
}

# dropped ROLE   how many packets that were
dropped() {
	ip netns exec "$1" nft list chain inet lab pre | sed -nE 's/.*counter packets ([0-9]+) .*/\1/p'
}

# await_file FILE   until it is there
await_file() {
	local i
	for ((i = 0; i < 200; i++)); do
		[[ ! -e $1 ]] || return 0
		sleep 0.05
	done
	die "$1 does not come"
}

# hook_lines FILE...   what `nft list hooks` left in each file, as lines "NAME FAMILY HOOK PRIORITY FUNCTION [MODULE]"
hook_lines() {
	awk '
		FNR == 1 { name = FILENAME; sub(/.*\//, "", name) }
		$1 == "family" { family = $2 }
		$1 == "hook" { hook = $2 }
		/nftrace/ { print name, family, hook, $1, $2, $3 }' "$@"
}

# dump_hooks FOLDER ROLE...   what netfilter says of its hooks, a file for each namespace
dump_hooks() {
	local folder=$1 ns
	mkdir -p "$folder"
	shift
	for ns in "$@"; do
		if [[ $ns == host ]]; then nft list hooks; else ip netns exec "$ns" nft list hooks; fi >"$folder/$ns"
	done
}

# counter NAME   a counter of the module
counter() { sed -nE "s/.*\<$1=([0-9]+).*/\1/p" "$PARAMETERS/counters"; }

# await COUNT COUNTER...   until the counters add up to that, or for five seconds
await() {
	local want=$1 sum name i
	shift
	for ((i = 0; i < 50; i++)); do
		sum=0
		for name in "$@"; do sum=$((sum + $(counter "$name"))); done
		((sum < want)) || return 0
		sleep 0.1
	done
	say "$* is $sum, not $want"
}
