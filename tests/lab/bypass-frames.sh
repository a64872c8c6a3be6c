#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# bypass-frames.sh FIRST LAST: packets made by hand, for these ports of ctr: those of
# routed.pcap over the host, those of bridged.pcap over its bridge.
#
#    outside               host                                   ctr
#   +------------+        +---------------------------------+    +----------------+
#   | eth0       |--------| ens160          br0 -- veth0    |----| eth0           |
#   | 10.10.10.3 |        | 10.10.10.2/24   172.17.0.1/16   |    | 172.17.0.2     |
#   | fd00:10::3 |        | fd00:10::2      fd00:17::1      |    | fd00:17::2     |
#   +------------+        |                     |           |    | VLANs, four in |
#    other                |                   veth1         |    | each other     |
#   +------------+        |                     |           |    +----------------+
#   | eth0       |--------+---------------------+           |
#   | 172.17.0.4 |        +---------------------------------+
#   +------------+
#
# Conntrack is not in use: fragments stay what they are.
#
# out/arrivals.txt: the datagrams that arrived; out/tcp.txt: the ports of segments that did;
# out/pppoe.txt: how many frames of that; out/counters.txt: what the policy counted.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lab/probe.sh
. "${BASH_SOURCE[0]%/*}/probe.sh"
# shellcheck source=lab/container.sh
. "${BASH_SOURCE[0]%/*}/../../lab/container.sh"

install --mode=755 /mnt/vmtest/{nftrace,arrivals} /tmp

# vlan DEVICE NUMBER NAME PROTOCOL   in ctr
vlan() {
	ip_in ctr link add link "$1" name "$3" type vlan id "$2" protocol "$4"
	ip_in ctr link set "$3" addrgenmode none
	ip_in ctr link set "$3" up
}

setup_ns other
machine_outside
container_behind_bridge
link host veth1 other eth0
ip_in host link set veth1 master br0
address other eth0 172.17.0.4/16 fd00:17::4/64
ip_in host link set ens160 address 02:00:00:00:00:10
ip_in ctr link set eth0 address 02:00:00:00:00:02
vlan eth0 5 tagged 802.1Q
vlan eth0 5 outer 802.1ad
vlan outer 6 second 802.1Q
vlan second 7 third 802.1Q
vlan third 8 fourth 802.1Q
warm_up host 172.17.0.2 fd00:17::2
# The bridge has to know where everybody is.
warm_up other 172.17.0.2 fd00:17::2
# Neither conntrack nor its reassembly.
in_ns ctr nft -f - <<'NFT'
table inet arrived {
	set segments { type inet_service; flags dynamic; size 4096; }
	chain input {
		type filter hook input priority 500
		tcp dport 10000-20000 add @segments { tcp dport }
	}
}
table netdev arrived {
	chain pppoe {
		type filter hook ingress device "eth0" priority 0
		ether type 0x8864 counter
	}
}
NFT
(from ctr /tmp/arrivals "$1" "$2" /tmp/ready /tmp/stop >/tmp/arrivals.txt) &
listener=$!
await_file /tmp/ready
load_module bridge=1
run /tmp/nftrace load /mnt/vmtest/frames.policy
in_ns outside tcpreplay --intf1=eth0 --pps=200 --quiet /mnt/vmtest/routed.pcap
in_ns other tcpreplay --intf1=eth0 --pps=200 --quiet /mnt/vmtest/bridged.pcap
sleep 0.5
keep counters /tmp/nftrace show --counters --json
keep tcp from ctr nft --json list set inet arrived segments
keep pppoe from ctr nft list chain netdev arrived pppoe
touch /tmp/stop
wait "$listener"
cp /tmp/arrivals.txt "$OUT/arrivals.txt"
unload_module
