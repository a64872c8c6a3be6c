#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Engines that run, each with a container that serves a page on port 8080:
#
#   docker-web     Docker, whose containers the system's containerd runs
#   podman-web     Podman, with its API socket, on its own bridge
#   rootless-web   Podman of the user alice, with her API socket, behind slirp4netns
#   ctr-web        containerd, by `ctr run`; a network with lo only
#   shop/cart/app  containerd in namespace k8s.io, with what its CRI plugin notes of a pod
#
# out/codes.txt: a line "what code" for each exit code; the rest is what was printed.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

NFTRACE=/tmp/nftrace
# As Kubernetes makes them.
CRI_ID=$(printf 'c%.0s' {1..64})
SERVER=(/bin/busybox httpd -f -p 8080 -h /www)
CONTAINERS=(docker-web podman-web rootless-web ctr-web shop/cart/app)

# storage FOLDER   an overlay cannot be made on the guest's root, which is one
storage() {
	run mkdir -p "$1"
	run mount -t tmpfs -o mode=711 tmpfs "$1"
}

# await_socket FILE
await_socket() {
	local i
	for ((i = 0; i < 600; i++)); do
		[[ ! -S $1 ]] || return 0
		sleep 0.1
	done
	tail -n 20 /tmp/*.log
	die "$1 does not come"
}

# background NAME COMMAND...   until the end, with its output in /tmp/NAME.log
background() {
	local name=$1
	shift
	printf '+ %s &\n' "$*"
	"$@" </dev/null >"/tmp/$name.log" 2>&1 &
}

as_alice() {
	(
		cd /home/alice
		exec setpriv --reuid=1000 --regid=1000 --clear-groups \
			env HOME=/home/alice USER=alice XDG_RUNTIME_DIR=/run/user/1000 "$@"
	)
}

# Nothing here has systemd, and a container's log is of no interest.
podman() { command podman --cgroup-manager=cgroupfs --log-level=error "$@"; }
alices() { as_alice podman --cgroup-manager=cgroupfs --log-level=error "$@"; }

prepare() {
	run mount -t cgroup2 cgroup2 /sys/fs/cgroup
	storage /var/lib/containers
	storage /var/lib/containerd
	storage /var/lib/docker
	storage /home/alice
	# Elsewhere udev does it.
	run modprobe tun
	run chmod 666 /dev/net/tun
	echo 'alice:x:1000:1000::/home/alice:/bin/bash' >>/etc/passwd
	echo 'alice:x:1000:' >>/etc/group
	echo 'alice:100000:65536' | tee /etc/subuid >/etc/subgid
	run install --directory --owner=1000 --group=1000 --mode=700 /run/user/1000
	run chown 1000:1000 /home/alice
	# Whoever is behind slirp4netns needs a way out to be given one.
	ip_in host link add up0 type dummy
	ip_in host address add 192.0.2.1/24 dev up0
	ip_in host link set up0 up
	ip_in host route add default dev up0
}

make_image() {
	local image=/tmp/image
	mkdir -p "$image/bin" "$image/www" "$image/tmp"
	cp "$(command -v busybox)" "$image/bin/"
	echo "a page" >"$image/www/index.html"
	tar -C "$image" -cf /tmp/image.tar .
	chmod 644 /tmp/image.tar
}

start_podman() {
	run podman import --quiet /tmp/image.tar localhost/nftrace-lab:1
	run podman run --detach --name podman-web nftrace-lab:1 "${SERVER[@]}"
	mkdir -p /run/podman
	background podman /usr/bin/podman --log-level=error system service --time=0 unix:///run/podman/podman.sock
	podman=$!
	await_socket /run/podman/podman.sock
}

start_rootless() {
	run alices import --quiet /tmp/image.tar localhost/nftrace-lab:1
	run alices run --detach --network slirp4netns --name rootless-web nftrace-lab:1 "${SERVER[@]}"
	as_alice mkdir -p /run/user/1000/podman
	background rootless alices system service --time=0 unix:///run/user/1000/podman/podman.sock
	await_socket /run/user/1000/podman/podman.sock
}

start_containerd() {
	background containerd containerd
	containerd=$!
	await_socket /run/containerd/containerd.sock
	run podman save --quiet --format docker-archive --output /tmp/archive.tar nftrace-lab:1
	run ctr image import /tmp/archive.tar
	run ctr --namespace k8s.io image import /tmp/archive.tar
	run ctr run --detach localhost/nftrace-lab:1 ctr-web "${SERVER[@]}"
	run ctr --namespace k8s.io run --detach \
		--annotation io.kubernetes.cri.container-type=container \
		--annotation io.kubernetes.cri.container-name=app \
		--annotation io.kubernetes.cri.sandbox-name=cart \
		--annotation io.kubernetes.cri.sandbox-namespace=shop \
		localhost/nftrace-lab:1 "$CRI_ID" "${SERVER[@]}"
}

start_docker() {
	background dockerd dockerd --host unix:///run/docker.sock --live-restore
	dockerd=$!
	await_socket /run/docker.sock
	run docker import --change 'ENV A=b' /tmp/image.tar nftrace-lab:1
	run docker run --detach --name docker-web nftrace-lab:1 "${SERVER[@]}"
}

# The last process of each: nobody is left who would restart or remove anything.
stop_all() {
	run kill -KILL "$docker_web" "$(cat /run/containerd/io.containerd.runtime.v2.task/*/ctr-web/init.pid)" \
		"$(cat "/run/containerd/io.containerd.runtime.v2.task/k8s.io/$CRI_ID/init.pid")"
	run podman rm --force --time 0 podman-web
	run alices rm --force --time 0 rootless-web
	sleep 1
}

run install --mode=755 /mnt/vmtest/nftrace "$NFTRACE"
load_module ports=
write_roles
prepare
make_image
start_podman
start_rootless
start_containerd
start_docker

keep ns "$NFTRACE" ns --json
keep user-ns as_alice "$NFTRACE" ns --json

run "$NFTRACE" trace set --port 8080
"$NFTRACE" watch --ready-file /tmp/ready >"$OUT/watch.txt" 2>"$OUT/watch.err" &
watch=$!
for _ in {1..100}; do
	[[ ! -e /tmp/ready ]] || break
	sleep 0.1
done
# A program of the container's own files, in all of its namespaces.
for container in "${CONTAINERS[@]}"; do
	# shellcheck disable=SC2016 # The inner shell expands it.
	keep "exec-${container//\//-}" "$NFTRACE" exec --container "$container" --mount --uts --ipc --pidns -- \
		/bin/busybox sh -c 'b=/bin/busybox; $b cat /proc/1/cmdline; echo; $b readlink /proc/self/ns/net
			$b wget -q -T 10 -O - http://127.0.0.1:8080/; exit 5'
done
sleep 1
kill -INT "$watch"
wait "$watch"

# Without the engines: what their files and control groups tell.
docker_web=$(docker inspect --format '{{.State.Pid}}' docker-web)
run kill "$(cat /run/docker.pid)" "$podman" "$containerd"
wait "$dockerd" "$podman" "$containerd" || true
mv /run/nftrace/names.json /tmp/
keep files "$NFTRACE" ns --json
mv /tmp/names.json /run/nftrace/

stop_all
keep gone "$NFTRACE" ns --all --json
keep gone-exec "$NFTRACE" exec --container ctr-web -- true
unload_module
