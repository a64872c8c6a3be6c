#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# namespaces.sh COUNT: namespaces from before the module and COUNT from after;
# what is seen in each, then their end under traffic, then the module's.
#
#    host (init_net)               n1 ... n40
#   +-----------------------+     +--------------+
#   | v1 ... v40  10.1.N.1  |-----| eth0 10.1.N.2|     n41 ... : lo only
#   +-----------------------+     +--------------+
#
# out/visited.txt: a line "role inode" for each namespace that was looked into;
# out/before.txt, out/after.txt: our hooks as netfilter lists them.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lab/probe.sh
. "${BASH_SOURCE[0]%/*}/probe.sh"

COUNT=$1
LINKED=40
export HOOKS=/tmp/hooks
mkdir -p "$HOOKS"

# visit ROLE, inside of it: a datagram of each family to itself, and a dump of the hooks
visit() {
	ip link set lo up
	datagram 127.0.0.1 8080 1
	datagram ::1 8080 1
	exec nft list hooks >"$HOOKS/$1"
}

# Sends into every linked namespace in turn until told to stop; those that are
# gone are errors, and the others go on.
send_to_all() {
	local i fd fds=()
	for ((i = 1; i <= LINKED; i++)); do
		exec {fd}>"/dev/udp/10.1.$i.2/8080"
		fds+=("$fd")
	done
	while [[ ! -e /tmp/stop ]] && ((SECONDS < 300)); do
		for fd in "${fds[@]}"; do printf x >&"$fd" || true; done
	done
}

# The last one in a namespace that was taken off its name: it sends for a while
# yet, and with its end the namespace ends.
send_until_deleted() {
	local fd i
	exec {fd}>/dev/udp/127.0.0.1/8080
	while [[ -e /run/netns/$1 ]] && ((SECONDS < 300)); do printf x >&"$fd" || true; done
	for ((i = 0; i < 50; i++)); do printf x >&"$fd" || true; done
}

# How many datagrams the host sent.
sent() { awk '$1 == "Udp:" && $2 ~ /^[0-9]/ { print $5 }' /proc/net/snmp; }

local_module
setup_ns early1 early2 early3
load_module ports=8080 bridge=1

say "$COUNT namespaces, and a look into each"
for ((i = 1; i <= COUNT; i++)); do echo "netns add n$i"; done | ip -batch -
export -f visit datagram
# shellcheck disable=SC2016 # The inner shell expands it.
{
	printf '%s\n' early1 early2 early3
	for ((i = 1; i <= COUNT; i++)); do echo "n$i"; done
} | xargs --max-procs=2 -I{} nsenter --net=/run/netns/{} bash -euc 'visit "$0"' {}
(visit host)
stat --dereference --format='%n %i' /run/netns/* | sed 's|.*/||' >"$OUT/visited.txt"
grep '^host ' "$OUT/roles.txt" >>"$OUT/visited.txt"
hook_lines "$HOOKS"/* >"$OUT/before.txt"
await $((16 * (COUNT + 4))) printed

say "traffic into some of them, and inside of some"
for ((i = 1; i <= LINKED; i++)); do
	echo "link add v$i type veth peer name eth0 netns n$i"
	echo "link set v$i up"
	echo "address add 10.1.$i.1/24 dev v$i"
done | ip -batch -
for ((i = 1; i <= LINKED; i++)); do
	printf '%s\n' "address add 10.1.$i.2/24 dev eth0" "link set eth0 up" | ip -netns "n$i" -batch -
done
mark "traffic"
echo 20 >"$PARAMETERS/log_rate"
# It gives way to what is tested: without KVM, processors are slow.
send_to_all 2>/dev/null &
renice 10 $! >/dev/null
export -f send_until_deleted
for ((i = LINKED + 1; i <= LINKED + 8; i++)); do
	# shellcheck disable=SC2016 # The inner shell expands it.
	nice nsenter --net="/run/netns/n$i" bash -c 'send_until_deleted "$0"' "n$i" 2>/dev/null &
done
sleep 3

say "the end of all but two of them"
before=$(sent)
for ((i = COUNT - 2; i >= 1; i--)); do echo "netns del n$i"; done | ip -batch -
for ((i = 0; i < 200; i++)); do
	[[ -n $(compgen -G '/sys/class/net/v*') ]] || break
	sleep 0.1
done
[[ -z $(compgen -G '/sys/class/net/v*') ]] || die "namespaces live on"
printf '%s\n' $(($(sent) - before)) >"$OUT/sent.txt"
touch /tmp/stop
wait
rm -rf "$HOOKS"
mkdir -p "$HOOKS"
# A new second, in which each namespace may print again.
sleep 1.1
echo 1000 >"$PARAMETERS/log_rate"
mark "survivors"
left=(early1 early2 early3 "n$((COUNT - 1))" "n$COUNT")
for ns in "${left[@]}"; do nsenter --net="/run/netns/$ns" bash -euc "visit $ns"; done

unload_module
dump_hooks /tmp/after host "${left[@]}"
hook_lines /tmp/after/* >"$OUT/after.txt"
! grep -q '^nftrace ' /proc/modules || die "the module is still there"
