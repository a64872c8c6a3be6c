#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# bypass-ways.sh FIRST LAST: one datagram on each way around a policy, to the port that
# /mnt/vmtest/ports gives to that way. The topology is that of S1, and later
#
#    ctr eth0 -- veth0 -- br0 of the host -- a macvlan on it, in the namespace mac
#
# out/arrivals-ROLE.txt: what arrived; out/counters.txt: what the policy counted;
# out/outcomes.txt: what else came of attempts, a line "WAY OUTCOME".

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lab/probe.sh
. "${BASH_SOURCE[0]%/*}/probe.sh"
# shellcheck source=lab/container.sh
. "${BASH_SOURCE[0]%/*}/../../lab/container.sh"

install --mode=755 /mnt/vmtest/{nftrace,arrivals,knock} /tmp
declare -A PORT
while read -r way port; do PORT[$way]=$port; done </mnt/vmtest/ports

outcome() { printf '%s %s\n' "$1" "$2" | tee --append "$OUT/outcomes.txt"; }

# send WAY ROLE ADDRESS [PORT]   a datagram with the way's name, which the sender may be refused
send() {
	# shellcheck disable=SC2016 # The inner shell expands them.
	from "$2" bash -c 'printf %s "$0" >"/dev/udp/$1/$2"' "$1" "$3" "${4:-${PORT[$1]}}" 2>/dev/null ||
		say "$1: refused"
}

# to_all WAY ADDRESS   from the host to many; the address as socat wants it
to_all() { printf %s "$1" | socat -u - "$2:${PORT[$1]},broadcast" || say "$1: refused"; }

# craft raw|packet WAY   ctr sends to outside, past the stack's own sockets
craft() {
	say "$2: a socket of the kind $1"
	# shellcheck disable=SC2016 # They are Perl's.
	from ctr perl -e '
		use constant { AF_INET => 2, AF_PACKET => 17, SOCK_DGRAM => 2, SOCK_RAW => 3, IPPROTO_RAW => 255 };
		use constant { SOL_PACKET => 263, PACKET_QDISC_BYPASS => 20 };
		my ($how, $way, $port, $index, $gateway) = @ARGV;
		my ($from, $to) = map { pack "C4", split /[.]/ } "172.17.0.2", "10.10.10.3";
		my $udp = pack("nnnna*", 5555, $port, 8 + length $way, 0, $way);
		my $ip = pack("CCnnnCCna4a4", 0x45, 0, 20 + length $udp, 1, 0, 64, 17, 0, $from, $to);
		my $sum = unpack("%32n*", $ip);
		$sum = ($sum & 0xffff) + ($sum >> 16) for 1, 2;
		substr($ip, 10, 2) = pack("n", ~$sum & 0xffff);
		my ($socket, $address);
		if ($how eq "raw") {
			socket($socket, AF_INET, SOCK_RAW, IPPROTO_RAW) or die "$!\n";
			$address = pack("Sna4x8", AF_INET, 0, $to);
		} else {
			socket($socket, AF_PACKET, SOCK_DGRAM, unpack("S", pack("n", 0x0800))) or die "$!\n";
			setsockopt($socket, SOL_PACKET, PACKET_QDISC_BYPASS, pack("i", 1)) or die "$!\n";
			$address = pack("SniSCCa8", AF_PACKET, 0x0800, $index, 1, 0, 6, pack("H12", $gateway =~ s/://gr));
		}
		send($socket, "$ip$udp", 0, $address) or warn "$!\n";
	' "$1" "$2" "${PORT[$2]}" "$(from ctr cat /sys/class/net/eth0/ifindex)" "$(cat /sys/class/net/br0/address)"
}

listen() {
	(from "$1" /tmp/arrivals "$FIRST" "$LAST" "/tmp/ready-$1" /tmp/stop >"/tmp/arrivals-$1.txt") &
	listeners+=($!)
	await_file "/tmp/ready-$1"
}

# tunnel NAME NUMBER ARGUMENTS...   from outside to ctr, through the host; inside it is 10.77.NUMBER.0/24
tunnel() {
	local name=$1 net=10.77.$2 ns
	shift 2
	device outside "$name" type "$@" local 10.10.10.3 remote 172.17.0.2
	device ctr "$name" type "$@" local 172.17.0.2 remote 10.10.10.3
	address outside "$name" "$net.1/24"
	address ctr "$name" "$net.2/24"
	if [[ $name == vx0 ]]; then
		# Nobody has to ask who the other one is.
		for ns in outside ctr; do ip_in "$ns" link set vx0 address 02:00:00:00:00:77; done
		ip_in outside neigh replace "$net.2" lladdr 02:00:00:00:00:78 dev vx0 nud permanent
		ip_in ctr link set vx0 address 02:00:00:00:00:78
	fi
}

FIRST=$1
LAST=$2
listeners=()
machine_outside
container_behind_bridge
gateway outside 10.10.10.2
address outside eth0 10.10.10.4/24
tunnel ipip7 1 ipip
tunnel gre7 2 gre
tunnel vx0 3 vxlan id 7 dstport 4789
ip_in ctr address add 239.1.1.1/32 dev eth0 autojoin
ip_in host route add 239.0.0.0/8 dev br0
for way in redirect_{accepted,old_at_pre_routing,new_at_local_in,original,old_at_local_in}; do
	# shellcheck disable=SC2153 # read sets it.
	rule ctr iptables nat PREROUTING -p udp --dport "$((PORT[$way] + 1000))" -j REDIRECT --to-ports "${PORT[$way]}"
done
for way in tproxy_{accepted,dropped}; do
	rule host iptables mangle PREROUTING -p udp --dport "${PORT[$way]}" -j TPROXY --on-port 7500 --tproxy-mark 1
done
ip_in host rule add fwmark 1 lookup 100
ip_in host route add local default dev lo table 100
spawn host socat -u UDP4-RECV:7500,ip-transparent OPEN:/tmp/tproxied,creat,append
spawn ctr socat -u "TCP4-LISTEN:${PORT[segments_accepted]}" OPEN:/tmp/segments,creat
spawn ctr socat -u "TCP4-LISTEN:${PORT[segments_dropped]}" OPEN:/tmp/no-segments,creat
for end in "outside eth0" "host ens160" "host veth0" "ctr eth0"; do
	in_ns "${end% *}" ethtool -K "${end#* }" tso on gso on gro on
done
listen ctr
listen outside
warm_up host 172.17.0.2 fd00:17::2 10.10.10.3
warm_up outside 172.17.0.2 10.77.1.2 10.77.2.2 10.77.3.2
load_module bridge=1
run /tmp/nftrace load /mnt/vmtest/ways.policy

craft raw raw_socket_accepted
craft raw raw_socket_dropped
craft packet packet_socket_own_hooks
craft packet packet_socket_host
(timeout 120 ip netns exec ctr tcpdump -i eth0 -p -c 1 --immediate-mode -w /tmp/captured "udp port ${PORT[captured]}" 2>/tmp/capturing) &
capture=$!
for _ in {1..1200}; do ! grep -qs listening /tmp/capturing || break; sleep 0.05; done
send captured outside 172.17.0.2
if wait "$capture"; then outcome captured seen; else outcome captured unseen; fi
for kind in ipip:1 gre:2 vxlan:3; do
	send "${kind%:*}_inside_host" outside "10.77.${kind#*:}.2"
	send "${kind%:*}_inside_ctr" outside "10.77.${kind#*:}.2"
done
for verdict in accepted dropped; do
	to_all "multicast4_$verdict" UDP4-SENDTO:239.1.1.1
	to_all "multicast6_$verdict" 'UDP6-SENDTO:[ff02::1%br0]'
	to_all "broadcast_$verdict" UDP4-SENDTO:172.17.255.255
	send "loopback_$verdict" ctr 127.0.0.1
	send "tproxy_$verdict" outside 172.17.0.2
done
for way in redirect_{accepted,old_at_pre_routing,new_at_local_in,original,old_at_local_in}; do
	send "$way" outside 172.17.0.2 "$((PORT[$way] + 1000))"
done
# Nobody listens there, and outside says so.
printf 'udp 10.10.10.3 7001\nudp 10.10.10.4 7001\n' >/tmp/closed
while read -r _ to _ what; do outcome "error_from_$to" "$what"; done < <(from ctr /tmp/knock try /tmp/closed)

head -c 2000000 /dev/zero | from outside socat -u - "TCP4:172.17.0.2:${PORT[segments_accepted]}"
for _ in {1..300}; do (($(stat --format=%s /tmp/segments) < 2000000)) || break; sleep 0.1; done
outcome segments_accepted "$(stat --format=%s /tmp/segments)"
if from outside timeout 2 bash -c "exec 3<>/dev/tcp/172.17.0.2/${PORT[segments_dropped]}"; then
	outcome segments_dropped passes
else
	outcome segments_dropped silence
fi

# A namespace that was not there when the policy came.
setup_ns newborn
for way in newborn_accepted newborn_dropped; do
	# shellcheck disable=SC2016 # The inner shell expands it.
	if from newborn bash -c 'printf x >"/dev/udp/127.0.0.1/$0"' "${PORT[$way]}" 2>/dev/null; then
		outcome "$way" sent
	else
		outcome "$way" refused
	fi
done

keep counters /tmp/nftrace show --counters --json

# What stands on a bridge and is elsewhere, behind br_netfilter.
run modprobe br_netfilter
setup_ns mac
ip_in host link add mac0 link br0 type macvlan mode bridge
ip_in host link set mac0 netns mac name eth0
ip_in mac link set eth0 addrgenmode none
ip_in mac link set eth0 up
address mac eth0 172.17.0.5/16
run /tmp/nftrace load /mnt/vmtest/macvlan.policy
listen mac
warm_up ctr 172.17.0.5
send macvlan_accepted ctr 172.17.0.5
send macvlan_dropped ctr 172.17.0.5
sleep 0.3
keep macvlan /tmp/nftrace show --counters --json
touch /tmp/stop
wait "${listeners[@]}"
cp /tmp/arrivals-*.txt "$OUT"
cp /tmp/tproxied "$OUT/tproxied.txt"
unload_module
