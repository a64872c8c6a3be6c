#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# How policies come and go: trials, rollbacks, panic, who is refused, what is counted,
# what holds in namespaces that come later, what becomes of the module.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lab/attempts.sh
. "${BASH_SOURCE[0]%/*}/attempts.sh"

LAB_STATE=/run/nftrace-lab
mkdir -p "$LAB_STATE"
setup_ns outside
link outside eth0 host ens160
address outside eth0 10.10.10.3/24
address host ens160 10.10.10.2/24
http_server host 10.10.10.2 8080
warm_up outside 10.10.10.2
load_module
asked() { tcp "$1" outside 10.10.10.2 8080; }
# stop and pass: files of policies
echo 'drop tcp to any port 8080 at local_in in host' >/tmp/stop; chmod a+r /tmp/stop
echo 'accept tcp to any port 8080 at local_in in host' >/tmp/pass

# The number of what is in force.
generation() { nftrace show --json | sed 's/^{"generation":\([0-9]*\),.*/\1/'; }

# await_generation GENERATION   the timer restores it soon
await_generation() {
	local i
	for ((i = 0; i < 200; i++)); do
		[[ $(nftrace show --json) != *"\"generation\":$1,"* ]] || return 0
		sleep 0.1
	done
	die "generation $1 does not come back"
}

keep show_nothing nftrace show
of rollback_of_nothing nftrace rollback
of confirm_of_nothing nftrace confirm

# Trials. The loader is gone, and so is the namespace where it ran.
asked before
nftrace load /tmp/pass
keep try nftrace try --for 12s /tmp/stop
asked trial_in_force
keep load_while_on_trial nftrace load /tmp/pass
await_generation 1
asked trial_over
ip netns add brief
ip netns exec brief /tmp/nftrace try --for 12s /tmp/stop &
loader=$!
wait "$loader"
ip netns del brief
asked trial_of_the_dead
await_generation 1
asked trial_of_the_dead_over
nftrace try --for 8s /tmp/stop
of confirm nftrace confirm
sleep 9
asked confirmed
of rollback nftrace rollback
asked rolled_back
of rollback_to_none nftrace rollback 0
of rollback_to_4 nftrace rollback 4
asked rolled_back_to_4
keep rollback_to_unknown nftrace rollback 77
keep history nftrace history --diff

# A trial that came to nothing, however it ended, is not what a rollback restores; nor
# does a flush of nothing take away what there is to restore.
nftrace load /tmp/pass
nftrace load <(echo 'accept icmp at local_in')
before=$(generation)
nftrace try --for 1s /tmp/stop
await_generation "$before"
nftrace try --for 60s /tmp/stop
nftrace rollback
keep behind_trials nftrace rollback
keep in_front_of_trials echo "generation $((before - 1)) is in force again"
nftrace flush
nftrace flush
keep behind_flushes nftrace rollback
# What is refused takes nothing away that is kept.
for i in {1..8}; do nftrace load /tmp/pass; done
oldest=$(($(generation) - 7))
keep refused_meanwhile nftrace load <(echo 'drop tcp to any port 22 at bridge forward')
of rollback_behind_refusal nftrace rollback "$oldest"
nftrace load /tmp/stop

# Panic.
of panic_accept nftrace panic accept
asked panic_accept_passes
of panic_drop nftrace panic drop
asked panic_drop_stops
of panic_drop_lo ping -c 1 -W 2 127.0.0.1
of panic_off nftrace panic off
asked panic_off_policy_again

# Who is refused: who would cut his own connection, and who may not.
nftrace flush
echo 'drop tcp to any port 22 at local_in in host' >/tmp/no-ssh
export SSH_CONNECTION='10.10.10.3 4000 10.10.10.2 22'
keep own_connection nftrace load /tmp/no-ssh
# As sudo does: the shell has it, the command does not.
keep own_connection_sudo bash -c 'env -u SSH_CONNECTION /tmp/nftrace load /tmp/no-ssh; exit $?'
keep own_connection_other_device nftrace load <(echo 'drop tcp to any port 22 iif other0 at local_in')
nftrace flush
keep own_connection_device nftrace load <(echo 'drop tcp to any port 22 iif ens160 at local_in')
keep own_connection_default nftrace load <(printf '%s\n' 'default drop at local_in' 'accept tcp to any port 80 at local_in')
keep own_connection_allowed nftrace load <(printf '%s\n' 'default drop at local_in' 'accept established at local_in')
keep own_connection_forced nftrace load --force /tmp/no-ssh
unset SSH_CONNECTION
nftrace flush
# Conntrack knows connections once somebody asks it.
policy 'accept established at local_in'
spawn host socat TCP4-LISTEN:7000,fork,reuseaddr PIPE
await_listener host tcp 7000
talk outside 10.10.10.2 7000
say_again alive 20
keep live_connections nftrace load <(echo 'reject tcp to any port 7000 at local_in')
say_again cut
hang_up
nftrace flush
keep bad_syntax nftrace load <(echo 'dorp tcp to any port 22')
keep bad_file nftrace load /tmp/there-is-none
keep bad_container nftrace load <(echo 'drop in container:nobody')
keep bad_bridge nftrace load <(echo 'drop tcp to any port 22 at bridge forward')
keep powerless setpriv --reuid 65534 --clear-groups --bounding-set -all /tmp/nftrace load /tmp/stop
keep after_refusals nftrace show --json

# Counters go on for rules that stay.
policy 'accept tcp to any port 8080 at local_in in host' 'accept udp to any port 1 at local_in'
asked counted
keep counters_before nftrace show --counters --json
policy 'accept icmp at local_in' 'accept tcp to any port 8080 at local_in in host'
keep counters_moved nftrace show --counters --namespaces --json
policy 'accept tcp to any port 8080 at local_in in all'
keep counters_changed nftrace show --counters --json
policy 'accept icmp limit 1/minute burst 3 at local_in in host' 'drop icmp at local_in in host'
ip netns exec outside ping -q -c 6 -i 0.2 -W 1 10.10.10.2 || true
keep counters_limit nftrace show --counters --json

# The kernel's log.
policy 'drop tcp to any port 8080 at local_in in host log name "no web"'
asked logged
settle
dmesg | grep 'verdict=drop' >"$OUT/logged.txt" || true
policy 'shadow drop tcp to any port 8080 at local_in in host log'
asked shadow_logged
settle
dmesg | grep 'shadow=' >"$OUT/shadow.txt" || true
policy 'accept icmp at local_in in host log limit 2/minute'
ip netns exec outside ping -q -c 6 -i 0.2 -W 1 10.10.10.2
settle
dmesg | grep 'proto=icmp.*verdict=accept rule=1' >"$OUT/log-limit.txt" || true

# A traced packet says which rule decided, and the kernel who dropped it.
policy 'accept udp to any port 1 at local_in' 'drop tcp to any port 8080 at local_in in host'
nftrace trace set --port 8080
nftrace record --force /tmp/trace.nft -- ip netns exec outside curl --silent --max-time 1 http://10.10.10.2:8080/ || true
nftrace path --json /tmp/trace.nft >"$OUT/journey.json"
nftrace path /tmp/trace.nft >"$OUT/journey.txt"
nftrace trace off

# Namespaces that come later.
policy 'default drop in new'
ip netns add later
ip -netns later link set lo up
of new_drop ip netns exec later ping -c 1 -W 1 127.0.0.1
of new_drop_old ip netns exec outside ping -c 1 -W 2 10.10.10.2
policy 'default drop in new'
of new_drop_known ip netns exec later ping -c 1 -W 2 127.0.0.1
policy 'default accept-until-known in new' 'drop icmp at local_in'
ip netns add latest
ip -netns latest link set lo up
of until_known ip netns exec latest ping -c 1 -W 2 127.0.0.1
of until_known_old ip netns exec later ping -c 1 -W 1 127.0.0.1
policy 'default accept-until-known in new' 'drop icmp at local_in'
of until_known_known ip netns exec latest ping -c 1 -W 1 127.0.0.1
# Conntrack is there for a policy that asks, also where nothing else wants it, and
# in namespaces that come.
policy 'drop new icmp at local_in in netns:latest' 'accept established at local_in'
of conntrack_without_help ip netns exec latest ping -c 1 -W 1 127.0.0.1
ip netns add tracked
ip -netns tracked link set lo up
sleep 1
policy 'drop new icmp at local_in in netns:tracked'
of conntrack_in_a_new_namespace ip netns exec tracked ping -c 1 -W 1 127.0.0.1

# The module.
unload_module
dmesg | grep nftrace: | tail -n 5 >"$OUT/farewell.txt"
asked unloaded
# Namespaces come while it goes: conntrack is not asked to look anywhere any more, and
# what it was asked is taken back.
for i in {1..8}; do
	load_module
	policy 'accept established at local_in' 'drop tcp to any port 8080 at local_in in host' 'default drop in new'
	ip netns add "brief$i"
	for n in {1..10}; do printf 'netns add twin%s\nnetns del twin%s\n' "$n" "$n"; done >/tmp/twins
	ip -batch /tmp/twins &
	twins=$!
	unload_module
	wait "$twins"
	ip -netns "brief$i" link set lo up
	ip netns exec "brief$i" ping -q -c 1 -W 1 127.0.0.1
	ip netns exec "brief$i" cat /proc/sys/net/netfilter/nf_conntrack_count >>"$OUT/still_tracked.txt"
done
load_module
policy 'accept established at local_in'
ip netns exec brief1 ping -q -c 1 -W 1 127.0.0.1
ip netns exec brief1 cat /proc/sys/net/netfilter/nf_conntrack_count >"$OUT/tracked.txt"
policy 'drop tcp to any port 8080 at local_in in host'
unload_module
load_module fail=closed
policy 'drop tcp to any port 8080 at local_in in host'
keep closed_rmmod rmmod nftrace
asked closed_still_in_force
nftrace flush
unload_module
keep bad_fail insmod "$MODULE" fail=shut
dmesg | tail -n 5 >"$OUT/bad_fail_log.txt"
take_down
