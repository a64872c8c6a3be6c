#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Each rule set that the test gives us is loaded by the tool that its name ends in, in a
# namespace of its own.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

for file in /mnt/vmtest/rules-*; do
	name=${file##*/}
	case $name in
	*.nft) keep "$name" unshare --net nft --file "$file" ;;
	*.ipv4.iptables) keep "$name" unshare --net iptables-legacy-restore "$file" ;;
	*.ipv6.iptables) keep "$name" unshare --net ip6tables-legacy-restore "$file" ;;
	*.ipset)
		command -v ipset >/dev/null || continue
		keep "$name" unshare --net ipset -file "$file" restore
		;;
	esac
done
