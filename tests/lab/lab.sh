#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# lab.sh run SCENARIO [VARIANT]   `nftrace lab run`: out/journeys.txt
# lab.sh docker                   the same for S16: out/s16.json
# lab.sh user                     what somebody may who is not root: out/NAME.txt, out/NAME.err, out/codes.txt
# lab.sh clean                    what is left after each end of a lab: out/left.txt has nothing

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

NFTRACE=/tmp/nftrace
install --mode=755 /mnt/vmtest/nftrace "$NFTRACE"

# Everything of the machine that a lab might change.
machine() {
	ip -brief link
	ip route
	ip netns
	lsns --noheadings --type net --output NS | sort
	nft list ruleset
	sysctl --all --pattern 'ip_forward|route_localnet' 2>/dev/null
	ls /run
	grep -c . /proc/mounts
	"$NFTRACE" trace show
	find /tmp -maxdepth 1 ! -name before ! -name after | sort
}

# unchanged WHAT   within ten seconds
unchanged() {
	local i
	for ((i = 0; i < 50; i++)); do
		machine >/tmp/after
		! cmp --silent /tmp/before /tmp/after || return 0
		sleep 0.2
	done
	{
		echo "after $1:"
		diff /tmp/before /tmp/after
	} | tee -a "$OUT/left.txt"
}

# expect CODE COMMAND...
expect() {
	local want=$1 got=0
	shift
	"$@" || got=$?
	[[ $got == "$want" ]] || die "exit code $got, not $want: $*"
}

load_module ports=
case $1 in
run) "$NFTRACE" lab run --quiet "$2" ${3:+"$3"} | tee "$OUT/journeys.txt" ;;
clean)
	: >"$OUT/left.txt"
	# The first one has modules loaded, and folders made.
	"$NFTRACE" lab run --quiet S8 >/dev/null
	"$NFTRACE" trace set --port 12345
	mkdir -p /run/nftrace/lab
	machine >/tmp/before

	"$NFTRACE" lab run --quiet S8 --json >"$OUT/run.json"
	unchanged "run"

	say "up, a second time, run, down, a second time"
	"$NFTRACE" lab up --quiet S8
	expect 1 "$NFTRACE" lab up --quiet S8
	"$NFTRACE" lab list S8 --json >"$OUT/list.json"
	"$NFTRACE" lab run --quiet S8 --json >"$OUT/up.json"
	"$NFTRACE" lab down S8
	expect 1 "$NFTRACE" lab down S8
	unchanged "up and down"

	say "killed in the middle of its traffic"
	"$NFTRACE" lab run --quiet S14 >/dev/null &
	lab=$!
	for ((i = 0; i < 300; i++)); do
		[[ $("$NFTRACE" trace show) == *12345* ]] || break
		sleep 0.1
	done
	((i < 300)) || die "S14 never got to its traffic"
	kill -KILL "$lab"
	unchanged "SIGKILL"

	expect 2 "$NFTRACE" lab run S99
	expect 2 "$NFTRACE" lab run S8 nonsense
	;;
docker) "$NFTRACE" lab run --quiet S16 --json >"$OUT/s16.json" ;;
user)
	run install --directory --owner=1000 --mode=700 /run/user/1000
	as_user() { setpriv --reuid=1000 --regid=1000 --clear-groups env XDG_RUNTIME_DIR=/run/user/1000 "$@"; }
	keep list as_user "$NFTRACE" lab list --json
	keep traffic as_user "$NFTRACE" lab run S8
	keep journeys as_user "$NFTRACE" lab run --quiet S8 --json
	keep up as_user "$NFTRACE" lab up --quiet S1
	keep again as_user "$NFTRACE" lab run --quiet S1
	keep down as_user "$NFTRACE" lab down S1
	keep docker as_user "$NFTRACE" lab run --quiet S16
	keep bridge as_user "$NFTRACE" lab run --quiet S3
	;;
*) die "$1 is none of run, clean, docker, user" ;;
esac
unload_module
