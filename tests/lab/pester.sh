#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# pester.sh CALLS SEED [coverage]: the module is called at random, as tests/src/bin/pester
# does it; afterwards it works, nobody holds it, and it can be unloaded and loaded again.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lab/probe.sh
. "${BASH_SOURCE[0]%/*}/probe.sh"

install --mode=755 /mnt/vmtest/pester /tmp
local_module
load_module ports=8080 log_rate=5
keep pester /tmp/pester "$@"
awk '$1 == "nftrace" { print $3 }' /proc/modules >"$OUT/users.txt"
unload_module
load_module ports=8080
unload_module
