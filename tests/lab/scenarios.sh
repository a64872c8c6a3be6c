#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# scenarios.sh SCENARIO:VARIANT[,VARIANT...][:OPTION...]...
#
# Runs scenarios of lab/ one after the other, with the module loaded for the traffic
# of each variant. Variants behind a comma use what the first one brought up. Options:
#   before   the module is there before the scenario comes up
#   bridge   bridge=1
#
# Each has a folder out/SCENARIO-VARIANT[-OPTION...]: roles.txt, flow.txt, kernel.log
# from load to unload, trace.nft and journeys.json (with the command only), script.log, and
# code, its exit code. What fails does not keep
# the next from running.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lab/probe.sh
. "${BASH_SOURCE[0]%/*}/probe.sh"

LAB=${BASH_SOURCE[0]%/*}/../../lab
STATE=/run/nftrace-lab

# trace SCRIPT OPTIONS   loads the module as the scenario needs it
trace() {
	local parameters
	parameters=(ports="$(sed -n 's/^# ports: //p' "$1" | tr ' ' ,)")
	[[ " $2 " != *" bridge "* ]] || parameters+=(bridge=1)
	load_module "${parameters[@]}"
}

# traffic SCRIPT VARIANT FOLDER   what comes of it is recorded where the command is there
traffic() {
	local script=$1 variant=$2 folder=$3 ports
	if [[ ! -x $NFTRACE ]]; then
		bash "$script" traffic "$variant"
		return
	fi
	ports=$(sed -n 's/^# ports: //p' "$script")
	ports="port ${ports// / or port }"
	[[ $variant != *icmp* ]] || ports+=" or icmp"
	run "$NFTRACE" trace set --log -- "$ports"
	run "$NFTRACE" record --force /tmp/trace.nft -- bash "$script" traffic "$variant"
	"$NFTRACE" path --json /tmp/trace.nft >/tmp/journeys.json
	cp /tmp/trace.nft /tmp/journeys.json "$folder/"
}

# one SCRIPT VARIANT OPTIONS FOLDER FIRST   a variant with all that belongs to it
one() {
	local script=$1 variant=$2 options=$3 folder=$4 first=$5
	[[ " $options " != *" before "* ]] || trace "$script" "$options"
	[[ -z $first ]] || bash "$script" up "$variant"
	rm -f "$STATE/flow.txt"
	[[ " $options " == *" before "* ]] || trace "$script" "$options"
	traffic "$script" "$variant" "$folder"
	settle
	unload_module
}

# The host's folder is slow.
NFTRACE=/tmp/nftrace
[[ ! -e /mnt/vmtest/nftrace ]] || install --mode=755 /mnt/vmtest/nftrace "$NFTRACE"
local_module
export LAB_STATE=$STATE NFTRACE

for item in "$@"; do
	IFS=: read -r scenario variants options <<<"$item"
	options=${options//:/ }
	first=1
	# Where it is built in (docs/debug.md), it has no state.
	[[ $scenario == s16 || ! -e /sys/module/br_netfilter/initstate ]] || modprobe --remove br_netfilter
	for variant in ${variants//,/ }; do
		folder=$OUT/$scenario-$variant${options:+-${options// /-}}
		mkdir -p "$folder"
		say "$scenario $variant $options"
		start=${EPOCHREALTIME/./}
		mark "$folder"
		# As a condition, a function would go on behind a command of its that fails.
		set +e
		(
			set -e
			one "$LAB/$scenario.sh" "$variant" "$options" "$folder" "$first"
		) >/tmp/script.log 2>&1
		code=$?
		set -e
		! grep -q '^nftrace ' /proc/modules || rmmod nftrace
		dmesg | sed "1,\\|lab: $folder\$|d" >"$folder/kernel.log"
		cp "$STATE"/{roles,flow}.txt "$folder/" 2>/dev/null || true
		cp /tmp/script.log "$folder/script.log"
		echo "$code" >"$folder/code"
		say "$scenario $variant $options: exit code $code after $(((${EPOCHREALTIME/./} - start) / 1000)) ms"
		first=
	done
	bash "$LAB/$scenario.sh" down >>"$folder/script.log" 2>&1 || true
	[[ $scenario == s16 ]] || conntrack --flush 2>/dev/null || true
done
