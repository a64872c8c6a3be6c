#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# harness.sh well|fail|crash|complain|sleep|hang: the ends that a script can come to.

set -euo pipefail

case $1 in
well)
	uname --kernel-release
	ip -brief link
	printf '%s\n' "$GREETING" >/mnt/vmtest/out/greeting.txt
	# Each may be loaded by a lab; a guest that lacks one is of no use.
	modprobe --all veth bridge br_netfilter nf_tables nft_chain_nat macvlan ipvlan vxlan nfnetlink_queue
	;;
fail)
	echo "about to fail"
	exit 3
	;;
crash)
	echo c >/proc/sysrq-trigger
	sleep 60
	;;
complain) echo "<4>WARNING: made up by a test" >/dev/kmsg ;;
sleep) exec sleep infinity ;;
hang) # nobody is left who would stop the script or write a log
	kill -STOP "$PPID" "$(pgrep --full /mnt/vmtest/tests/lab/run --oldest)"
	sleep infinity
	;;
*) exit 2 ;;
esac
