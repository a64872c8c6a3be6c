#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# swaps.sh TIMES SEED COUNT: one policy in the place of another, as tests/src/bin/swaps
# does it: TIMES while packets go from left over the host to right; COUNT damaged ones;
# ones that are as large as they may be, or take long, and ones of those who may not.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

install --mode=755 /mnt/vmtest/{swaps,nftrace} /tmp

setup_ns left right
link left eth0 host vethl
link right eth0 host vethr
address host vethl 10.1.0.1/24
address host vethr 10.2.0.1/24
address left eth0 10.1.0.2/24
address right eth0 10.2.0.2/24 10.2.0.3/24
gateway left 10.1.0.1
gateway right 10.2.0.1
forwarding
warm_up left 10.2.0.2 10.2.0.3
load_module bridge=1

keep traffic /tmp/swaps traffic "$1"
keep mutants /tmp/swaps mutants "$2" "$3"

printf 'drop udp to any port 9999 at local_out\n' >/tmp/policy
chmod 644 /tmp/policy
keep guard /tmp/nftrace load /tmp/policy
keep powerless setpriv --bounding-set=-net_admin /tmp/nftrace load /tmp/policy
keep user setpriv --reuid=65534 --regid=65534 --clear-groups /tmp/nftrace load /tmp/policy
# As root of another user namespace, who has every capability there.
keep elsewhere unshare --user --map-root-user --net /tmp/nftrace load /tmp/policy
printf 'drop udp to any prot 9999\n' >/tmp/broken
keep broken /tmp/nftrace load /tmp/broken
keep unreadable /tmp/nftrace load /tmp/there-is-none
printf 'drop from netns:nowhere at forward\n' >/tmp/unknown
keep unknown /tmp/nftrace load /tmp/unknown
keep history /tmp/nftrace history

available() { awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo; }
keep before available
keep large /tmp/swaps large 63 12
keep waits /tmp/swaps waits 8000 5
keep flush /tmp/nftrace flush
run rmmod nftrace
keep after available
