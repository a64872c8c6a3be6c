# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# A Docker daemon of one's own, at $DOCKER_HOST.

# start_dockerd LOG ARGUMENTS...   until it answers; DOCKERD is its process
start_dockerd() {
	local log=$1 i
	# On a busy machine dockerd may not wait long enough for its containerd, and when it is
	# ended, not for its containers: what is left of them is in the way of the next start.
	for ((i = 0; i < 3; i++)); do
		dockerd --host "$DOCKER_HOST" --shutdown-timeout 120 "${@:2}" </dev/null >"$log" 2>&1 &
		DOCKERD=$!
		! dockerd_answers || return 0
		kill "$DOCKERD" 2>/dev/null || true
		wait "$DOCKERD" || true
	done
	tail -n 20 "$log"
	die "dockerd does not come up"
}

dockerd_answers() {
	local end=$((SECONDS + 120))
	while ((SECONDS < end)) && kill -0 "$DOCKERD" 2>/dev/null; do
		! docker info >/dev/null 2>&1 || return 0
		sleep 0.2
	done
	return 1
}
