#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# differential.sh COUNT IPV4 IPV6: COUNT policies, each once as ours in mid_a and once as
# rules of nftables in mid_b, which have the same addresses, and the same packets for both.
#
#    left_a            mid_a               right_a
#   +------+          +----------------+          +------+
#   | eth0 |----------| left     right |----------| eth0 |     and the same with _b
#   +------+          +----------------+          +------+
#
# Some packets come from left, others are mid's own.
#
# out/ours-N.txt, out/theirs-N.txt: the lengths of those packets that came through.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

install --mode=755 /mnt/vmtest/nftrace /tmp
COUNT=$1
read -ra OWN4 <<<"$2"
read -ra OWN6 <<<"$3"

# Behind all hooks of others; answers of mid itself do not count.
record() {
	in_ns "$1" nft -f - <<'NFT'
table inet record {
	set v4 { typeof ip length; size 65535; flags dynamic; }
	set v6 { typeof ip6 length; size 65535; flags dynamic; }
	set sent4 { typeof ip length; size 65535; flags dynamic; }
	set sent6 { typeof ip6 length; size 65535; flags dynamic; }
	chain add_length {
		update @v4 { ip length }
		update @v6 { ip6 length }
	}
	chain input { type filter hook input priority 500; iifname "left" jump add_length; }
	chain add_sent {
		update @sent4 { ip length }
		update @sent6 { ip6 length }
	}
	chain postrouting {
		type filter hook postrouting priority 500;
		iifname "left" jump add_length;
		meta mark 81 jump add_sent;
	}
}
NFT
}

# send FILE   the packets of the file as our own, as they are, with the mark 81
send() {
	perl -e '
		use constant { EPERM => 1, SOL_SOCKET => 1, SO_MARK => 36, SOCK_RAW => 3, IPPROTO_RAW => 255 };
		open(my $file, "<", $ARGV[0]) or die "$!\n";
		binmode($file);
		my %sockets;
		for my $family (2, 10) {
			socket($sockets{$family}, $family, SOCK_RAW, IPPROTO_RAW) or die "socket: $!\n";
			setsockopt($sockets{$family}, SOL_SOCKET, SO_MARK, pack("L", 81)) or die "mark: $!\n";
		}
		read($file, my $header, 24);
		while (read($file, $header, 16) == 16) {
			read($file, my $frame, unpack("x8L", $header));
			my ($kind, $packet) = unpack("x12na*", $frame);
			my ($family, $to) = $kind == 0x0800
				? (2, pack("Sx2a4x8", 2, substr($packet, 16, 4)))
				: (10, pack("Sx6a16x4", 10, substr($packet, 24, 16)));
			send($sockets{$family}, $packet, 0, $to) or $! == EPERM or die "send: $!\n";
		}' "$1"
}

for side in a b; do
	mid=mid_$side
	setup_ns "left_$side" "$mid" "right_$side"
	link "left_$side" eth0 "$mid" left
	link "right_$side" eth0 "$mid" right
	ip_in "$mid" link set left address 02:00:00:00:00:01
	set_sysctl net.ipv4.ip_forward 1 "$mid"
	set_sysctl net.ipv6.conf.all.forwarding 1 "$mid"
	address "$mid" left "${OWN4[@]/%//32}" "${OWN6[@]/%//128}"
	address "$mid" right 10.65.0.1/24 fd65::1/64
	ip_in "$mid" neigh add 10.65.0.2 lladdr 02:00:00:00:00:03 dev right nud permanent
	ip_in "$mid" neigh add fd65::2 lladdr 02:00:00:00:00:03 dev right nud permanent
	gateway "$mid" 10.65.0.2 fd65::2
	record "$mid"
done
load_module bridge=0

for ((n = 0; n < COUNT; n++)); do
	keep "load-$n" /tmp/nftrace load "/mnt/vmtest/$n.policy"
	in_ns mid_b nft -f "/mnt/vmtest/$n.nft"
	for side in a b; do
		from "mid_$side" conntrack --flush 2>/dev/null
		from "left_$side" tcpreplay --intf1=eth0 --topspeed --quiet "/mnt/vmtest/$n.pcap" >/dev/null
		from "mid_$side" bash -c "$(declare -f send); send /mnt/vmtest/$n.sent.pcap"
	done
	sleep 0.3
	keep "ours-$n" from mid_a nft --json list table inet record
	keep "theirs-$n" from mid_b nft --json list table inet record
	for side in a b; do
		from "mid_$side" nft "$(printf 'flush set inet record %s; ' v4 v6 sent4 sent6)"
	done
	in_ns mid_b nft delete table inet theirs
done
unload_module
