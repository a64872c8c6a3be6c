#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# What a filter catches of a connection through a published port (lab/s1.sh): one
# request for each filter; and the same with the ends of the hooks (exit=1).
#
# out/NAME.json has the journeys of each.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

S1=${BASH_SOURCE[0]%/*}/../../lab/s1.sh
export LAB_STATE=/run/nftrace-lab

# The host's folder is slow.
install --mode=755 /mnt/vmtest/nftrace /tmp/nftrace
nftrace() { run /tmp/nftrace "$@"; }

# request NAME FILTER...
request() {
	local name=$1
	shift
	nftrace trace set "$@"
	nftrace record --force /tmp/trace.nft -- bash "$S1" traffic ipv4
	/tmp/nftrace path --json /tmp/trace.nft >"$OUT/$name.json"
}

bash "$S1" up ipv4
load_module
request published --port 8081
request inner --port 8080
request address --host 10.10.10.2
request syn -- 'tcp[tcpflags] = tcp-syn and dst port 8081'
request namespace --ns ctr --port 8080
# A shorter name than the one before it, as where an engine renames a container's device.
ip_in host link set ens160 name e0
request device --dev e0 --port 8081
ip_in host link set e0 name ens160
request other --proto udp
unload_module

load_module exit=1
request ends --port 8081
in_ns host iptables -I FORWARD -p tcp --dport 8080 -j DROP
nftrace trace set --port 8081
nftrace record --force /tmp/trace.nft --for 4s -- ip netns exec outside curl --silent --max-time 2 http://10.10.10.2:8081/ || true
/tmp/nftrace path --json /tmp/trace.nft >"$OUT/died.json"
unload_module
bash "$S1" down
