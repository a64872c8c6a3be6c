#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# sets.sh CHANGE LIST ABI: dynamic sets while packets come. CHANGE and LIST are the numbers
# of the device's commands about them.
#
# out/outcomes.txt has a line "CASE OUTCOME" for each attempt.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lab/attempts.sh
. "${BASH_SOURCE[0]%/*}/attempts.sh"

install --mode=755 /mnt/vmtest/sets /tmp/changes
LAB_STATE=/run/nftrace-lab
mkdir -p "$LAB_STATE"
setup_ns outside
link outside eth0 host ens160
address outside eth0 10.10.10.3/24 fd00:10::3/64
address host ens160 10.10.10.2/24 fd00:10::2/64
http_server host 10.10.10.2 8080
spawn host socat TCP4-LISTEN:7000,fork,reuseaddr PIPE
await_listener host tcp 7000
warm_up outside 10.10.10.2 fd00:10::2
load_module bridge=1
asked() { tcp "$1" outside 10.10.10.2 8080; }
asked6() { of "$1" ip netns exec outside ping -6 -n -q -c 1 -W 1 fd00:10::2; }

cat >/tmp/bans <<-'END'
	set banned dynamic = { 192.0.2.7 }
	set office = { 192.0.2.128/25 }
	drop from @banned at pre_routing in host
	accept tcp to any port 8080 at local_in in host
END

# What is banned stops at its next packet; nothing else changes.
nftrace load /tmp/bans
keep counters_before nftrace show --counters --json
asked unbanned
asked6 unbanned6
talk outside 10.10.10.2 7000
say_again talking 20
keep add nftrace set add banned 10.10.10.3
asked banned
asked6 other_family
say_again talking_banned
keep explain nftrace explain 'tcp 10.10.10.3:4000 > 10.10.10.2:8080 in ens160' --at pre_routing --json
keep explain_file nftrace explain 'tcp 10.10.10.3:4000 > 10.10.10.2:8080 in ens160' --at pre_routing --json --policy /tmp/bans
keep add_again nftrace set add @banned 10.10.10.3 fd00:10::/64 --json
asked6 banned6
keep show nftrace show
keep show_json nftrace show --json
keep list nftrace set list
keep list_json nftrace set list --json
keep elements nftrace set list banned
keep del nftrace set del banned 10.10.10.3
say_again talking_again 20
hang_up
asked deleted
asked6 banned6_still
nftrace set del banned ::/0
asked6 deleted6
keep counters_after nftrace show --counters --json
keep history nftrace history

# Of a prefix the rest stays.
nftrace set add banned 10.10.10.0/24
asked prefix
nftrace set del banned 10.10.10.3
asked out_of_prefix
keep rest nftrace set list banned

# Who loads, begins anew, or keeps what there was.
nftrace set add banned 10.10.10.3
keep reload nftrace load /tmp/bans
asked reloaded
nftrace set add banned 10.10.10.3
keep kept nftrace load --keep-sets /tmp/bans
asked kept
sed 's/accept/drop/; s/^set office.*//' /tmp/bans >/tmp/other
nftrace load --keep-sets /tmp/other
asked kept_by_another_policy
echo 'accept tcp to any port 8080 at local_in in host' >/tmp/none
nftrace load /tmp/none
asked without_sets
keep no_set nftrace set add banned 10.10.10.3
nftrace rollback
asked rolled_back
nftrace load --keep-sets /tmp/bans
keep trial nftrace try --for 60s /tmp/bans
asked on_trial
nftrace set add banned 198.51.100.0/24
nftrace rollback
asked behind_trial
keep behind_trial nftrace set list banned
nftrace panic accept
nftrace set del banned 10.10.10.3
nftrace set add banned fd00:10::3
asked6 panic
nftrace panic off
asked6 behind_panic
asked behind_panic4

# The agent loads the policy again when its file has changed, and keeps the sets.
nftrace flush
/tmp/nftrace agent /tmp/bans >"$OUT/agent.txt" 2>&1 &
agent=$!
until_in_force() {
	local i
	for ((i = 0; i < 300; i++)); do
		! nftrace show | grep -qF -- "$1" || return 0
		sleep 0.1
	done
	die "the agent does not load '$1'"
}
until_in_force 'port 8080'
nftrace set add banned 10.10.10.3
asked agent_banned
sed -i 's/8080/8080, 8081/' /tmp/bans
kill -HUP "$agent"
until_in_force 8081
asked agent_kept
kill "$agent"
wait "$agent"
nftrace flush
asked flushed

# Who is refused, and with which words.
keep no_policy nftrace set add banned 10.10.10.3
nftrace load /tmp/bans
keep unknown_set nftrace set add baned 10.10.10.3
keep static_set nftrace set add office 10.10.10.3
keep no_element nftrace set add banned 10.10.10.256
printf '%s\n' '# two of three' 10.0.0.1 10.0.0.1/8 >/tmp/wrong
keep wrong_file nftrace set add banned -f /tmp/wrong
keep powerless setpriv --reuid 65534 --clear-groups --bounding-set -all /tmp/nftrace set add banned 10.10.10.3
export SSH_CONNECTION='10.10.10.3 4000 10.10.10.2 22'
keep own_connection nftrace set add banned 10.10.10.0/24
keep own_connection_elsewhere nftrace set add banned 10.10.11.0/24
keep own_connection_forced nftrace set add --force banned 10.10.10.3
unset SSH_CONNECTION
asked forced
nftrace load /tmp/bans
keep after_refusals nftrace set list banned

# plain COMMAND WORD...   an ioctl with a structure of these words of 32 bits, and zeroes
plain() {
	perl -e '
		my ($command, @words) = @ARGV;
		open(my $device, "+<", "/dev/nftrace") or die "open: $!\n";
		my $request = pack("L*", @words);
		$request .= "\0" x ((($command >> 16) & 0x3fff) - length $request);
		ioctl($device, $command, $request) or die "$!\n";' "$@"
}
any=$((0xffffffff))
banned=(1852727650 25701) # its name
keep raw_abi plain "$1" 77 1 "$any"
keep raw_what plain "$1" "$3" 3 "$any"
keep raw_count4 plain "$1" "$3" 1 "$any" "$any"
keep raw_count6 plain "$1" "$3" 1 "$any" 0 0 0 1000001
keep raw_address plain "$1" "$3" 1 "$any" 1 0 0 0 0 0 0 "${banned[@]}"
keep raw_stale plain "$1" "$3" 1 77 0 0 0 0 0 0 0 "${banned[@]}"
keep raw_set plain "$1" "$3" 1 "$any" 0 0 0 0 0 0 0 1 2
keep raw_nothing plain "$1" "$3" 1 "$any" 0 0 0 0 0 0 0 "${banned[@]}"
keep raw_list_abi plain "$2" 77
keep raw_list_set plain "$2" "$3" 0 0 0 0 0 0 0 1 2
keep raw_list_kept plain "$2" "$3" 0 0 0 99 0 0 0 "${banned[@]}"

keep hostile /tmp/changes hostile
keep after_hostile nftrace set list banned
seq -f '%.0f' 0 2 19998 | awk '{ printf "10.9.%d.%d\n", $1 / 256, $1 % 256 }' >/tmp/batch
keep batch nftrace set add banned -f /tmp/batch --json
nftrace set add banned 10.10.10.3
asked among_ten_thousand
keep rates /tmp/changes rates
keep churn /tmp/changes churn 5
nftrace flush
unload_module
