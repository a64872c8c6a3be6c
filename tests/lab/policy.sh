#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The policy in front of a published port (lab/s1.sh): who gets through, and how
# those are turned away who do not.
#
# out/outcomes.txt has a line "CASE OUTCOME" for each attempt.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lab/attempts.sh
. "${BASH_SOURCE[0]%/*}/attempts.sh"

S1=${BASH_SOURCE[0]%/*}/../../lab/s1.sh
export LAB_STATE=/run/nftrace-lab

published() { tcp "$1" outside 10.10.10.2 8081; }

bash "$S1" up ipv4
load_module bridge=1
published without_policy

policy 'drop tcp to 172.17.0.2 port 8080 at forward'
published drop_at_forward
policy 'drop tcp to 172.17.0.2 port 8080 at post_routing in host'
published drop_at_post_routing
policy 'drop tcp to 10.10.10.2 port 8081 at pre_routing in host'
published drop_at_pre_routing
policy 'reject tcp to any port 8081 at pre_routing in host'
published reject_at_pre_routing
policy 'reject tcp to any port 8080 at forward'
published reject_at_forward
policy 'reject tcp to any port 8080 at local_in in netns:ctr'
published reject_at_local_in
policy 'reject with host-unreachable tcp to any port 8080 at forward'
published unreachable_at_forward
policy 'reject tcp to any port 8081 at local_out in netns:outside'
published reject_at_local_out
policy 'drop tcp to any port 8080 at local_in in not netns:ctr'
published drop_elsewhere
policy 'drop tcp to any port 8080 at forward in netns:ctr'
published drop_in_the_wrong_namespace
policy 'accept tcp from 10.10.10.0/24 to any port 8080 at forward' 'drop to any port 8080 at forward'
published first_match_accepts
policy 'accept tcp from 10.10.11.0/24 to any port 8080 at forward' 'drop to any port 8080 at forward'
published second_match_drops
policy 'shadow drop tcp to any port 8080 at forward'
published shadow
policy 'default drop at forward' 'accept new to 172.17.0.2 port 8080 at forward' 'accept established at forward'
published established
policy 'default drop at forward' 'accept new to 172.17.0.2 port 8080 at forward'
published no_established
policy 'drop original to 10.10.10.2 port 8081 at forward'
published original_destination
policy 'drop original to 10.10.10.2 port 8082 at forward'
published other_original_destination

keep counters nftrace show --counters --namespaces --json
keep history nftrace history --diff
keep flush nftrace flush
published flushed
dmesg | grep nftrace >"$OUT/dmesg.txt" || true
unload_module
bash "$S1" down
