#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# S17: a queue: the host's policy hands a container's packets to a program
#
# The policy's rule at the host's FORWARD hands requests to NFQUEUE 5. The variant held
# has a program on the host that lets each go on after 50 ms, refused one that drops
# them. Nobody listens in bypass and absent: the rule says accept in the one and drop in
# the other. In inside somebody listens, but in the container's namespace, not the host's.
#
#    outside               host                                  ctr
#   +------------+        +--------------------------------+     +-------------+
#   | eth0       |--------| ens160    queue 5   br0 - veth0|-----| eth0        |
#   | 10.10.10.3 |        | 10.10.10.2/24   172.17.0.1/16  |     | 172.17.0.2  |
#   +------------+        |                                |     | httpd :8080 |
#                         +--------------------------------+     +-------------+
#
# variants: held refused bypass absent inside
# ports: 8080
# modules: veth bridge nfnetlink_queue
# programs: ip ethtool ping sysctl ss curl busybox perl
# root: it tries a policy

# shellcheck source=lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=lab/container.sh
. "${BASH_SOURCE[0]%/*}/container.sh"

# consumer ROLE accept|drop   listens on queue 5, and decides after 50 ms
consumer() {
	local i program=$LAB_STATE/queue.pl
	cat >"$program" <<'PERL'
# As linux/netfilter/nfnetlink_queue.h says.
use constant { AF_NETLINK => 16, SOCK_RAW => 3, NETLINK_NETFILTER => 12, QUEUE => 3 << 8 };
use constant { PACKET => 0, VERDICT => 1, CONFIG => 2 };
my ($number, $verdict) = @ARGV;
my $kernel = pack("SSLL", AF_NETLINK, 0, 0, 0);
socket(my $socket, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER) or die "socket: $!\n";
bind($socket, $kernel) or die "bind: $!\n";

sub ask {
	my ($kind, $attribute, $value) = @_;
	my $body = pack("CCnSSa*", 0, 0, $number, 4 + length $value, $attribute, $value);
	$body .= "\0" x (-length($body) & 3);
	my $message = pack("LSSLLa*", 16 + length $body, QUEUE | $kind, 1, 0, 0, $body);
	send($socket, $message, 0, $kernel) or die "send: $!\n";
}

# Binds to the queue; wants no packet's data.
ask(CONFIG, 1, pack("CCn", 1, 0, 2));
ask(CONFIG, 2, pack("NC", 0, 1));
while (defined recv($socket, my $message, 65536, 0)) {
	next if unpack("x4S", $message) != (QUEUE | PACKET);
	for (my $at = 20; $at + 8 <= length $message; ) {
		my ($len, $attribute, $id) = unpack("x${at}SSN", $message);
		if (($attribute & 0x3fff) == 1) {
			select(undef, undef, undef, 0.05);
			ask(VERDICT, 2, pack("NN", $verdict eq "accept", $id));
			last;
		}
		$at += ($len + 3) & ~3;
	}
}
PERL
	spawn "$1" perl "$program" 5 "$2"
	for ((i = 0; i < 100; i++)); do
		! from "$1" grep -qs '^ *5 ' /proc/net/netfilter/nfnetlink_queue || return 0
		sleep 0.1
	done
	die "nobody listens on queue 5 in $1"
}

up() {
	machine_outside
	container_behind_bridge
	gateway outside 10.10.10.2
	modprobe nfnetlink_queue 2>/dev/null || true
	case $1 in
	held) consumer host accept ;;
	refused) consumer host drop ;;
	inside) consumer ctr accept ;;
	esac
	http_server ctr 172.17.0.2 8080
	warm_up outside 172.17.0.2
}

nftrace() { "${NFTRACE:-nftrace}" "$@"; }

traffic() {
	local otherwise=drop want=failed code=0
	[[ $1 != bypass ]] || otherwise=accept
	case $1 in held | bypass) want=ok ;; esac
	[[ $(nftrace show --json) == '{"generation":0,'* ]] || die "a policy is in force; S17 leaves it alone"
	printf 'queue 5 else %s tcp to 172.17.0.2 port 8080 at forward in pid:%s\n' "$otherwise" $$ |
		tee "$LAB_STATE/policy"
	# Should we be killed, it is gone in a minute.
	run nftrace try --for 60s "$LAB_STATE/policy"
	(http_get outside 172.17.0.2 8080 "$want") || code=$?
	run nftrace rollback
	return "$code"
}

lab "$@"
