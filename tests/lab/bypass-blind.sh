#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# bypass-blind.sh FIRST LAST: ways on which packets go past the host's hooks, and what the
# doctor says of them.
#
#    outside               host                       ctr
#   +------------+        +----------------------+   +------------+
#   | eth0       |--------| ens160         veth0 |---| eth0       |
#   | 10.10.10.3 |        | 10.10.10.2           |   | 172.17.0.2 |
#   +------------+        +----------------------+   +------------+
#
# out/flow.txt: what came on a flow that a flow table had taken over; the rest is as in
# bypass-ways.sh.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lab/probe.sh
. "${BASH_SOURCE[0]%/*}/probe.sh"
# shellcheck source=lab/container.sh
. "${BASH_SOURCE[0]%/*}/../../lab/container.sh"

install --mode=755 /mnt/vmtest/{nftrace,arrivals} /tmp
declare -A PORT
while read -r way port; do PORT[$way]=$port; done </mnt/vmtest/ports

send() { # send WAY
	printf %s "$1" | from outside socat -u - "UDP4-SENDTO:172.17.0.2:${PORT[$1]},sourceport=5555"
}

# flow TEXT   one datagram on the flow; it is there on return, or two seconds later
flow() {
	local i
	printf '%s\n' "$1" | from outside socat -u - UDP4-SENDTO:172.17.0.2:8999,sourceport=5555
	for ((i = 0; i < 20; i++)); do ! grep -qsx "$1" /tmp/flow || break; sleep 0.1; done
}

# conntrack_says WORD   of the flow, at last
conntrack_says() {
	local i
	for ((i = 0; i < 100; i++)); do
		! conntrack -L --proto udp --dport 8999 2>/dev/null | grep -q "$1" || return 0
		sleep 0.1
	done
	die "conntrack does not say $1: $(conntrack -L --proto udp 2>/dev/null)"
}

machine_outside
setup_ns ctr
# The program of /mnt/vmtest/redirect.o knows it by this number.
ip_in host link add veth0 index 77 type veth peer name eth0 netns ctr
undo ip link del veth0
quiet_device host veth0
quiet_device ctr eth0
ip_in host link set veth0 up
# What is for the host is then for ctr as well.
ip_in host link set ens160 address 02:00:00:00:00:10
ip_in ctr link set eth0 address 02:00:00:00:00:10
ip_in ctr link set eth0 up
address host veth0 172.17.0.1/16
address ctr eth0 172.17.0.2/16
gateway ctr 172.17.0.1
gateway outside 10.10.10.2
forwarding
warm_up outside 172.17.0.2
(from ctr /tmp/arrivals "$1" "$2" /tmp/ready /tmp/stop >/tmp/arrivals-ctr.txt) &
listener=$!
await_file /tmp/ready
load_module bridge=1
keep healthy /tmp/nftrace doctor --json

# A flow that the flow table takes over, and rules that come later.
spawn ctr socat -t 20 UDP4-RECVFROM:8999,fork SYSTEM:'tee --append /tmp/flow'
await_listener ctr udp 8999
nft -f - <<'NFT'
table ip fast {
	flowtable way {
		hook ingress priority filter
		devices = { ens160, veth0 }
	}
	chain forward {
		type filter hook forward priority filter
		ct state established flow add @way
	}
}
NFT
flow first
# The answer came.
conntrack_says 'dport=8999 src=172.17.0.2'
flow second
conntrack_says OFFLOAD
run /tmp/nftrace load /mnt/vmtest/blind.policy
flow third
keep flow-counters /tmp/nftrace show --counters --json

# Filters of tc, then a program of XDP, that send all of it elsewhere.
run tc qdisc add dev ens160 clsact
run tc filter add dev ens160 ingress protocol ip matchall action mirred egress redirect dev veth0
send tc_host
send tc_ctr
run ip link set dev ens160 xdpgeneric obj /mnt/vmtest/redirect.o sec xdp
send xdp_host
send xdp_ctr
spawn outside tcpdump -i eth0 -w /dev/null
for _ in {1..600}; do [[ $(from outside cat /proc/net/packet | wc -l) -lt 2 ]] || break; sleep 0.1; done
sleep 0.2
keep counters /tmp/nftrace show --counters --json
keep doctor /tmp/nftrace doctor --json
keep doctor-text /tmp/nftrace doctor
touch /tmp/stop
wait "$listener"
cp /tmp/arrivals-ctr.txt /tmp/flow "$OUT"
mv "$OUT/flow" "$OUT/flow.txt"
unload_module
