#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# soak.sh SECONDS COUNT: everything at once for so long. Every CPU makes bursts of COUNT
# packets that a policy drops and that are traced into the rings and into the kernel's log;
# readers of every speed, one of which never reads, and some that are killed; policies take
# each other's place, and addresses come and go in a set; namespaces come and go; and a
# process that wants nothing but to run, and to be told something. Then the module is
# loaded and unloaded a few times, with less of the same.
#
# out/flood.txt: what the readers say; out/numbers.txt: "WHAT NUMBER", how much of it there
# was; out/beats.txt: when the process ran, and how long it had waited for an answer, in
# milliseconds; out/memory.txt: "WHEN SLAB VMALLOC AVAILABLE" in kB, before, in each round,
# and after.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lab/probe.sh
. "${BASH_SOURCE[0]%/*}/probe.sh"
# shellcheck source=tests/lab/pktgen.sh
. "${BASH_SOURCE[0]%/*}/pktgen.sh"

DURATION=$1
COUNT=$2
install --mode=755 /mnt/vmtest/{nftrace,device} /tmp

memory() {
	awk -v when="$1" '
		/^Slab:/ { slab = $2 }
		/^VmallocUsed:/ { vmalloc = $2 }
		/^MemAvailable:/ { available = $2 }
		END { print when, slab, vmalloc, available }' /proc/meminfo >>"$OUT/memory.txt"
}

is_over() { [[ -e /tmp/over ]]; }

# beat   says every tenth of a second that it runs, may send a datagram, and gets an answer
beat() {
	local begun now
	until is_over; do
		begun=${EPOCHREALTIME/./}
		printf x >/dev/udp/127.0.0.1/9
		cat "$PARAMETERS/counters" >/dev/null
		/bin/true
		now=${EPOCHREALTIME/./}
		echo "${now%???} $(((now - begun) / 1000))"
		sleep 0.1
	done
}

swap() {
	local i=0
	until is_over; do
		/tmp/nftrace load --keep-sets "/tmp/policy$((i++ % 2))" || echo load >>"$OUT/failed.txt"
		echo "$i" >/tmp/swaps
		sleep 0.5
	done
}

# bans   the set is another every time, and the policy may be one that came meanwhile
bans() {
	local i=0
	until is_over; do
		/tmp/nftrace set add banned "192.0.$((i % 200)).0/24" "2001:db8:$((i % 200))::/48" || echo add >>"$OUT/failed.txt"
		/tmp/nftrace set del banned "192.0.$((i % 200)).0/24" || echo del >>"$OUT/failed.txt"
		echo $((i += 2)) >/tmp/bans
		sleep 0.3
	done
}

churn() {
	local i=0
	until is_over; do
		printf 'netns add brief%s\n' {1..5} | ip -batch -
		printf 'netns del brief%s\n' {1..5} | ip -batch -
		echo $((i += 5)) >/tmp/namespaces
	done
}

# kills   readers that are gone in the middle of a record
kills() {
	local i=0 reader
	until is_over; do
		/tmp/nftrace watch >/dev/null 2>&1 &
		reader=$!
		sleep 0.4
		kill -KILL "$reader" || true
		wait "$reader" || true
		echo $((++i)) >/tmp/kills
	done
}

# Both drop the flood by the same rule, whose counter goes on.
rule='drop udp to 10.0.0.2 port 8080 at pre_routing'
banned='set banned dynamic = { 198.51.100.0/24 }'
printf '%s\n' "$banned" 'drop from @banned' "$rule" 'default drop in new' >/tmp/policy0
printf 'drop tcp to any port %s\n' {1..200} | cat <(printf '%s\n' "$banned" 'drop from @banned') - <(printf '%s\n' "$rule") >/tmp/policy1

setup_ns ctr
link host veth0 ctr eth0
address ctr eth0 10.0.0.2/24
arm ctr eth0
memory before
load_module ports=8080 log_rate=50 ring_slots=1024
/tmp/nftrace load /tmp/policy0
/tmp/device flood /tmp/ready /tmp/stop >"$OUT/flood.txt" &
readers=$!
await_file /tmp/ready
generate ctr eth0 "$COUNT" >/dev/null
bursts=1
memory 0
beat >"$OUT/beats.txt" 2>/dev/null &
others=($!)
for one in swap bans churn kills; do
	"$one" >/dev/null &
	others+=($!)
done
for ((start = SECONDS; SECONDS - start < DURATION; )); do
	generate ctr eth0 "$COUNT" >/dev/null
	memory $((bursts++))
done
touch /tmp/over
wait "${others[@]}"
for one in swaps bans namespaces kills; do echo "$one $(cat "/tmp/$one")"; done >"$OUT/numbers.txt"
printf '%s %s\n' packets "$((bursts * COUNT * $(nproc)))" seconds "$((SECONDS - start))" >>"$OUT/numbers.txt"
sleep 1
touch /tmp/stop
wait "$readers"
settle
keep policy /tmp/nftrace show --counters --json
cp "$PARAMETERS/counters" "$OUT/counters.txt"
/tmp/nftrace flush
unload_module
memory after
for ((round = 0; round < 3; round++)); do
	load_module ports=8080 log_rate=5 ring_slots=1024
	/tmp/nftrace load "/tmp/policy$((round % 2))"
	generate ctr eth0 $((COUNT / 10)) >/dev/null
	/tmp/nftrace flush
	unload_module
done
memory reloaded
