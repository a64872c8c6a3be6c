# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# What the scenarios share: namespaces, links, servers, clients, and how all of it
# is undone.
#
# A namespace is named by its role. `host` is the namespace in which the script
# runs, and in which a container engine would run; every other name is one that
# setup_ns made. Each command that changes something is printed before it runs.
#
# A scenario is a script with the functions `up VARIANT` and `traffic VARIANT`, which
# ends with `lab "$@"`; `down` is the same for all: what was undone in reverse.
# Nothing but files in $LAB_STATE goes from one to the next:
#   roles.txt   a line "role inode" for each namespace
#   flow.txt    a line "role protocol address port ok|failed" for each request
#   undo        commands

set -euo pipefail

LAB_STATE=${LAB_STATE:-/run/nftrace-lab}
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

# lab VERB [VARIANT]   what each scenario ends with
lab() {
	local verb=${1:-} variant=${2:-} variants
	variants=$(sed -n 's/^# variants: //p' "$0")
	[[ -n $variant ]] || variant=${variants%% *}
	[[ " $variants " == *" $variant "* ]] || die "${0##*/} has no variant $variant; it has: $variants"
	case $verb in
	up)
		mkdir -p "$LAB_STATE"
		[[ ! -s $LAB_STATE/undo ]] || die "$LAB_STATE: a lab is up already"
		rm -f "$LAB_STATE"/{roles.txt,flow.txt}
		up "$variant"
		;;
	traffic) traffic "$variant" ;;
	down) take_down ;;
	*) die "usage: ${0##*/} up|traffic|down [$variants]" ;;
	esac
}

# undo COMMAND...   what will take down what was just brought up
undo() { printf '%q ' "$@" >>"$LAB_STATE/undo" && echo >>"$LAB_STATE/undo"; }

# The last first. What is gone already is no fault: a namespace takes its devices along.
take_down() {
	local line
	[[ -e $LAB_STATE/undo ]] || return 0
	while read -r line; do
		say "undo: $line"
		eval "$line" 2>/dev/null || true
	done < <(tac "$LAB_STATE/undo")
	rm -f "$LAB_STATE/undo"
}

# in_ns ROLE COMMAND...
in_ns() {
	local ns=$1
	shift
	if [[ $ns == host ]]; then run "$@"; else run ip netns exec "$ns" "$@"; fi
}

# from ROLE COMMAND...   the same without a word, for a command whose output is wanted
from() {
	local ns=$1
	shift
	if [[ $ns == host ]]; then "$@"; else ip netns exec "$ns" "$@"; fi
}

# ip_in ROLE ARGUMENTS...   ip(8), which needs no process of its own to be elsewhere
ip_in() {
	local ns=$1
	shift
	if [[ $ns == host ]]; then run ip "$@"; else run ip -netns "$ns" "$@"; fi
}

# setup_ns ROLE...   new namespaces
setup_ns() {
	local ns
	for ns in "$@"; do
		run ip netns add "$ns"
		undo end_ns "$ns"
		ip_in "$ns" link set lo up
		ROLES+=("$ns")
	done
	write_roles
}

# adopt_ns ROLE PID   the namespace of a process gets a name
adopt_ns() {
	run ip netns attach "$1" "$2"
	undo ip netns del "$1"
	ROLES+=("$1")
	write_roles
}

write_roles() {
	local ns
	{
		printf 'host %s\n' "$(stat --dereference --format=%i /proc/self/ns/net)"
		for ns in "${ROLES[@]}"; do
			printf '%s %s\n' "$ns" "$(stat --dereference --format=%i "/run/netns/$ns")"
		done
	} >"$LAB_STATE/roles.txt"
}

# shellcheck disable=SC2317 # undo calls it.
end_ns() {
	ip netns pids "$1" | xargs --no-run-if-empty kill -KILL
	ip netns del "$1"
}

# Segments that are joined or cut by an offload would change how many packets a
# hook sees. IPv6 must neither announce nor solicit by itself.
quiet_device() {
	local ns=$1 dev=$2
	ip_in "$ns" link set "$dev" addrgenmode none
	in_ns "$ns" ethtool -K "$dev" tso off gso off gro off
}

# device ROLE NAME ARGUMENTS...   ip link add NAME ARGUMENTS, quiet and up
device() {
	local ns=$1 dev=$2
	shift 2
	ip_in "$ns" link add "$dev" "$@"
	[[ $ns != host ]] || undo ip link del "$dev"
	quiet_device "$ns" "$dev"
	ip_in "$ns" link set "$dev" up
}

# link ROLE DEVICE ROLE DEVICE   a veth pair, both ends up
link() {
	local ns=$3 dev
	# iproute2 knows our own namespace by the number of a process.
	[[ $ns != host ]] || ns=$$
	ip_in "$1" link add "$2" type veth peer name "$4" netns "$ns"
	while read -r ns dev; do
		[[ $ns != host ]] || undo ip link del "$dev"
		quiet_device "$ns" "$dev"
		ip_in "$ns" link set "$dev" up
	done <<<"$1 $2"$'\n'"$3 $4"
}

# bridge ROLE DEVICE PORT...   a bridge with the ports, which starts to forward at once
bridge() {
	local ns=$1 br=$2 port
	shift 2
	ip_in "$ns" link add "$br" type bridge stp_state 0 mcast_snooping 0
	[[ $ns != host ]] || undo ip link del "$br"
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

# gateway ROLE ADDRESS...   default routes
gateway() {
	local ns=$1 address
	shift
	for address in "$@"; do ip_in "$ns" route add default via "$address"; done
}

# set_sysctl NAME VALUE [ROLE]   checked
set_sysctl() {
	local ns=${3:-host} before
	before=$(from "$ns" sysctl --values "$1")
	in_ns "$ns" sysctl --quiet --write "$1=$2"
	[[ $ns != host ]] || undo sysctl --quiet --write "$1=$before"
	[[ $(from "$ns" sysctl --values "$1") == "$2" ]] || die "sysctl $1 is not $2"
}

# The host forwards, in both families.
forwarding() {
	set_sysctl net.ipv4.ip_forward 1
	set_sysctl net.ipv6.conf.all.forwarding 1
}

# rule ROLE iptables|ip6tables TABLE CHAIN RULE...   appended
rule() {
	local ns=$1 iptables=$2 table=$3
	shift 3
	in_ns "$ns" "$iptables" --wait -t "$table" -A "$@"
	[[ $ns != host ]] || undo "$iptables" --wait -t "$table" -D "$@"
}

# warm_up ROLE ADDRESS...   neighbours know each other before anything is traced
warm_up() {
	local ns=$1 address
	shift
	for address in "$@"; do in_ns "$ns" ping -n -q -c 1 -W 5 "$address"; done
}

# An IPv6 address stands in brackets before a port.
endpoint() { if [[ $1 == *:* ]]; then printf '[%s]:%s' "$1" "$2"; else printf '%s:%s' "$1" "$2"; fi; }

# spawn ROLE COMMAND...   in the background, until the lab is taken down
spawn() {
	local ns=$1
	shift
	printf '+ %s: %s &\n' "$ns" "$*"
	if [[ $ns == host ]]; then
		"$@" </dev/null >/dev/null 2>&1 &
	else
		ip netns exec "$ns" "$@" </dev/null >/dev/null 2>&1 &
	fi
	undo kill "$!"
}

# await_listener ROLE tcp|udp PORT
await_listener() {
	local i
	for ((i = 0; i < 100; i++)); do
		[[ -z $(from "$1" ss --no-header --listening "--$2" --numeric "sport = :$3") ]] || return 0
		sleep 0.1
	done
	die "no $2 server on port $3 in $1"
}

# http_server ROLE ADDRESS PORT   a server of one small page; it is up on return
http_server() {
	local ns=$1 address=$2 port=$3 pages=$LAB_STATE/www-$1-$3
	mkdir -p "$pages"
	printf 'hello from %s\n' "$ns" >"$pages/index.html"
	spawn "$ns" busybox httpd -f -p "$(endpoint "$address" "$port")" -h "$pages"
	await_listener "$ns" tcp "$port"
}

# udp_server ROLE ADDRESS PORT   sends back what it gets
udp_server() {
	spawn "$1" socat "UDP4-RECVFROM:$3,bind=$2,fork" PIPE
	await_listener "$1" udp "$3"
}

# serve VARIANT ROLE ADDRESS PORT   what the variant's client asks for; the kernel itself answers ICMP
serve() {
	case $1 in
	udp) udp_server "$2" "$3" "$4" ;;
	icmp) ;;
	*) http_server "$2" "$3" "$4" ;;
	esac
}

flow() { printf '%s\n' "$*" >>"$LAB_STATE/flow.txt"; }

# http_get ROLE ADDRESS PORT [failed]   fetch a page within 10 s, or fail to within 2
http_get() {
	local ns=$1 url want=${4:-ok} got=ok patience=10
	url=http://$(endpoint "$2" "$3")/
	[[ $want == ok ]] || patience=2
	in_ns "$ns" curl --silent --show-error --fail --noproxy '*' --max-time "$patience" "$url" || got=failed
	flow "$ns" tcp "$2" "$3" "$got"
	[[ $got == "$want" ]] || die "$ns: $url: $got"
}

# shellcheck disable=SC2317 # udp_ask starts it elsewhere.
ask_udp() {
	exec 3<>"/dev/udp/$1/$2"
	printf ping >&3
	read -r -t 5 -N 4 answer <&3
	[[ $answer == ping ]]
}

# udp_ask ROLE ADDRESS PORT   one datagram there, one back
udp_ask() {
	printf '+ %s: a datagram to %s:%s\n' "$1" "$2" "$3"
	from "$1" bash -c "$(declare -f ask_udp); ask_udp $2 $3" || die "$1: no answer from $2 port $3"
	flow "$1" udp "$2" "$3" ok
}

# ask VARIANT ROLE ADDRESS PORT
ask() {
	case $1 in
	udp) udp_ask "$2" "$3" "$4" ;;
	icmp)
		# As systemd sets it: ping has a socket of its own kind. A raw one gets a copy, and
		# the packet itself ends without a socket.
		in_ns "$2" sysctl --quiet --write "net.ipv4.ping_group_range=0 2147483647"
		in_ns "$2" ping -n -q -c 1 -W 5 "$3"
		flow "$2" icmp "$3" 0 ok
		;;
	*) http_get "$2" "$3" "$4" ;;
	esac
}

# protocol VARIANT   as iptables wants it
protocol() { case $1 in udp | icmp) echo "$1" ;; *) echo tcp ;; esac; }
