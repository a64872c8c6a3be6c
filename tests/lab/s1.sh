#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# S1: a published port. A machine outside fetches a page from host:8081, which
# the host rewrites to port 8080 of a container on its bridge.
#
#    outside               host (init_net)                        ctr
#   +------------+        +--------------------------------+     +-------------+
#   | eth0       |--------| ens160          br0 -- veth0   |-----| eth0        |
#   | 10.10.10.3 |        | 10.10.10.2/24   172.17.0.1/16  |     | 172.17.0.2  |
#   +------------+        |  DNAT :8081 -> 172.17.0.2:8080 |     | httpd :8080 |
#                         +--------------------------------+     +-------------+

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

setup_ns outside ctr
link outside eth0 host ens160
link host veth0 ctr eth0
bridge host br0 veth0
address outside eth0 10.10.10.3/24
address host ens160 10.10.10.2/24
address host br0 172.17.0.1/16
address ctr eth0 172.17.0.2/16
ip_in ctr route add default via 172.17.0.1
set_sysctl net.ipv4.ip_forward 1
in_ns host iptables -t nat -A PREROUTING -p tcp -d 10.10.10.2 --dport 8081 -j DNAT --to-destination 172.17.0.2:8080

http_server ctr 172.17.0.2 8080
warm_up outside 10.10.10.2
warm_up host 172.17.0.2
load_module ports=8080,8081

http_get outside http://10.10.10.2:8081/

settle
unload_module
