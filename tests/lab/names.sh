#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Who is who: what `nftrace ns`, `exec` and `doctor` say of
#
#    host (init_net)                        blue (ip netns)
#   +-------------------------------+      +--------------------------+
#   | br0 -- v0                     |------| eth0   nft: chain at     |
#   | nft: flow table on v0,        |      |        FORWARD, policy   |
#   |      nat at OUTPUT            |      |        drop              |
#   | br_netfilter, later than us   |      +--------------------------+
#   +-------------------------------+       web: one process in a container's
#                                           control group, with namespaces of its own
#
# At a terminal, `exec` is as good as the program itself: Ctrl-Z, Ctrl-C, the window's size.
#
# out/codes.txt: a line "what code" for each exit code; the rest is what was printed.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lab/terminal.sh
. "${BASH_SOURCE[0]%/*}/terminal.sh"

NFTRACE=/tmp/nftrace
ID=4f1c9d0e8b7a6f5e4d3c2b1a09f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6
CGROUPS=/tmp/cgroup

# A container as far as anybody can tell without its engine: the engine's file
# and control group, and namespaces.
start_container() {
	run mkdir -p "$CGROUPS" "/var/lib/docker/containers/$ID"
	mountpoint -q "$CGROUPS" || run mount -t cgroup2 none "$CGROUPS"
	run mkdir -p "$CGROUPS/docker-$ID.scope"
	printf '{"ID":"%s","Name":"/web"}\n' "$ID" >"/var/lib/docker/containers/$ID/config.v2.json"
	# shellcheck disable=SC2016 # The inner shell expands them.
	unshare --net --uts --ipc --mount --pid --fork --mount-proc bash -c '
		echo 0 >"$0/cgroup.procs"
		hostname web
		ip link set lo up
		sleep 1000 &
		echo ready >/tmp/ready
		wait' "$CGROUPS/docker-$ID.scope" &
	for _ in {1..100}; do
		[[ ! -e /tmp/ready ]] || return 0
		sleep 0.1
	done
	die "the container does not start"
}

stop_container() { # all that is in its control group
	echo 1 >"$CGROUPS/docker-$ID.scope/cgroup.kill"
	for _ in {1..100}; do
		grep -q 'populated 0' "$CGROUPS/docker-$ID.scope/cgroup.events" && return 0
		sleep 0.1
	done
	die "the container does not stop"
}

# at_a_terminal OPTION...   job control, the same whether a process is between the shell and the program
at_a_terminal() {
	local exec="$NFTRACE exec $*"
	say "at a terminal: $exec"
	# shellcheck disable=SC2016 # It is a program.
	printf '%s\n' 'trap "stty size" WINCH; trap "echo interrupted; exit 21" INT' \
		'stty size; while :; do echo >>/tmp/ticks; sleep 0.1; done' >/tmp/program
	: >/tmp/ticks
	enter "$exec -- sh /tmp/program"
	shows '33 77'
	runs /tmp/ticks yes
	key Z
	shows Stopped
	runs /tmp/ticks no
	enter 'jobs; fg'
	shows "$exec"
	runs /tmp/ticks yes
	stty --file="$(cat /tmp/tty)" rows 40
	shows '40 77'
	stty --file="$(cat /tmp/tty)" rows 33
	shows '33 77'
	key C
	shows interrupted
	enter 'echo code=$?'
	shows code=21

	enter "$exec -- sh /tmp/program & echo"
	enter 'sleep 1; kill -STOP %%; sleep 1; jobs'
	shows Stopped
	enter 'kill %%; kill -CONT %%; wait %%; echo code=$?'
	shows code=143

	# A shell's loop goes on after an exit code, and ends with a program that Ctrl-C ends.
	enter "for i in 1 2; do echo round \$((i + 10)); $exec -- sleep 1000; done"
	shows 'round 11'
	sleep 2
	key C
	enter 'echo code=$?'
	shows code=130
	shows_not 'round 12'
}

as_user() { setpriv --reuid=1000 --regid=1000 --clear-groups "$@"; }

# The folder of the test is slow to read, and this is read often.
run cp /mnt/vmtest/nftrace "$NFTRACE"
setup_ns blue
in_ns blue nft -f - <<'NFT'
table ip filter {
	chain FORWARD {
		type filter hook forward priority filter; policy drop
	}
}
NFT
load_module ports=8080
run modprobe br_netfilter
link host v0 blue eth0
bridge host br0 v0
run nft -f - <<'NFT'
table inet fast {
	flowtable way {
		hook ingress priority filter
		devices = { v0 }
	}
}
table ip nat {
	chain OUTPUT {
		type nat hook output priority -100
	}
}
NFT
set_sysctl net.ipv4.ip_forward 0
start_container

keep ns "$NFTRACE" ns --json
keep table "$NFTRACE" ns
keep doctor "$NFTRACE" doctor --json
keep doctor-text "$NFTRACE" doctor
run nft list hooks >"$OUT/nft.txt"

keep exec-netns "$NFTRACE" exec --netns blue -- ip -o link
keep exec-code "$NFTRACE" exec --container web -- sh -c 'exit 7'
keep exec-all "$NFTRACE" exec -c 4f1c9d --mount --uts --ipc --pidns -- sh -c 'hostname; echo /proc/[0-9]*; ip -o link; exit 9'
# shellcheck disable=SC2016 # The inner shell expands it.
keep exec-killed "$NFTRACE" exec -c web --pidns -- sh -c 'kill -TERM $$'
keep exec-absent "$NFTRACE" exec -c web -- no-such-program
keep exec-refused "$NFTRACE" exec -c web -- /etc/passwd
keep exec-unknown "$NFTRACE" exec -c wep -- true

# A signal for the command is one for the program.
"$NFTRACE" exec -c web --pidns -- sh -c 'trap "exit 33" TERM; echo up >/tmp/up; while :; do sleep 0.1; done' &
for _ in {1..100}; do
	[[ ! -e /tmp/up ]] || break
	sleep 0.1
done
kill -TERM $!
keep exec-signalled wait $!

# What it was started to ignore, the program ignores too, as behind nohup.
keep exec-ignored bash -c 'trap "" HUP TERM; exec "$@"' - "$NFTRACE" exec -c web --pidns -- grep SigIgn /proc/self/status

open_terminal
at_a_terminal --container web
at_a_terminal --container web --pidns
# A shell inside has jobs of its own, and leaves the terminal as it was.
enter "$NFTRACE exec --container web --pidns --uts -- bash --norc --noprofile"
enter "echo inside \$(hostname) \$((40 + 3))"
shows 'inside web 43'
enter 'sleep 1000'
sleep 1
key Z
shows 'Stopped                 sleep 1000'
enter 'exit; exit 3'
enter 'echo code=$?'
shows code=3
close_terminal

keep user-ns as_user "$NFTRACE" ns --json
keep user-doctor as_user "$NFTRACE" doctor
keep user-exec as_user "$NFTRACE" exec --netns blue -- true

stop_container
keep gone "$NFTRACE" ns --all --json
keep gone-exec "$NFTRACE" exec -c web -- true
unload_module
