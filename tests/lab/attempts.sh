# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Attempts to get through, and what comes of them, for the tests of policies.

# The host's folder is slow.
install --mode=755 /mnt/vmtest/nftrace /tmp/nftrace
nftrace() { /tmp/nftrace "$@"; }

# policy STATEMENT...   loads a policy of these statements
policy() {
	printf '%s\n' "$@" >/tmp/policy
	printf '+ policy: %s\n' "$@"
	nftrace load /tmp/policy || die "the policy is not taken"
}

outcome() {
	printf '# %s: %s\n' "$1" "$2"
	printf '%s %s\n' "$1" "$2" >>"$OUT/outcomes.txt"
}

# tcp CASE ROLE ADDRESS PORT   a page over HTTP: passes, refused (at once), silence, or how else it failed
tcp() {
	local url code=0
	url=http://$(endpoint "$3" "$4")/
	from "$2" curl --silent --output /dev/null --fail --noproxy '*' --connect-timeout 1 \
		--max-time 3 "$url" || code=$?
	case $code in
	0) outcome "$1" passes ;;
	7) outcome "$1" refused ;;
	28) outcome "$1" silence ;;
	*) outcome "$1" "curl-$code" ;;
	esac
}

# talk ROLE ADDRESS PORT   a connection that stays; `say_again CASE` uses it
talk() {
	rm -f /tmp/talk.{in,out}
	mkfifo /tmp/talk.in
	: >/tmp/talk.out
	ip netns exec "$1" socat -u "OPEN:/tmp/talk.in,rdonly" STDOUT </dev/null | ip netns exec "$1" socat - "TCP4:$2:$3" >/tmp/talk.out 2>/tmp/talk.err &
	exec 7>/tmp/talk.in
}

hang_up() { exec 7>&-; }

# say_again CASE [SECONDS]   a line there and back: passes, or silence for so long. What
# was silent for a while takes longer: TCP waits longer from time to time.
say_again() {
	local i
	printf 'line %s\n' "$1" >&7
	for ((i = 0; i < ${2:-2} * 10; i++)); do
		if grep -q "^line $1\$" /tmp/talk.out; then
			outcome "$1" passes
			return
		fi
		sleep 0.1
	done
	outcome "$1" silence
}

# of CASE COMMAND...   whether a command that only says yes or no succeeds
of() {
	local name=$1
	shift
	if "$@" >>/tmp/of.txt 2>&1; then outcome "$name" ok; else outcome "$name" failed; fi
}
