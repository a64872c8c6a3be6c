#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# limits.sh rate       more packets than log_rate=10 lets through, in two namespaces
# limits.sh overflow   more packets at once than a ring takes
#
# Every packet is dropped and counted at PRE_ROUTING by a rule behind our hook,
# so that what was recorded can be held against what really passed.
# out/passed.txt has a line "role inode packets" for each namespace.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lab/probe.sh
. "${BASH_SOURCE[0]%/*}/probe.sh"
# shellcheck source=tests/lab/pktgen.sh
. "${BASH_SOURCE[0]%/*}/pktgen.sh"

send() {
	say "$2 datagrams in $1"
	ip netns exec "$1" bash -c "$(declare -f datagrams); datagrams 127.0.0.1 8080 $2"
}

# leave_results RECORDS ROLE...   once the counters account for all records
leave_results() {
	local ns
	await "$1" printed suppressed lost
	shift
	cp "$PARAMETERS/counters" "$OUT/counters.txt"
	for ns in "$@"; do
		printf '%s %s %s\n' "$ns" "$(stat --dereference --format=%i "/run/netns/$ns")" "$(dropped "$ns")"
	done >"$OUT/passed.txt"
}

case $1 in
rate)
	setup_ns left right
	count_and_drop left
	count_and_drop right
	load_module ports=8080 log_rate=10
	send left 300
	# Eight records: the other namespace has had its ten, this one has not.
	send right 2
	send left 300
	sleep 1.2
	mark "both"
	send right 200 &
	send left 200
	wait
	leave_results $((4 * 1002)) left right
	;;
overflow)
	setup_ns ctr
	link host veth0 ctr eth0
	address ctr eth0 10.0.0.2/24
	count_and_drop ctr
	load_module ports=8080 log_rate=3000 ring_slots=64
	arm ctr eth0
	generate ctr eth0 12000
	leave_results 48000 ctr
	;;
*) die "$1 is neither rate nor overflow" ;;
esac
unload_module
