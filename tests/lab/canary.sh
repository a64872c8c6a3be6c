#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# canary.sh FAULT: a module that does wrong; in a debug kernel only.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

run insmod /mnt/vmtest/canary.ko "fault=$1"
run rmmod canary
