#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# verdicts.sh FIRST LAST: packets of every kind on every way, under the policies that
# tests/tests/verdicts made; and attempts to reach the ports FIRST to LAST.
#
#    outside               host                                   ctr
#   +------------+        +---------------------------------+    +------------+
#   | eth0       |--------| ens160          br0 -- veth0    |----| eth0       |
#   | 10.10.10.3 |        | 10.10.10.2/24   172.17.0.1/16   |    | 172.17.0.2 |
#   | fd00:10::3 |        | fd00:10::2      fd00:17::1      |    | fd00:17::2 |
#   +------------+        |                     |           |    +------------+
#                         |                   veth1         |    | 172.17.0.4 |
#                         | DNAT :8081 -> 172.17.0.2:8080   |----| other      |
#                         +---------------------------------+    +------------+
#
# out/WAY-PROTOCOL.txt: the counters of all rules; out/FROM-knocks.txt: what came of attempts.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lab/probe.sh
. "${BASH_SOURCE[0]%/*}/probe.sh"
# shellcheck source=lab/container.sh
. "${BASH_SOURCE[0]%/*}/../../lab/container.sh"

install --mode=755 /mnt/vmtest/{nftrace,knock,queue} /tmp
FIRST=$1
LAST=$2

setup_ns bystander other
machine_outside
container_behind_bridge
link host veth1 other eth0
ip_in host link set veth1 master br0
address other eth0 172.17.0.4/16 fd00:17::4/64
gateway outside 10.10.10.2 fd00:10::2
warm_up host 172.17.0.2 fd00:17::2 10.10.10.3 fd00:10::3
warm_up other 172.17.0.2 fd00:17::2 172.17.0.1 fd00:17::1
warm_up outside 172.17.0.2 fd00:17::2

# Neighbours know each other for good: nothing but what is sent here is on the way.
# knows ROLE DEVICE ROLE DEVICE ADDRESS...   the first knows the addresses of the second
knows() {
	local role=$1 device=$2 mac address
	mac=$(from "$3" cat "/sys/class/net/$4/address")
	shift 4
	for address in "$@"; do
		ip_in "$role" neigh replace "$address" lladdr "$mac" dev "$device" nud permanent
	done
}
knows outside eth0 host ens160 10.10.10.2 fd00:10::2
knows host ens160 outside eth0 10.10.10.3 fd00:10::3
for role in ctr other; do knows "$role" eth0 host br0 172.17.0.1 fd00:17::1; done
knows host br0 ctr eth0 172.17.0.2 fd00:17::2
knows host br0 other eth0 172.17.0.4 fd00:17::4
knows ctr eth0 other eth0 172.17.0.4 fd00:17::4
knows other eth0 ctr eth0 172.17.0.2 fd00:17::2
# Every device marks what comes in.
marks() {
	in_ns "$1" tc qdisc add dev "$2" clsact
	in_ns "$1" tc filter add dev "$2" ingress matchall action skbedit mark 0x17
}
marks host ens160
marks host veth1
marks ctr eth0
# mute -A|-D   nobody answers, or again
mute() {
	local role tables
	for role in host ctr; do
		for tables in iptables ip6tables; do in_ns "$role" "$tables" --wait "$1" OUTPUT -j DROP; done
	done
}
mute -A
for role in host ctr; do
	# Conntrack would see the answer before it is dropped.
	set_sysctl net.ipv4.icmp_echo_ignore_all 1 "$role"
	set_sysctl net.ipv6.icmp.echo_ignore_all 1 "$role"
done
for role in host outside ctr; do
	set_sysctl net.ipv4.icmp_ratelimit 0 "$role"
	set_sysctl net.ipv6.icmp.ratelimit 0 "$role"
done
set_sysctl net.ipv4.icmp_msgs_per_sec 100000

# Who sends and who receives has groups of both kinds of its own.
mkdir -p /tmp/net_cls
mountpoint -q /sys/fs/cgroup || mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t cgroup -o net_cls net_cls /tmp/net_cls
for group in sender:0x100001 receiver:0x200002 bystander:0x300003; do
	mkdir -p "/sys/fs/cgroup/${group%:*}/inner" "/tmp/net_cls/${group%:*}"
	echo "${group#*:}" >"/tmp/net_cls/${group%:*}/net_cls.classid"
done

# as GROUP UID ROLE COMMAND...   in a group, as a user, in a namespace
as() {
	local group=$1 user=$2 role=$3
	shift 3
	echo "$BASHPID" >"/sys/fs/cgroup/$group/inner/cgroup.procs"
	echo "$BASHPID" >"/tmp/net_cls/$group/cgroup.procs"
	from "$role" setpriv --reuid "$user" --clear-groups "$@"
}

receive() { # receive ROLE sink|echo FIRST LAST
	local ready=/tmp/ready-$1-$3
	install --mode=666 /dev/null "$ready"
	rm "$ready"
	(as receiver 2345 "$1" /tmp/knock "$2" "$3" "$4" "$ready" </dev/null >/dev/null 2>&1) &
	await_file "$ready"
}
chmod 1777 /tmp
receive ctr sink 8080 8080
receive host sink 8080 8080
# A thousand rules that only count are all asked about each packet.
load_module bridge=1 max_bound=100000

# packets PROTOCOL ROLE ADDRESS PORT
packets() {
	case $1 in
	udp) (as sender 1234 "$2" /tmp/knock send udp 5555 "$3" "$4" 3 100) ;;
	tcp) (as sender 1234 "$2" /tmp/knock send tcp 5555 "$3" "$4" 1 0) ;;
	fragments) (as sender 1234 "$2" /tmp/knock send udp 5555 "$3" "$4" 1 4000) ;;
	icmp) (as sender 0 "$2" ping -n -q -c 3 -i 0.2 -W 1 -m 23 "$3" || true) ;;
	esac
}

# event WAY PROTOCOL ROLE PORT ADDRESS...   under a policy of its own
event() {
	local name=$1-$2 protocol=$2 role=$3 port=$4 address
	shift 4
	run /tmp/nftrace flush
	keep "$name-load" /tmp/nftrace load "/mnt/vmtest/$name.policy"
	for address in "$@"; do packets "$protocol" "$role" "$address" "$port"; done
	sleep 0.2
	keep "$name" /tmp/nftrace show --counters --json
}

# Before anything makes the host put fragments together.
event routed fragments outside 8080 172.17.0.2 fd00:17::2
event bridged fragments other 8080 172.17.0.2 fd00:17::2
event tohost fragments other 8080 172.17.0.1 fd00:17::1
for protocol in udp tcp; do
	rule host iptables nat PREROUTING -p "$protocol" -d 10.10.10.2 --dport 8081 -j DNAT --to-destination 172.17.0.2:8080
	rule host ip6tables nat PREROUTING -p "$protocol" -d fd00:10::2 --dport 8081 -j DNAT --to-destination '[fd00:17::2]:8080'
done
for protocol in udp tcp; do
	event routed "$protocol" outside 8081 10.10.10.2 fd00:10::2
done
event routed icmp outside 0 172.17.0.2 fd00:17::2
for protocol in udp tcp icmp; do
	event bridged "$protocol" other 8080 172.17.0.2 fd00:17::2
	event tohost "$protocol" other 8080 172.17.0.1 fd00:17::1
done

# forgotten ADDRESS PORT   a connection that says something once /tmp/forgotten is there
forgotten() {
	# shellcheck disable=SC2016 # The inner shell expands them.
	from outside bash -c '
		exec 3<>"/dev/tcp/$0/$1"
		touch /tmp/connected
		while [[ ! -e /tmp/forgotten ]]; do sleep 0.1; done
		printf something >&3
		sleep 0.3' "$1" "$2"
}

# Now answers are wanted.
mute -D
receive ctr echo "$FIRST" "$LAST"
receive host echo "$FIRST" "$LAST"

# States: one that conntrack has never seen, and one that it has forgotten.
for tables in iptables ip6tables; do
	for end in sport dport; do
		rule host "$tables" raw PREROUTING -p udp "--$end" 9001 -j CT --notrack
	done
done
run /tmp/nftrace flush
keep states-load /tmp/nftrace load /mnt/vmtest/states.policy
set_sysctl net.netfilter.nf_conntrack_tcp_loose 0
for address in 172.17.0.2 fd00:17::2; do
	printf 'udp %s %s\n' "$address" 9000 "$address" 9001 "$address" 7 >/tmp/states.list
	keep states-knocks from outside /tmp/knock try /tmp/states.list
	rm -f /tmp/connected /tmp/forgotten
	forgotten "$address" 9002 &
	speaker=$!
	await_file /tmp/connected
	run conntrack --flush
	touch /tmp/forgotten
	wait "$speaker"
done
keep states /tmp/nftrace show --counters --json
keep enforced-load /tmp/nftrace load /mnt/vmtest/enforced.policy
for role in outside host ctr; do
	spawn "$role" /tmp/queue 5 accept
	spawn "$role" /tmp/queue 6 drop
done
sleep 1
for role in outside other; do
	keep "$role-knocks" from "$role" /tmp/knock try "/mnt/vmtest/$role.list"
done
keep enforced /tmp/nftrace show --counters --json
unload_module
