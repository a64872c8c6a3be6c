#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# A policy beside a real Docker (lab/s16.sh): published ports, two containers on Docker's
# bridge, and the daemon started anew, which writes all its rules again.
#
# out/outcomes.txt has a line "CASE OUTCOME" for each attempt.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lab/attempts.sh
. "${BASH_SOURCE[0]%/*}/attempts.sh"
# shellcheck source=lab/docker.sh
. "${BASH_SOURCE[0]%/*}/../../lab/docker.sh"

export LAB_STATE=/run/nftrace-lab DOCKER_HOST=unix:///run/docker.sock
DATA=$LAB_STATE/docker

published() { tcp "$1" outside 10.10.10.2 8081; }
neighbour() { of "$1" docker exec client /bin/busybox wget -q -T 3 -O - http://172.17.0.2:8080/; }

restart_docker() {
	local pid
	pid=$(cat "$DATA/pid")
	run kill "$pid"
	while [[ -e /proc/$pid ]]; do sleep 0.2; done
	start_dockerd "$OUT/dockerd.log" --data-root "$DATA/data" --exec-root "$DATA/exec" --pidfile "$DATA/pid"
	run docker start web client
}

bash "${BASH_SOURCE[0]%/*}/../../lab/s16.sh" up published
load_module bridge=1
published docker_without_policy
neighbour docker_neighbour_without_policy
policy 'drop tcp to container:web port 8080 at forward in host'
published docker_container_by_name
policy 'drop tcp from container:client to container:web port 8080 at bridge forward'
neighbour docker_neighbour_at_the_bridge
published docker_published_beside_the_bridge
policy 'drop tcp to 10.10.10.2 port 8081 at pre_routing in host'
published docker_published_port
restart_docker
published docker_restarted
nft flush ruleset
published docker_rules_flushed
restart_docker
nftrace flush
published docker_policy_flushed
