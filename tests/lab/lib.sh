# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# What the scripts of the tests share: lab/lib.sh, the module, the end.

# Where the harness keeps the module, and where it reads what we leave (tests/lab/run).
MODULE=/mnt/vmtest/nftrace.ko
OUT=/mnt/vmtest/out
LAB_STATE=${LAB_STATE:-$OUT}

# shellcheck source=lab/lib.sh
. "${BASH_SOURCE[0]%/*}/../../lab/lib.sh"

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

# keep NAME COMMAND...   its output into out/NAME.txt, errors into out/NAME.err, its code into out/codes.txt
keep() {
	local name=$1 code=0
	shift
	printf '+ %s\n' "$*"
	"$@" >"$OUT/$name.txt" 2>"$OUT/$name.err" </dev/null || code=$?
	printf '%s %s\n' "$name" "$code" >>"$OUT/codes.txt"
}
