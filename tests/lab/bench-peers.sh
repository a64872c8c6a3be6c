# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# The peers of the benchmark: for each a function up_NAME PF HOOK RULES, which puts it
# on the hook and nothing else, and where that is not a program's end, down_NAME.

# Thousands of instructions since the start: the clock counts them, a nanosecond each, and
# the time in which nobody had anything to do.
busy() {
	local idle
	idle=$(awk '/\.(idle|iowait)_sleeptime/ { sum += $3 } END { printf "%d", sum / 1000 }' /proc/timer_list)
	echo $((${EPOCHREALTIME/./} - idle))
}

# measure PF HOOK MODE ROUNDS   prints what was measured, as JSON; HOOK may be pktgenBURST
measure() {
	if [[ $2 == pktgen* ]]; then
		measure_path "${2#pktgen}" "$4"
		return
	fi
	echo "run $1 $2 $4 $3 bench0" >/sys/kernel/debug/hook_bench/control
	echo "$(</sys/kernel/debug/hook_bench/control)"
}

PATH_PACKETS=20000
BENCH_MAC=02:00:00:00:00:01

# add_bench_device [IP-OPTION...]   what the packets come in by
add_bench_device() {
	ip "$@" link add bench0 address "$BENCH_MAC" type dummy
	ip "$@" link set bench0 up
}

# How many packets IP did something with that were not dropped before: in $passed. No program
# is started, which takes long in User Mode Linux.
count_passed() {
	local file names values i
	passed=0
	for file in /proc/net/snmp /proc/net/netstat; do
		while read -ra names && read -ra values; do
			[[ ${names[0]} == Ip: || ${names[0]} == IpExt: ]] || continue
			for i in "${!names[@]}"; do
				case ${names[i]} in
				InAddrErrors | InNoRoutes | InDelivers | ForwDatagrams | InHdrErrors | InDiscards)
					passed=$((passed + values[i])) ;;
				esac
			done
		done <"$file"
	done
}

# measure_path BURST ROUNDS   the same where pktgen hands packets to the stack
measure_path() {
	local thread=/proc/net/pktgen/kpktgend_0 file=/proc/net/pktgen/bench0 ns='' i setting text before passed
	[[ -e $thread ]] || modprobe pktgen || return
	echo rem_device_all >"$thread"
	echo "add_device bench0" >"$thread"
	for setting in "count $PATH_PACKETS" "pkt_size 60" "burst $1" "xmit_mode netif_receive" \
		"dst_mac $BENCH_MAC" "src_min 10.0.0.1" "src_max 10.0.0.1" "dst 10.0.0.2"; do
		echo "$setting" >"$file"
	done
	count_passed
	before=$passed
	for ((i = 0; i < $2; i++)); do
		echo start >/proc/net/pktgen/pgctrl
		# "Result: OK: 12345(c12000+d345) usec, 20000 (60byte,0frags)"
		text=$(<"$file")
		[[ $text =~ 'Result: OK: '([0-9]+)'(' ]] || { echo "$text"; return 1; }
		ns+=${ns:+,}${BASH_REMATCH[1]}000
	done
	count_passed
	echo rem_device_all >"$thread"
	printf '{"packets":%d,"dropped":%d,"ns":[%s]}\n' "$PATH_PACKETS" \
		$((PATH_PACKETS - (passed - before) / $2)) "$ns"
}

# The kernel, and which code pipapo has, a line each.
describe_machine() {
	uname -r
	if grep -q nft_pipapo_avx2 /proc/kallsyms && grep -qw avx2 /proc/cpuinfo; then
		echo "pipapo with its code for AVX2"
	else
		echo "pipapo without its code for AVX2"
	fi
}

c_hook() { echo "add $1 $2 $3 -300" >/sys/kernel/debug/hook_bench/control; }
c_hooks_off() { echo clear >/sys/kernel/debug/hook_bench/control; }

# iptables' or ip6tables' name for the family
family() { if [[ $1 == 2 ]]; then echo ip; else echo ip6; fi; }

up_none() { :; }

up_empty() { c_hook empty "$1" "$2"; }
down_empty() { c_hooks_off; }
up_drop() { c_hook drop "$1" "$2"; }
down_drop() { c_hooks_off; }
up_parse() { c_hook parse "$1" "$2"; }
down_parse() { c_hooks_off; }
up_empty8() { for _ in 1 2 3 4 5 6 7 8; do c_hook empty "$1" "$2"; done; }
down_empty8() { c_hooks_off; }

# nftrace, with nothing to do; RULES of the others is what `trace set` is given, or a policy.
up_idle() { insmod "$MODULE" ring_slots=16384; }
down_idle() { rmmod nftrace; }
up_trace() {
	up_idle
	# shellcheck disable=SC2046 # Words are wanted.
	/tmp/nftrace trace set $(<"$3")
}
down_trace() { rmmod nftrace; }
# The same by the parameter, into the kernel's log.
up_ports() { insmod "$MODULE" ring_slots=16384 "ports=$(<"$3")"; }
down_ports() { rmmod nftrace; }
up_policy() {
	up_idle
	/tmp/nftrace load "$3"
}
down_policy() {
	/tmp/nftrace flush
	rmmod nftrace
}
# A policy that was compiled before.
up_compiled() {
	up_idle
	/tmp/bench load-blob "$3"
}
down_compiled() { down_policy; }

up_nft() { nft -f "$3"; }
down_nft() { nft flush ruleset; }

up_legacy() { "$(family "$1")tables-legacy-restore" <"$3"; }
down_legacy() {
	printf '*raw\nCOMMIT\n' | "$(family "$1")tables-legacy-restore"
	rmmod "$(family "$1")table_raw"
}

up_iptnft() { "$(family "$1")tables-nft-restore" <"$3"; }
down_iptnft() { nft flush ruleset; }

# RULES: what ipset restores, a line "---", what iptables-legacy restores.
up_ipset() {
	sed '/^---$/,$d' "$3" | ipset restore
	sed '1,/^---$/d' "$3" | "$(family "$1")tables-legacy-restore"
}
down_ipset() {
	down_legacy "$@"
	ipset destroy
}

# With a listener, as who traces has one.
up_nfttrace() {
	nft -f "$3"
	nft monitor trace >/dev/null &
	monitor=$!
	sleep 0.5
}
down_nfttrace() {
	kill "$monitor"
	wait "$monitor" 2>/dev/null || true
	nft flush ruleset
}

# Beside an empty hook: where there is none, nobody calls the function. Its buffer has room
# for all rounds, as nftrace's ring has: what is thrown away costs less.
up_bpftrace() {
	local i
	c_hook empty "$1" "$2"
	BPFTRACE_PERF_RB_PAGES=4096 bpftrace -q "$3" >/tmp/bpftrace.log 2>&1 &
	bpftrace=$!
	for ((i = 0; i < 240; i++)); do
		! grep -q '^nf_hook_slow ' /sys/kernel/debug/tracing/enabled_functions || return 0
		sleep 0.5
	done
	cat /tmp/bpftrace.log
	return 1
}
down_bpftrace() {
	kill -INT "$bpftrace"
	wait "$bpftrace" 2>/dev/null || true
	echo "bpftrace printed $(grep -c 'hook=' /tmp/bpftrace.log) lines"
	! grep -i 'lost ' /tmp/bpftrace.log || die "bpftrace lost what it should have printed"
	c_hooks_off
}

up_tc() {
	tc qdisc add dev bench0 clsact
	tc filter add dev bench0 ingress matchall action drop
}
down_tc() { tc qdisc del dev bench0 clsact; }

up_netdev() {
	nft 'table netdev bench {
		chain c {
			type filter hook ingress device bench0 priority 0
			drop
		}
	}'
}
down_netdev() { nft flush ruleset; }
