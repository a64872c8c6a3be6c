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
