#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The agent with a real Docker: what is said of `container:web` holds for web wherever it
# is, and from when it comes until it goes.
#
#    host                          docker0   +-- web    :8080 and :9090, started again
#    curl ----------------------- 172.17.0.1 +-- other  :8080
#
# The agent looks at everything once an hour only: what it does comes from what it is told.
#
# out/outcomes.txt has a line "CASE OUTCOME" for each attempt; out/agent.txt is what the
# agent said, out/notify.txt what it told systemd.

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"
# shellcheck source=tests/lab/attempts.sh
. "${BASH_SOURCE[0]%/*}/attempts.sh"
# shellcheck source=lab/docker.sh
. "${BASH_SOURCE[0]%/*}/../../lab/docker.sh"

AGENT_LOG=$OUT/agent.txt
export DOCKER_HOST=unix:///run/docker.sock

# awaits SECONDS WORDS COMMAND...   until the command succeeds
awaits() {
	local end=$((SECONDS + $1))
	while ((SECONDS < end)); do
		! "${@:3}" >/dev/null 2>&1 || return 0
		sleep 0.1
	done
	tail -n 40 "$AGENT_LOG" "$OUT/dockerd.log"
	die "$2: in vain"
}

agent_said() { grep -qF -- "$1" "$AGENT_LOG"; }

# until_said WORDS   the agent has said it
until_said() { awaits 30 "the agent says '$1'" agent_said "$1"; }

# generation_is_not N
generation_is_not() { [[ $(generation) != "$1" ]]; }

generation() { nftrace show --json | sed -n 's/.*"generation":\([0-9]*\).*/\1/p'; }

start_docker() {
	run mount -t cgroup2 cgroup2 /sys/fs/cgroup
	mkdir -p /var/lib/docker
	run mount -t tmpfs -o mode=711 tmpfs /var/lib/docker
	start_dockerd "$OUT/dockerd.log"
	local image=/tmp/image
	mkdir -p "$image/bin" "$image/www"
	cp "$(command -v busybox)" "$image/bin/"
	ln -s busybox "$image/bin/sh"
	echo "a page" >"$image/www/index.html"
	tar -C "$image" -c . | run docker import - nftrace-lab
}

# serve NAME   a container with a page on two ports
serve() {
	run docker run --detach --name "$1" nftrace-lab /bin/sh -c \
		'/bin/busybox httpd -p 9090 -h /www; exec /bin/busybox httpd -f -p 8080 -h /www'
}

address_of() { docker inspect --format '{{.NetworkSettings.IPAddress}}' "$1"; }

# try_web CASE
try_web() {
	local address
	address=$(address_of web)
	printf '# web is %s\n' "$address"
	tcp "$1_to" host "$address" 8080
	tcp "$1_in" host "$address" 9090
}

start_agent() {
	socat -u UNIX-RECV:/tmp/notify "CREATE:$OUT/notify.txt" </dev/null >/dev/null 2>&1 &
	systemd=$!
	awaits 10 "socat comes up" test -S /tmp/notify
	# With what docs/nftrace-agent.service lets it have.
	may=$(sed -n 's/^CapabilityBoundingSet=//p' /mnt/vmtest/nftrace-agent.service)
	may=${may//CAP_/+}
	may=${may// /,}
	NOTIFY_SOCKET=/tmp/notify setpriv --no-new-privs --bounding-set="-all,${may,,}" \
		/tmp/nftrace agent --interval 3600 /tmp/agent.policy </dev/null >>"$AGENT_LOG" 2>&1 &
	agent=$!
}

write_policy() { printf '%s\n' "$@" >/tmp/agent.policy; }

RULES=(
	'drop tcp to container:web port 8080 at local_out in host'
	'drop tcp to any port 9090 at local_in in container:web name "no 9090"'
	'drop tcp to any port 7 at local_out in netns:blue'
)

load_module ports=
write_roles
start_docker
serve web
serve other
awaits 30 "web serves" curl --silent --fail --output /dev/null "http://$(address_of web):8080/"

try_web without_agent

: >"$AGENT_LOG"
write_policy "${RULES[@]}"
start_agent
until_said 'generation 1 is in force'
first=$(address_of web)
try_web at_first
tcp other host "$(address_of other)" 8080

# Somebody else takes its address, or the next one.
run docker stop --time 0 web
until_said 'container:web means nothing now'
serve another
before=$(generation)
run docker start web
awaits 30 "the agent loads the policy again" generation_is_not "$before"
sleep 2
second=$(address_of web)
printf 'first %s\nsecond %s\n' "$first" "$second" >"$OUT/addresses.txt"
try_web restarted
tcp another host "$(address_of another)" 8080

# While it lives, on one more network.
run docker network create --subnet 172.30.0.0/24 lab
before=$(generation)
run docker network connect --ip 172.30.0.7 lab web
awaits 30 "the agent loads the policy again" generation_is_not "$before"
tcp second_network_to host 172.30.0.7 8080

# A namespace that has a name only now.
run ip netns add blue
until_said 'netns:blue: cookie'
keep explain nftrace explain 'tcp 10.0.0.1 > 10.0.0.2:7' --at local_out --ns netns:blue --json
keep explain-web nftrace explain "tcp 172.17.0.1 > $second:9090 in eth0" --container web
keep explain-other nftrace explain "tcp 172.17.0.1 > $second:9090 in eth0" --container other --quiet

# The file: wrong, then another one.
before=$(generation)
write_policy 'dorp tcp'
run kill -HUP "$agent"
until_said 'the policy that was read before stays in force'
keep wrong-file nftrace show
printf 'wrong %s %s\n' "$before" "$(generation)" >>"$OUT/generations.txt"
write_policy 'default accept-until-known in new' "${RULES[@]}" 'drop tcp to any port 7 at local_out'
run kill -HUP "$agent"
awaits 30 "the agent loads the file" generation_is_not "$before"

# A namespace that is made behind the load, and gets known by that alone.
before=$(generation)
run ip netns add green
awaits 30 "the agent loads the policy again" generation_is_not "$before"
sleep 2
ip -n green link set lo up
ip netns exec green busybox httpd -p 7 -h /tmp/image/www
tcp new_namespace green 127.0.0.1 7
ip netns exec green busybox httpd -p 8 -h /tmp/image/www
tcp new_namespace_other_port green 127.0.0.1 8

# Somebody else flushes it: that stays so, until SIGHUP.
run nftrace flush
serve third
until_said 'somebody else has taken the policy out of force'
try_web flushed
printf 'flushed 0 %s\n' "$(generation)" >>"$OUT/generations.txt"
run kill -HUP "$agent"
awaits 30 "the agent loads the file" generation_is_not 0
try_web hung_up

# The end: it stays in force.
code=0
kill -TERM "$agent"
wait "$agent" || code=$?
printf 'agent %s\n' "$code" >>"$OUT/codes.txt"
try_web ended
keep history nftrace history

write_policy 'dorp tcp'
keep wrong-start nftrace agent /tmp/agent.policy
keep no-file nftrace agent /nonexistent/policy
try_web ended_still

kill "$systemd"
docker ps --quiet | xargs --no-run-if-empty docker rm --force >/dev/null
dmesg | grep nftrace >"$OUT/dmesg.txt" || true
unload_module
