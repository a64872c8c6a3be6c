#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# churn.sh NAMESPACES SWAPS: so many namespaces are made, send what no policy lets
# through, and go, while policies take turns under traffic (tests/src/bin/swaps).
#
# out/sent.txt: a line for each namespace: what came of what it sent, as the sender was told.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

COUNT=$1
AT_ONCE=50

install --mode=755 /mnt/vmtest/swaps /tmp
setup_ns left right
link left eth0 host vethl
link right eth0 host vethr
address host vethl 10.1.0.1/24
address host vethr 10.2.0.1/24
address left eth0 10.1.0.2/24
address right eth0 10.2.0.2/24 10.2.0.3/24
gateway left 10.1.0.1
gateway right 10.2.0.1
forwarding
warm_up left 10.2.0.2 10.2.0.3
load_module bridge=1

keep traffic /tmp/swaps traffic "$2" &
swapping=$!
for ((i = 0; i < 200; i++)); do
	! dmesg | grep -q 'policy: load: generation' || break
	sleep 0.05
done

# inside NAME   both policies drop port 9104 at post_routing, and say so
inside() {
	# shellcheck disable=SC2016 # The inner shell expands it.
	nsenter --net="/run/netns/$1" bash -c '
		ip link set lo up
		exec {fd}>/dev/udp/127.0.0.1/9104
		if printf x >&"$fd"; then echo passed; else echo dropped; fi' 2>/dev/null
}
for ((made = 0; made < COUNT; made += AT_ONCE)); do
	for ((i = 0; i < AT_ONCE; i++)); do echo "netns add n$i"; done | ip -batch -
	for ((i = 0; i < AT_ONCE; i++)); do inside "n$i"; done >>/tmp/sent
	for ((i = 0; i < AT_ONCE; i++)); do echo "netns del n$i"; done | ip -batch -
done
cp /tmp/sent "$OUT/sent.txt"
kill -0 "$swapping" 2>/dev/null && echo yes >"$OUT/still-swapping.txt"
wait "$swapping"
unload_module
