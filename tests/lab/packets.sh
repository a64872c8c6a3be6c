#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Sends the frames of /mnt/vmtest/packets.pcap into a namespace that drops them
# all right behind the trace, and counts there how many came so far.
#
#    sender                     receiver
#   +--------------------+     +------------------------------------------+
#   | eth0  tcpreplay    |-----| eth0  02:00:00:00:00:02, 198.51.100.2/24 |
#   +--------------------+     |       nft: count and drop at PRE_ROUTING |
#                              +------------------------------------------+

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

setup_ns sender receiver
link sender eth0 receiver eth0
ip_in receiver link set eth0 address 02:00:00:00:00:02
address receiver eth0 198.51.100.2/24 2001:db8:1::2/64
# Before conntrack puts fragments together (-400), behind us (INT_MIN).
in_ns receiver nft -f - <<'NFT'
table inet lab {
	counter came { }
	chain behind {
		type filter hook prerouting priority -450
		counter name came drop
	}
}
NFT

load_module ports=8080 "$@"
in_ns sender tcpreplay --intf1=eth0 --pps=200 --quiet /mnt/vmtest/packets.pcap
settle
in_ns receiver nft list counter inet lab came | tee /dev/stderr |
	sed -n 's/.*packets \([0-9]*\).*/\1/p' >"$OUT/came.txt"
cp /sys/module/nftrace/parameters/counters "$OUT/counters.txt"
unload_module
