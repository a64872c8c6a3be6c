#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# device.sh read      every way to read /dev/nftrace, and who may not
# device.sh flood     readers of every speed under a flood; one is killed in the middle
# device.sh command   nftrace trace, watch and record, live
#
# out/codes.txt: a line "what code" for each exit code; the rest is what was printed.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lab/probe.sh
. "${BASH_SOURCE[0]%/*}/probe.sh"
# shellcheck source=tests/lab/pktgen.sh
. "${BASH_SOURCE[0]%/*}/pktgen.sh"

NFTRACE=/mnt/vmtest/nftrace
PROBE=/tmp/device
cp /mnt/vmtest/device "$PROBE"
chmod 755 "$PROBE"

case $1 in
read)
	load_module log_rate=1
	run "$NFTRACE" trace set --port 8080
	keep checks "$PROBE" checks
	cp "$NFTRACE" /tmp/nftrace
	chmod 755 /tmp/nftrace
	keep user setpriv --reuid=65534 --regid=65534 --clear-groups /tmp/nftrace watch
	# Without a capability root is nobody either, also with a file that is already open.
	keep powerless setpriv --bounding-set=-net_admin "$NFTRACE" trace show
	exec {held}</dev/nftrace
	keep busy rmmod nftrace
	exec {held}>&-
	;;
flood)
	setup_ns ctr
	link host veth0 ctr eth0
	address ctr eth0 10.0.0.2/24
	count_and_drop ctr
	arm ctr eth0
	load_module log_rate=1
	run "$NFTRACE" trace set --port 8080 --proto udp
	"$NFTRACE" watch --json --ready-file /tmp/watching >/dev/null &
	victim=$!
	"$PROBE" flood /tmp/ready /tmp/stop >"$OUT/flood.txt" &
	probe=$!
	await_file /tmp/ready
	await_file /tmp/watching
	(sleep 0.2; kill -KILL "$victim") &
	generate ctr eth0 30000
	dropped ctr >"$OUT/passed.txt"
	sleep 0.5
	touch /tmp/stop
	wait "$probe"
	;;
command)
	load_module log_rate=1
	keep nothing "$NFTRACE" trace show
	keep set "$NFTRACE" trace set --proto udp --host 127.0.0.0/8 -- 'udp port 8080'
	keep show "$NFTRACE" trace show
	keep json "$NFTRACE" trace show --json
	"$NFTRACE" watch --json -c 4 --ready-file /tmp/watching >"$OUT/watch.txt" 2>"$OUT/watch.err" &
	watch=$!
	"$NFTRACE" watch --ready-file /tmp/watching-too >"$OUT/interrupted.txt" 2>"$OUT/interrupted.err" &
	interrupted=$!
	await_file /tmp/watching
	await_file /tmp/watching-too
	declare -f datagram datagrams >/tmp/send.sh
	keep record "$NFTRACE" record "$OUT/live.nft" -- bash -c '. /tmp/send.sh; datagram 127.0.0.1 8080 77; datagram 127.0.0.1 9090 5; exit 7'
	wait "$watch"
	sleep 0.3
	kill -INT "$interrupted"
	code=0
	wait "$interrupted" || code=$?
	printf 'interrupted %s\n' "$code" >>"$OUT/codes.txt"
	keep replay "$NFTRACE" watch --json "$OUT/live.nft"
	keep pcapng "$NFTRACE" record --pcapng --from "$OUT/live.nft" "$OUT/live.pcapng"
	keep timed "$NFTRACE" record --for 300ms --all "$OUT/timed.nft"
	keep off "$NFTRACE" trace off
	datagram 127.0.0.1 8080 99
	keep after "$NFTRACE" watch --all --for 300ms --json
	;;
*) die "$1 is neither read nor flood nor command" ;;
esac
unload_module
