#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# What a policy protects where others do not: containers on one bridge, published
# ports behind the host's back, one process beside another, and against those who
# flush rules. Also queues (S17).

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lab/attempts.sh
. "${BASH_SOURCE[0]%/*}/attempts.sh"
# shellcheck source=lab/pair.sh
. "${BASH_SOURCE[0]%/*}/../../lab/pair.sh"

install --mode=755 /mnt/vmtest/queue /tmp/queue

# Two containers on one bridge, without br_netfilter.
LAB_STATE=/run/nftrace-lab
mkdir -p "$LAB_STATE"
two_containers ipv4
spawn ctrB socat TCP4-LISTEN:7000,fork,reuseaddr PIPE
await_listener ctrB tcp 7000
load_module bridge=1
neighbour() { tcp "$1" ctrA 172.17.0.3 8080; }

neighbour pair_without_policy
policy 'drop tcp to any port 8080 at local_in in netns:ctrB'
neighbour pair_in_the_container
policy 'drop tcp from netns:ctrA to netns:ctrB port 8080 at bridge forward'
neighbour pair_at_the_bridge
policy 'drop tcp from netns:ctrB to netns:ctrA port 8080 at bridge forward'
neighbour pair_other_way
policy 'drop tcp to any port 8080 at forward in host'
neighbour pair_at_forward_without_br_netfilter
talk ctrA 172.17.0.3 7000
say_again established_before 20
policy 'drop tcp to any port 7000 at bridge forward'
say_again established_dropped_at_the_bridge
nftrace flush
say_again established_flushed 20
policy 'drop tcp from 172.17.0.3 port 7000 at local_out in netns:ctrB'
say_again established_answers_dropped
nftrace flush
say_again established_flushed_again 20
hang_up
bridge_calls_iptables 1
policy 'drop tcp to any port 8080 at forward in host'
neighbour pair_at_forward_with_br_netfilter
policy 'drop tcp to any port 8080 at bridge forward'
neighbour pair_at_the_bridge_with_br_netfilter
bridge_calls_iptables 0

# Who flushes rules does not undo it: the host, nor a container that may.
policy 'drop tcp to any port 8080 at local_in in netns:ctrB'
in_ns ctrB nft add table inet mine
in_ns ctrB nft flush ruleset
in_ns ctrB iptables -F
nft flush ruleset
iptables -F
neighbour flushed_rulesets
of the_container_has_no_device ip netns exec ctrB unshare --user --map-root-user /tmp/nftrace flush
neighbour after_the_container_tried

# One process and its neighbour.
policy 'reject tcp to any port 8080 classid 0x100001 at local_out'
mkdir -p "$LAB_STATE/net_cls"
mount -t cgroup -o net_cls net_cls "$LAB_STATE/net_cls"
mkdir "$LAB_STATE/net_cls/one"
echo 0x100001 >"$LAB_STATE/net_cls/one/net_cls.classid"
tcp classid_neighbour host 172.17.0.3 8080
(
	echo "$BASHPID" >"$LAB_STATE/net_cls/one/cgroup.procs"
	tcp classid_itself host 172.17.0.3 8080
)
mountpoint -q /sys/fs/cgroup || mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /sys/fs/cgroup/guarded/inner
policy 'reject tcp to any port 8080 cgroup "/guarded" at local_out'
tcp cgroup_neighbour host 172.17.0.3 8080
(
	echo "$BASHPID" >/sys/fs/cgroup/guarded/inner/cgroup.procs
	tcp cgroup_below host 172.17.0.3 8080
)
policy 'drop tcp to any port 8081 cgroup "/guarded" at local_in in host'
(
	echo "$BASHPID" >/sys/fs/cgroup/guarded/inner/cgroup.procs
	http_server host 172.17.0.1 8081
)
tcp cgroup_of_a_listener ctrA 172.17.0.1 8081
http_server host 172.17.0.1 8082
policy 'drop tcp to any port { 8081, 8082 } cgroup "/guarded" at local_in in host'
tcp cgroup_of_another_listener ctrA 172.17.0.1 8082
policy 'reject tcp to any port 8080 uid 65534 at local_out'
tcp uid_of_another host 172.17.0.3 8080
uid_itself() { setpriv --reuid 65534 --clear-groups curl --silent --connect-timeout 1 http://172.17.0.3:8080/; }
of uid_itself uid_itself

# Queues (S17): the host holds packets of containers, and asks a program.
take_down
mkdir -p "$LAB_STATE"
bash "${BASH_SOURCE[0]%/*}/../../lab/s1.sh" up ipv4
published() { tcp "$1" outside 10.10.10.2 8081; }
policy 'queue 5 else accept tcp to any port 8080 at forward in host'
published queue_without_listener_else_accept
policy 'queue 5 else drop tcp to any port 8080 at forward in host'
published queue_without_listener_else_drop
/tmp/queue 5 accept >"$OUT/queue-accept.txt" 2>&1 &
consumer=$!
sleep 1
published queue_accepted
kill "$consumer"
wait "$consumer" || true
/tmp/queue 5 drop >"$OUT/queue-drop.txt" 2>&1 &
consumer=$!
sleep 1
published queue_dropped
kill "$consumer"
wait "$consumer" || true

# The host's own firewall does not stop what is published; the policy does.
nftrace flush
iptables -I INPUT -p tcp --dport 8081 -j DROP
iptables -I INPUT -p tcp --dport 8080 -j DROP
published input_chain_of_the_host
policy 'drop tcp to 10.10.10.2 port 8081 at pre_routing in host'
published policy_beside_the_input_chain
nftrace flush
unload_module
bash "${BASH_SOURCE[0]%/*}/../../lab/s1.sh" down
