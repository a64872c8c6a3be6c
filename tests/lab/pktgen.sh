# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# More packets at once than anybody can send.

# generate ROLE DEVICE COUNT   pktgen: from every CPU so many packets, as if DEVICE received them
generate() {
	run modprobe pktgen
	# shellcheck disable=SC2016 # The inner shell expands them.
	in_ns "$1" bash -euc '
		cd /proc/net/pktgen
		mac=$(cat "/sys/class/net/$0/address")
		for thread in kpktgend_*; do
			cpu=${thread#kpktgend_}
			echo "add_device $0@$cpu" >"$thread"
			for setting in "count $1" "pkt_size 60" "xmit_mode netif_receive" "dst_mac $mac" "src_min 10.0.0.1" \
				"src_max 10.0.0.1" "dst 10.0.0.2" "udp_dst_min 8080" "udp_dst_max 8080"; do
				echo "$setting" >"$0@$cpu"
			done
		done
		echo start >pgctrl
		cat "$0"@*' "$2" "$3"
}
