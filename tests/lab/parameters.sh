#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# parameters.sh load PARAMETER=VALUE...    what insmod says to each, then the empty list
# parameters.sh write PARAMETER=VALUE...   the same for sysfs, and what is traced after each write
# parameters.sh classic                    the other format, at load and switched to
#
# Results are lines with tabs between the fields.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lab/probe.sh
. "${BASH_SOURCE[0]%/*}/probe.sh"

is_loaded() { grep -q '^nftrace ' /proc/modules; }

# try FILE COMMAND...   a line of FILE: exit code, what the command said
try() {
	local file=$1 code=0 said
	shift
	said=$("$@" 2>&1) || code=$?
	printf '%s\t%s\n' "$code" "${said//$'\n'/ }" >>"$OUT/$file"
}

write() { printf '%s\n' "${1#*=}" >"$PARAMETERS/${1%%=*}"; }

# To a port that may be traced, and to another; how long they are says when they were sent.
send_both() {
	datagram 127.0.0.1 8080 "$1"
	datagram 127.0.0.1 9090 "$1"
}

local_module
case $1 in
load)
	shift
	for setting in "$@"; do
		mark "load"
		try loads.txt insmod "$MODULE" "$setting"
		! is_loaded || die "loaded with $setting"
	done
	mark "empty"
	load_module ports=
	try reads.txt cat "$PARAMETERS/ports"
	send_both 1
	unload_module
	mark "unloaded"
	;;
write)
	shift
	load_module ports=8080
	number=0
	for setting in "$@"; do
		number=$((number + 1))
		mark "write"
		try writes.txt write "$setting"
		try reads.txt cat "$PARAMETERS/ports"
		send_both "$number"
	done
	mark "written"
	try counters.txt write counters=1
	settle
	try counters.txt cat "$PARAMETERS/counters"
	try formats.txt cat "$PARAMETERS/format"
	unload_module
	;;
classic)
	setup_ns ctr
	load_module ports=8080 format=classic
	for format in classic v1 classic; do
		await "${sent:-0}" printed
		write "format=$format"
		try formats.txt cat "$PARAMETERS/format"
		mark "format"
		run ip netns exec ctr bash -c 'printf x >/dev/udp/127.0.0.1/8080'
		# The packet and the error about it are at four hooks each.
		sent=$((${sent:-0} + 8))
	done
	unload_module
	;;
*) die "$1 is neither load nor write nor classic" ;;
esac
