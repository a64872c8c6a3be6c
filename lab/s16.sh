#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# S16: a real Docker daemon, with an image made on the spot
#
# One topology, four connections: from outside to the published port; from one
# container to the other (Docker loads br_netfilter); from the host to its own address
# (DNAT); from the host to 127.0.0.1, which docker-proxy answers, a process that makes
# a connection of its own.
#
#    outside              host                                         web
#   +------------+       +--------------------------------------+     +-------------+
#   | eth0       |-------| ens160              docker0 -- veth* |-----| eth0        |
#   | 10.10.10.3 |       | 10.10.10.2/24   172.17.0.1/16    |   |     | 172.17.0.2  |
#   +------------+       |  dockerd: -p 8081:8080         veth* |-+   | httpd :8080 |
#                        |  docker-proxy :8081                  | |   +-------------+
#                        +--------------------------------------+ |   +-------------+
#                                                                 +---| client      |
#                                                                     | 172.17.0.3  |
#                                                                     +-------------+
#
# variants: published containers host proxy
# ports: 8080 8081
# modules: veth bridge br_netfilter overlay nft_chain_nat nft_compat xt_nat xt_MASQUERADE xt_addrtype xt_conntrack
# programs: ip ethtool ping curl busybox docker dockerd containerd iptables mount tar
# root: dockerd needs control groups

# shellcheck source=lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=lab/docker.sh
. "${BASH_SOURCE[0]%/*}/docker.sh"

DATA=$LAB_STATE/docker
# Where Docker always has it, and where its names are looked up: /run is the lab's own.
export DOCKER_HOST=unix:///run/docker.sock

# Also of a start that failed: the daemon may be gone, and what it made not.
# shellcheck disable=SC2317 # undo calls it.
end_docker() {
	local pid i
	if pid=$(cat "$DATA/pid") && grep -qx dockerd "/proc/$pid/comm"; then
		docker ps --quiet | xargs --no-run-if-empty docker kill
		kill "$pid"
		for ((i = 0; i < 100; i++)); do
			[[ -e /proc/$pid ]] || break
			sleep 0.1
		done
	fi
	rm -f /run/docker.sock
	ip link del docker0
}

start_docker() {
	[[ ! -S /run/docker.sock ]] || die "a Docker daemon is here already; nftrace lab run S16 keeps out of its way"
	[[ $(stat --file-system --format=%T /sys/fs/cgroup) == cgroup2fs ]] ||
		run mount -t cgroup2 cgroup2 /sys/fs/cgroup
	mkdir -p "$DATA"
	run mount -t tmpfs tmpfs "$DATA"
	undo umount "$DATA"
	undo end_docker
	say "dockerd"
	start_dockerd "$LAB_STATE/dockerd.log" --data-root "$DATA/data" --exec-root "$DATA/exec" --pidfile "$DATA/pid"
}

make_image() {
	local image=$DATA/image
	mkdir -p "$image/bin" "$image/www"
	cp "$(command -v busybox)" "$image/bin/"
	echo "hello from web" >"$image/www/index.html"
	tar -C "$image" -c . | run docker import - nftrace-lab
}

container_pid() { docker inspect --format '{{.State.Pid}}' "$1"; }

up() {
	setup_ns outside
	link outside eth0 host ens160
	address outside eth0 10.10.10.3/24
	address host ens160 10.10.10.2/24
	start_docker
	make_image
	run docker run --detach --name web --publish 8081:8080 nftrace-lab /bin/busybox httpd -f -p 8080 -h /www
	run docker run --detach --name client nftrace-lab /bin/busybox sleep 100000
	{
		printf 'web %s\n' "$(stat --dereference --format=%i "/proc/$(container_pid web)/ns/net")"
		printf 'client %s\n' "$(stat --dereference --format=%i "/proc/$(container_pid client)/ns/net")"
	} >>"$LAB_STATE/roles.txt"
	warm_up outside 10.10.10.2
	warm_up host 172.17.0.2 172.17.0.3
	run docker exec client /bin/busybox ping -c 1 -W 5 172.17.0.2
}

traffic() {
	case $1 in
	published) http_get outside 10.10.10.2 8081 ;;
	containers)
		run docker exec client /bin/busybox wget -q -T 10 -O - http://172.17.0.2:8080/
		flow client tcp 172.17.0.2 8080 ok
		;;
	host) http_get host 10.10.10.2 8081 ;;
	proxy) http_get host 127.0.0.1 8081 ;;
	esac
}

lab "$@"
