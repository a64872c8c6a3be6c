#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# reload.sh COUNT: the module comes and goes COUNT times, while two containers
# on a bridge talk and, in the second half, other namespaces come and go.
#
# out/fetches.txt: pages that were fetched, and how many could not be;
# out/before.txt: our hooks while it was loaded last, out/after.txt: after it.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=lab/pair.sh
. "${BASH_SOURCE[0]%/*}/../../lab/pair.sh"
# shellcheck source=tests/lab/probe.sh
. "${BASH_SOURCE[0]%/*}/probe.sh"

COUNT=$1

# Until told to stop, but not for ever.
goes_on() { [[ ! -e /tmp/stop ]] && ((SECONDS < 300)); }

# rest SECONDS   so that others get to run; without a process, which costs more than the rest
rest() {
	[[ -n ${silent:-} ]] || exec {silent}<> <(:)
	read -r -t "$1" -u "$silent" || true
}

# Pages, one after the other, each by a connection of its own.
fetch_all() {
	local good=0 bad=0 fd page
	while goes_on; do
		page=
		if exec {fd}<>"/dev/tcp/$1/8080"; then
			printf 'GET / HTTP/1.0\r\n\r\n' >&"$fd"
			IFS= read -r -d '' -t 10 -u "$fd" page || true
			exec {fd}>&-
		fi
		if [[ $page == *"hello from ctrB"* ]]; then good=$((good + 1)); else bad=$((bad + 1)); fi
		rest 0.05
	done
	printf '%s %s\n' "$good" "$bad" >"$OUT/fetches.txt"
}

# Datagrams, ten at a time.
send_all() {
	local fd i=0
	exec {fd}>"/dev/udp/$1/8080"
	while goes_on; do
		printf x >&"$fd" || true
		((++i % 10)) || rest 0.02
	done
}

# Namespaces that come and go.
churn() {
	local i=0
	while goes_on; do
		i=$((i + 1))
		printf '%s\n' "netns add churn$i" "netns add twin$i" "netns del churn$i" "netns del twin$i" | ip -batch -
		rest 0.05
	done
	printf '%s\n' "$i" >"$OUT/churned.txt"
}

local_module
two_containers ipv4
modprobe br_netfilter
bridge_calls_iptables 1
mkdir -p "$OUT"
export -f goes_on rest fetch_all send_all
export OUT
# The traffic gives way to insmod and rmmod: without KVM, processors are slow.
# shellcheck disable=SC2016 # The inner shell expands it.
{
	nice ip netns exec ctrA bash -c 'fetch_all "$0"' "$(server_of ipv4)" &
	traffic=($!)
	nice ip netns exec ctrA bash -c 'send_all "$0" 2>/dev/null' "$(server_of ipv4)" &
	traffic+=($!)
	ip netns exec ctrB ping -n -q -i 0.01 172.17.0.2 >/dev/null &
	ping=$!
}

for ((i = 1; i <= COUNT; i++)); do
	((i != COUNT / 2)) || {
		churn &
		traffic+=($!)
		renice 10 $! >/dev/null
	}
	insmod "$MODULE" ports=8080 log_rate=30 bridge=$((i % 2))
	# Each load is one under traffic, however slow the machine is.
	await 1 printed suppressed
	# Not always the same moment of what goes on.
	sleep "0.0$((i % 10))"
	if ((i == COUNT)); then
		# The load that is looked at takes all that it gets.
		dump_hooks /tmp/before host ctrA ctrB
		hook_lines /tmp/before/* >"$OUT/before.txt"
	fi
	rmmod nftrace
done
mark "over"
sleep 0.5
touch /tmp/stop
kill "$ping"
# Not for the server, which is a child of ours too and goes on.
wait "${traffic[@]}"

dump_hooks /tmp/after host ctrA ctrB
hook_lines /tmp/after/* >"$OUT/after.txt"
cp /proc/modules "$OUT/modules.txt"
