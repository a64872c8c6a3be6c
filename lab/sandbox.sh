# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Process 1 of a lab that `nftrace lab` runs, in mount, network and process namespaces
# of its own: all that a scenario makes is gone when this process is. It ends with
# its standard input, or (NFTRACE_LAB_HOLD) when it is killed.
#
# Each variable nftrace_lab_NAME has the text of lab/NAME.sh.

set -euo pipefail

# By /proc of outside: the number of this process there.
read -r pid _ </proc/self/stat
mount -t proc proc /proc
# Ours instead of the machine's: names of namespaces, sockets, locks.
mount -t tmpfs -o mode=755 tmpfs /run
mount -t sysfs sysfs /sys 2>/dev/null || true
mkdir -p /run/netns /run/nftrace-lab/lab
for variable in "${!nftrace_lab_@}"; do
	printf '%s\n' "${!variable}" >"/run/nftrace-lab/lab/${variable#nftrace_lab_}.sh"
	unset "$variable"
done
ip link set lo up
# As a name that nothing outside has.
ip netns attach lab-host $$

printf 'ready %s\n' "$pid"
exec >/dev/null 2>&1
if [[ -n ${NFTRACE_LAB_HOLD:-} ]]; then
	while :; do sleep 3600; done
else
	cat >/dev/null
fi
