# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# What every script here shares: where the cache is, how to speak, how to fail,
# and how two runs at once stay out of each other's way.

set -euo pipefail

# An ordinary user's PATH has no chroot.
PATH=$PATH:/usr/sbin:/sbin

NFTRACE_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
NFTRACE_CACHE=${NFTRACE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/nftrace}
mkdir -p "$NFTRACE_CACHE"
NFTRACE_CACHE=$(cd "$NFTRACE_CACHE" && pwd)
export NFTRACE_TOP NFTRACE_CACHE

# The Debian release whose compilers built the kernel that we target.
export NFTRACE_SUITE=trixie
export NFTRACE_SUITE_VERSION=13

say() { printf 'nftrace: %s\n' "$*" >&2; }
die() {
	printf 'nftrace: error: %s\n' "$1" >&2
	shift
	local hint
	for hint in "$@"; do printf '  %s\n' "$hint" >&2; done
	exit 1
}

# step "what" "how long" -- command...   Runs a long command with its output in
# a log, says what goes on, and shows the end of the log when it fails.
step() {
	local what=$1 usual=$2 log start code
	shift 3
	mkdir -p "$NFTRACE_CACHE/log"
	log=$(mktemp "$NFTRACE_CACHE/log/$(tr -c 'a-zA-Z0-9\n' '-' <<<"$what" | cut -c1-40).XXXXXX")
	say "$what (usually $usual) ..."
	start=$SECONDS
	# As a condition, a function would go on behind a command of its that fails.
	set +e
	(
		set -e
		"$@"
	) >"$log" 2>&1
	code=$?
	set -e
	if ((code)); then
		tail -n 30 "$log" >&2
		die "$what: failed" "the whole log: $log"
	fi
	rm -f "$log"
	say "$what: done in $((SECONDS - start)) s"
}

# with_lock NAME command...   One at a time, whoever starts it.
with_lock() {
	local name=$1 fd
	shift
	mkdir -p "$NFTRACE_CACHE/lock"
	exec {fd}>"$NFTRACE_CACHE/lock/$name"
	if ! flock --nonblock "$fd"; then
		say "another run is busy with $name; waiting for it ..."
		flock "$fd"
	fi
	"$@"
	exec {fd}>&-
}

# The Debian mirror: NFTRACE_MIRROR, else what this machine's apt uses.
# shellcheck disable=SC2016 # What looks like expansions is for apt.
debian_mirror() {
	if [[ -n ${NFTRACE_MIRROR:-} ]]; then
		printf '%s\n' "$NFTRACE_MIRROR"
		return
	fi
	local mirror=
	if command -v apt-get >/dev/null; then
		mirror=$(apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(LABEL)' 'Created-By: Packages' 2>/dev/null |
			awk '$2 == "Debian" && $3 == "Debian" { print $1; exit }')
	fi
	# Before the first apt-get update the origin is not known yet.
	if [[ -z $mirror ]] && command -v apt-get >/dev/null; then
		mirror=$(apt-get indextargets --no-release-info --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
			grep -m 1 -E '/debian/?$' || true)
	fi
	[[ -n $mirror ]] || die "no Debian mirror found in this machine's apt configuration" \
		"name one: NFTRACE_MIRROR=http://MIRROR/debian make ..."
	printf '%s\n' "$mirror"
}

# Where a tarball or an image is made: beside its final name, moved when whole.
partial() { printf '%s.partial' "$1"; }

# The compiler of a kernel tree, by the name under which Debian installs it: gcc-14.
kernel_cc() {
	sed -n 's/^CONFIG_CC_VERSION_TEXT="\([^ "]*\).*/\1/p' "$1/.config" | sed 's/^x86_64-linux-gnu-//'
}
