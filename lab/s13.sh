#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# S13: a container without a network: only lo
#
#    ctr
#   +------------------------+
#   | lo 127.0.0.1, ::1      |
#   |  curl 127.0.0.1:8080   |
#   |  httpd :8080           |
#   +------------------------+
#
# variants: ipv4 ipv6
# ports: 8080
# modules:
# programs: ip ss curl busybox

# shellcheck source=lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

server_of() { if [[ $1 == ipv6 ]]; then echo ::1; else echo 127.0.0.1; fi; }

up() {
	setup_ns ctr
	http_server ctr "$(server_of "$1")" 8080
}

traffic() { http_get ctr "$(server_of "$1")" 8080; }

lab "$@"
