#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# s3.sh ipv4|ipv6 [before|after] [host]
#
# S3: container to container on one bridge whose traffic also passes the host's
# IP hooks: bridge-nf-call-iptables is 1. br_netfilter hooks PRE_ROUTING at the
# same priority as we do, so it matters whether it is loaded before our module
# (where nothing is said) or after it. With "host", ctrA fetches from the host.
#
#    ctrA                      host (init_net)                     ctrB
#   +-----------------+       +---------------------------+       +-----------------+
#   | eth0            |-------| vethA -- br0 -- vethB     |-------| eth0            |
#   | 172.17.0.2      |       |       172.17.0.1/16       |       | 172.17.0.3      |
#   | fd00:17::2      |       |       fd00:17::1/64       |       | fd00:17::3      |
#   +-----------------+       |       br_netfilter        |       | httpd :8080     |
#                             +---------------------------+       +-----------------+

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lab/pair.sh
. "${BASH_SOURCE[0]%/*}/pair.sh"

family=${1:?usage: s3.sh ipv4|ipv6 [before|after] [host]}
order=${2:-before}

two_containers "$family"
if [[ ${3:-} == host ]]; then
	SERVER=172.17.0.1
	http_server host "$SERVER" 8080
	warm_up ctrA "$SERVER"
fi
case $order in
before)
	run modprobe br_netfilter
	bridge_calls_iptables 1
	load_module ports=8080,8081
	;;
after)
	load_module ports=8080,8081
	run modprobe br_netfilter
	bridge_calls_iptables 1
	;;
*) die "s3.sh: $order is neither before nor after" ;;
esac

http_get ctrA "http://$(endpoint "$SERVER" 8080)/"

settle
unload_module
