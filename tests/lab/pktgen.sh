# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# More packets at once than anybody can send.

# arm ROLE DEVICE [MAC]   readies pktgen for `generate`, once; the packets are for DEVICE, or for MAC
arm() {
	run modprobe pktgen
	# shellcheck disable=SC2016 # The inner shell expands them.
	in_ns "$1" bash -euc '
		cd /proc/net/pktgen
		mac=${1:-$(cat "/sys/class/net/$0/address")}
		for thread in kpktgend_*; do
			cpu=${thread#kpktgend_}
			echo "add_device $0@$cpu" >"$thread"
			for setting in "pkt_size 60" "xmit_mode netif_receive" "src_mac 02:00:00:00:00:01" "dst_mac $mac" \
				"src_min 10.0.0.1" "src_max 10.0.0.1" "dst 10.0.0.2" "udp_dst_min 8080" "udp_dst_max 8080"; do
				echo "$setting" >"$0@$cpu"
			done
		done' "$2" "${3:-}"
}

# generate ROLE DEVICE COUNT   from every CPU so many packets, as if DEVICE received them
generate() {
	# shellcheck disable=SC2016 # The inner shell expands them.
	in_ns "$1" bash -euc '
		cd /proc/net/pktgen
		for device in "$0"@*; do echo "count $1" >"$device"; done
		echo start >pgctrl
		cat "$0"@*' "$2" "$3"
}
