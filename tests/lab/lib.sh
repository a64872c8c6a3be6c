# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# What the lab scripts share: namespaces, links, servers, the module, the end.
#
# A namespace is named by its role. `host` is init_net, where a container engine
# would run; every other name is one that setup_ns made. Each command that
# changes something is printed before it runs.

set -euo pipefail

# Where the harness keeps the module, and where it reads what we leave (tests/lab/run).
MODULE=/mnt/vmtest/nftrace.ko
OUT=/mnt/vmtest/out
ROLES=()

say() { printf '# %s\n' "$*"; }
die() {
	printf 'lab: %s\n' "$*" >&2
	exit 1
}
run() {
	printf '+ %s\n' "$*"
	"$@"
}

# in_ns ROLE COMMAND...
in_ns() {
	local ns=$1
	shift
	if [[ $ns == host ]]; then run "$@"; else run ip netns exec "$ns" "$@"; fi
}

# ip_in ROLE ARGUMENTS...   ip(8), which needs no process of its own to be elsewhere
ip_in() {
	local ns=$1
	shift
	if [[ $ns == host ]]; then run ip "$@"; else run ip -netns "$ns" "$@"; fi
}

# setup_ns ROLE...   new namespaces; out/roles.txt has a line "role inode" for each and for the host
setup_ns() {
	local ns
	for ns in "$@"; do
		run ip netns add "$ns"
		ip_in "$ns" link set lo up
		ROLES+=("$ns")
	done
	{
		printf 'host %s\n' "$(stat --dereference --format=%i /proc/self/ns/net)"
		for ns in "${ROLES[@]}"; do
			printf '%s %s\n' "$ns" "$(stat --dereference --format=%i "/run/netns/$ns")"
		done
	} >"$OUT/roles.txt"
}

# Segments that are joined or cut by an offload would change how many packets a
# hook sees. IPv6 must neither announce nor solicit by itself.
quiet_device() {
	local ns=$1 dev=$2
	ip_in "$ns" link set "$dev" addrgenmode none
	in_ns "$ns" ethtool -K "$dev" tso off gso off gro off
}

# link ROLE DEVICE ROLE DEVICE   a veth pair, both ends up
link() {
	local ns=$3 dev
	# iproute2 knows init_net, which has no name, by the process number of init.
	[[ $ns != host ]] || ns=1
	ip_in "$1" link add "$2" type veth peer name "$4" netns "$ns"
	while read -r ns dev; do
		quiet_device "$ns" "$dev"
		ip_in "$ns" link set "$dev" up
	done <<<"$1 $2"$'\n'"$3 $4"
}

# bridge ROLE DEVICE PORT...   a bridge with the ports, which starts to forward at once
bridge() {
	local ns=$1 br=$2 port
	shift 2
	ip_in "$ns" link add "$br" type bridge stp_state 0 mcast_snooping 0
	quiet_device "$ns" "$br"
	for port in "$@"; do ip_in "$ns" link set "$port" master "$br"; done
	ip_in "$ns" link set "$br" up
}

# address ROLE DEVICE ADDRESS/LENGTH...   usable at once: IPv6 looks for no duplicates
address() {
	local ns=$1 dev=$2 address
	shift 2
	for address in "$@"; do
		if [[ $address == *:* ]]; then
			ip_in "$ns" address add "$address" dev "$dev" nodad
		else
			ip_in "$ns" address add "$address" dev "$dev"
		fi
	done
}

# warm_up ROLE ADDRESS...   neighbours know each other before anything is traced
warm_up() {
	local ns=$1 address
	shift
	for address in "$@"; do in_ns "$ns" ping -n -q -c 1 -W 5 "$address"; done
}

# An IPv6 address stands in brackets before a port.
endpoint() { if [[ $1 == *:* ]]; then printf '[%s]:%s' "$1" "$2"; else printf '%s:%s' "$1" "$2"; fi; }

# http_server ROLE ADDRESS PORT   a server of one small page; it is up on return
http_server() {
	local ns=$1 address=$2 port=$3 pages=/tmp/www-$1-$3 i
	mkdir -p "$pages"
	printf 'hello from %s\n' "$ns" >"$pages/index.html"
	in_ns "$ns" busybox httpd -p "$(endpoint "$address" "$port")" -h "$pages"
	for ((i = 0; i < 50; i++)); do
		[[ $(in_ns "$ns" ss --no-header --listening --tcp --numeric "sport = :$port") != *LISTEN* ]] || return 0
		sleep 0.1
	done
	die "no server on port $port in $ns"
}

# http_get ROLE URL   fetch a page within 10 s; out/flow.txt gets a line
# "role client-address client-port server-address server-port status"
http_get() {
	local ns=$1 url=$2
	run ip netns exec "$ns" curl --silent --show-error --fail --noproxy '*' --connect-timeout 5 --max-time 10 \
		--write-out "\n$ns %{local_ip} %{local_port} %{remote_ip} %{remote_port} %{http_code}\n" "$url" |
		tee /tmp/fetched || die "$ns cannot fetch $url"
	tail -n 1 /tmp/fetched >>"$OUT/flow.txt"
}

# load_module PARAMETER=VALUE...   MODULE_PARAMETERS in the environment (of the test) come last
load_module() {
	local parameters
	read -ra parameters <<<"${MODULE_PARAMETERS:-}"
	if [[ ${NFTRACE_NO_MODULE:-} == 1 ]]; then
		say "NFTRACE_NO_MODULE=1: the lab runs without the module"
		return
	fi
	[[ -e $MODULE ]] || die "the harness gave us no module"
	run insmod "$MODULE" "$@" "${parameters[@]}"
}

unload_module() {
	[[ ${NFTRACE_NO_MODULE:-} == 1 ]] || run rmmod nftrace
}

# Records reach the kernel's log a little later than the packet its hook: wait
# until the log has not grown for half a second, but not for ever.
settle() {
	local before now quiet=0 i
	before=$(dmesg | wc -l)
	for ((i = 0; i < 50 && quiet < 3; i++)); do
		sleep 0.2
		now=$(dmesg | wc -l)
		if ((now == before)); then quiet=$((quiet + 1)); else quiet=0; fi
		before=$now
	done
	((quiet >= 3)) || die "the kernel's log does not come to rest"
}

# set_sysctl NAME VALUE   in init_net, checked
set_sysctl() {
	run sysctl --quiet --write "$1=$2"
	[[ $(sysctl --values "$1") == "$2" ]] || die "sysctl $1 is not $2"
}
