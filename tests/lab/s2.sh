#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# s2.sh ipv4|ipv6 [without|with]
#
# S2: container to container on one bridge, which the host's IP hooks do not
# see: bridge-nf-call-iptables is 0, without br_netfilter (where nothing is
# said) or with it loaded.
#
#    ctrA                      host (init_net)                     ctrB
#   +-----------------+       +---------------------------+       +-----------------+
#   | eth0            |-------| vethA -- br0 -- vethB     |-------| eth0            |
#   | 172.17.0.2      |       |       172.17.0.1/16       |       | 172.17.0.3      |
#   | fd00:17::2      |       |       fd00:17::1/64       |       | fd00:17::3      |
#   +-----------------+       +---------------------------+       | httpd :8080     |
#                                                                 +-----------------+

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lab/pair.sh
. "${BASH_SOURCE[0]%/*}/pair.sh"

family=${1:?usage: s2.sh ipv4|ipv6 [without|with]}
case ${2:-without} in
without) ;;
with)
	run modprobe br_netfilter
	bridge_calls_iptables 0
	;;
*) die "s2.sh: $2 is neither with nor without" ;;
esac

two_containers "$family"
load_module ports=8080,8081

http_get ctrA "http://$(endpoint "$SERVER" 8080)/"

settle
unload_module
[[ ${2:-without} == with || ! -e /proc/sys/net/bridge ]] || die "br_netfilter came by itself"
