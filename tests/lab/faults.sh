#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# faults.sh: every control call while its allocations fail, one after the other, as
# tests/src/bin/faults does it; in a debug kernel only.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lab/probe.sh
. "${BASH_SOURCE[0]%/*}/probe.sh"

install --mode=755 /mnt/vmtest/{faults,nftrace} /tmp
local_module

keep module /tmp/faults module "$MODULE"
load_module ports=8080
run /tmp/nftrace trace set --log --port 8080 -- 'udp[8:1] != 0xff'
keep controls /tmp/faults controls
keep sets /tmp/faults sets
keep namespaces /tmp/faults namespaces
run /tmp/nftrace flush
unload_module
