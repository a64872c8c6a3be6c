#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# S14: two networks that must not talk
#
# The host routes between its two bridges, and a rule in its FORWARD chain drops
# what goes from one to the other. The variant nft does the same with nftables.
#
#    ctrA               host                                     ctrB
#   +------------+     +------------------------------------+    +-------------+
#   | eth0       |-----| vethA -- br1          br2 -- vethB |----| eth0        |
#   | 172.18.0.2 |     |   172.18.0.1/16   172.19.0.1/16    |    | 172.19.0.2  |
#   +------------+     |   FORWARD: br1 -> br2 DROP         |    | httpd :8080 |
#                      +------------------------------------+    +-------------+
#
# variants: iptables nft
# ports: 8080
# modules: veth bridge nft_compat
# programs: ip iptables nft ethtool ping sysctl ss curl busybox

# shellcheck source=lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

up() {
	setup_ns ctrA ctrB
	link host vethA ctrA eth0
	link host vethB ctrB eth0
	bridge host br1 vethA
	bridge host br2 vethB
	address host br1 172.18.0.1/16
	address host br2 172.19.0.1/16
	address ctrA eth0 172.18.0.2/16
	address ctrB eth0 172.19.0.2/16
	gateway ctrA 172.18.0.1
	gateway ctrB 172.19.0.1
	forwarding
	if [[ $1 == nft ]]; then
		undo nft delete table inet isolation
		in_ns host nft -f - <<-'NFT'
			table inet isolation {
				chain forward {
					type filter hook forward priority filter
					iifname "br1" oifname "br2" drop
				}
			}
		NFT
	else
		rule host iptables filter FORWARD -i br1 -o br2 -j DROP
	fi
	http_server ctrB 172.19.0.2 8080
	warm_up host 172.18.0.2 172.19.0.2
}

traffic() { http_get ctrA 172.19.0.2 8080 failed; }

lab "$@"
