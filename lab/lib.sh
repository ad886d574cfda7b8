# shellcheck shell=bash
# lab/lib.sh: standalone clusters in network namespaces, for ./demo and tests.
#
# Set before sourcing: LAB (a prefix of at most 7 characters for namespaces and
# links), LAB_NET (two octets of an address range, "10.90"), LAB_DIR (its own
# directory, removed at the end), LAB_SRC (the source tree), LAB_BIN (where the
# programs are).
#
#   host --+-- LAB-wan (bridge, NET.0.0/24) --+-- LAB-hub  NET.0.1
#          |  NET.0.254                       +-- LAB-east NET.0.2 -- replicas NET.2.11.., stock NET.2.50
#                                             +-- LAB-west NET.0.3 -- replicas NET.3.11.., stock NET.3.50
# Everything is stopped by pid and removed by name; nothing else is touched.

lab_say() { printf '%s\n' "$*" >&2; }
lab_die() {
	lab_say "lab: $*"
	return 1
}

# lab_wait SECONDS COMMAND...: until COMMAND succeeds.
lab_wait() {
	_end=$(($(date +%s) + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(date +%s)" -lt "$_end" ] || return 1
		sleep 0.05
	done
}

lab_start_time() { cut -d' ' -f22 "/proc/$1/stat" 2>/dev/null; }

# lab_record NAME PID: remembers a process by pid and start time.
lab_record() { echo "$2 $(lab_start_time "$2")" >"$LAB_DIR/pids/$1"; }

lab_alive() {
	[ -e "$LAB_DIR/pids/$1" ] || return 1
	read -r _pid _start <"$LAB_DIR/pids/$1"
	[ "$(lab_start_time "$_pid")" = "$_start" ]
}
lab_dead() { ! lab_alive "$1"; }
lab_pid() { cut -d' ' -f1 "$LAB_DIR/pids/$1"; }

# lab_spawn NAME COMMAND...: in the background, logged, remembered.
lab_spawn() {
	_name=$1
	shift
	setsid "$@" >"$LAB_DIR/log/$_name.log" 2>&1 </dev/null &
	lab_record "$_name" $!
	disown 2>/dev/null || true
}

# lab_stop NAME [SIGNAL]: ends a remembered process, at last by SIGKILL.
lab_stop() {
	if lab_alive "$1"; then
		kill -"${2:-TERM}" "$(lab_pid "$1")" 2>/dev/null || true
		lab_wait 20 lab_dead "$1" || kill -KILL "$(lab_pid "$1")" || true
		lab_wait 5 lab_dead "$1" || lab_say "lab: $1 does not end"
	fi
	rm -f "$LAB_DIR/pids/$1"
}

lab_in() { # lab_in NAMESPACE COMMAND...
	_ns=$1
	shift
	nsenter --net="/run/netns/$LAB-$_ns" "$@"
}

lab_netns() {
	ip netns add "$LAB-$1"
	lab_in "$1" ip link set lo up
}

# lab_plug NAMESPACE ADDRESS: a link into the WAN bridge.
lab_plug() {
	ip -n "$LAB-wan" link add "p$1" type veth peer name eth0 netns "$LAB-$1"
	ip -n "$LAB-wan" link set "p$1" master br0 up
	ip -n "$LAB-$1" addr add "$2/24" dev eth0
	ip -n "$LAB-$1" link set eth0 up
}

lab_up() {
	mkdir -p "$LAB_DIR/pids" "$LAB_DIR/log" "$LAB_DIR/etc" "$LAB_DIR/run" "$LAB_DIR/state" "$LAB_DIR/files"
	chmod 755 "$LAB_DIR"
	lab_netns wan
	ip -n "$LAB-wan" link add br0 type bridge
	ip -n "$LAB-wan" link set br0 up
	ip link add "$LAB-host" type veth peer name phost netns "$LAB-wan"
	ip -n "$LAB-wan" link set phost master br0 up
	ip addr add "$LAB_NET.0.254/24" dev "$LAB-host"
	ip link set "$LAB-host" up
}

# lab_cluster NAME INDEX: a namespace with a network of its own for services.
lab_cluster() {
	lab_netns "$1"
	lab_plug "$1" "$LAB_NET.0.$2"
	# An address of its own: else the bridge takes the lowest of its ports', and
	# machines that have talked to it lose it when a port comes.
	ip -n "$LAB-$1" link add br0 address "$(printf '02:00:00:00:00:%02x' "$2")" type bridge
	ip -n "$LAB-$1" addr add "$LAB_NET.$2.1/24" dev br0
	ip -n "$LAB-$1" link set br0 up
	lab_in "$1" sysctl -qw net.ipv4.ip_forward=1
	ip route add "$LAB_NET.$2.0/24" via "$LAB_NET.0.$2" dev "$LAB-host"
	ip -n "$LAB-$1" route add default via "$LAB_NET.0.254" 2>/dev/null || true
	echo "$2" >"$LAB_DIR/etc/index.$1"
}

# lab_host CLUSTER NAME ADDRESS [noroute]: a machine in a cluster's network.
lab_host() {
	lab_netns "$1-$2"
	ip -n "$LAB-$1" link add "p$2" type veth peer name eth0 netns "$LAB-$1-$2"
	ip -n "$LAB-$1" link set "p$2" master br0 up
	ip -n "$LAB-$1-$2" addr add "$3/24" dev eth0
	ip -n "$LAB-$1-$2" link set eth0 up
	[ "${4:-}" = noroute ] || ip -n "$LAB-$1-$2" route add default via "${3%.*}.1"
}

lab_port_open() { lab_in "$1" bash -c "exec 3<>/dev/tcp/$2/$3"; }

# lab_backend CLUSTER: stock and the name server. Stock has no route out, so
# nothing outside the cluster's network ever gets an answer from it.
lab_backend() {
	_i=$(cat "$LAB_DIR/etc/index.$1")
	lab_host "$1" stock "$LAB_NET.$_i.50" noroute
	lab_spawn "$1-stock" nsenter --net="/run/netns/$LAB-$1-stock" \
		python3 "$LAB_SRC/lab/stock.py" "$1" "$LAB_NET.$_i.50" 9000
	lab_spawn "$1-names" nsenter --net="/run/netns/$LAB-$1" \
		python3 "$LAB_SRC/lab/names.py" "$LAB_NET.$_i.1" \
		"stock.$1.internal=$LAB_NET.$_i.50" "stock.internal=$LAB_NET.$_i.50"
	lab_wait 30 lab_port_open "$1" "$LAB_NET.$_i.50" 9000 || lab_die "stock of $1 does not answer"
}

# lab_replica CLUSTER N: replica N of shop, as a target of the daemon.
lab_replica() {
	_i=$(cat "$LAB_DIR/etc/index.$1") _a="$LAB_NET.$(cat "$LAB_DIR/etc/index.$1").$((10 + $2))"
	_d="$LAB_DIR/replicas/$1-$2"
	[ -e "/run/netns/$LAB-$1-shop$2" ] || lab_host "$1" "shop$2" "$_a"
	mkdir -p "$_d/etc"
	echo "shop-$2.$1" >"$_d/etc/hostname"
	printf '127.0.0.1 localhost\n::1 localhost\n%s shop-%s.%s\n' "$_a" "$2" "$1" >"$_d/etc/hosts"
	printf 'nameserver %s.%s.1\nsearch %s.internal internal\noptions timeout:2 attempts:2\n' \
		"$LAB_NET" "$_i" "$1" >"$_d/etc/resolv.conf"
	lab_spawn "$1-shop-$2" nsenter --net="/run/netns/$LAB-$1-shop$2" \
		unshare --mount --pid --uts --fork --kill-child --propagation private \
		"$LAB_SRC/lab/replica" "$_d" "$1" "shop-$2" 8080 "$LAB_SRC/lab/shop.py"
	lab_wait 30 lab_port_open "$1" "$_a" 8080 || lab_die "replica $2 of shop in $1 does not answer"
	_u=$(lab_pid "$1-shop-$2")
	tr -d ' \n' <"/proc/$_u/task/$_u/children" >"$LAB_DIR/run/$1-shop-$2.pid"
}

lab_replica_address() { echo "$LAB_NET.$(cat "$LAB_DIR/etc/index.$1").$((10 + $2))"; }

# lab_config NAME INDEX REPLICAS ROLE-TEXT: writes NAME's tributaryd.yaml. The
# text is whatever the role needs besides (multiCluster, clusters, primaries).
lab_config() {
	{
		cat <<EOF
instance: $1
platform: standalone
listen: ["$LAB_NET.0.$2:8443"]
advertise: "https://$LAB_NET.0.$2:8443"
runDir: $LAB_DIR/run/daemon
stateDir: $LAB_DIR/state
workerUids: {first: $((64000 + $2 * 100)), count: 64}
logLevel: ${LAB_LOG:-info}
agent: {program: "$LAB_BIN/tributary-agent", idleSecs: ${LAB_IDLE:-30}}
allow:
  - {users: [dev, dev2], namespaces: ["*"], targets: ["*"], verbs: ["*"]}
  - {users: [admin], namespaces: ["*"], targets: ["*"], verbs: ["*", admin]}
EOF
		printf '%s\n' "$4"
		if [ "$3" -gt 0 ]; then
			printf 'targets:\n  - kind: deployment\n    namespace: default\n    name: shop\n'
			printf '    container: app\n    ports: [8080]\n    labels: {app: shop}\n    replicas:\n'
			for _n in $(seq "$3"); do
				printf '      - {name: shop-%s, pidFile: "%s/run/%s-shop-%s.pid"}\n' "$_n" "$LAB_DIR" "$1" "$_n"
			done
		fi
	} >"$LAB_DIR/etc/$1.yaml"
}

lab_healthy() {
	[ "$(lab_in wan true 2>/dev/null; curl -sk --max-time 2 "https://$LAB_NET.0.$(cat "$LAB_DIR/etc/index.$1"):8443/health")" = ok ]
}

# lab_daemon NAME: starts tributaryd for a cluster and waits until it serves.
lab_daemon() {
	lab_spawn "$1-daemon" nsenter --net="/run/netns/$LAB-$1" \
		"$LAB_BIN/tributaryd" -f -c "$LAB_DIR/etc/$1.yaml"
	lab_wait "${LAB_START_SECS:-60}" lab_healthy "$1" || {
		tail -n 30 "$LAB_DIR/log/$1-daemon.log" >&2
		lab_die "the daemon of $1 does not serve"
	}
}

lab_control() { echo "$LAB_DIR/run/daemon/$1/control.sock"; }

# lab_join PRIMARY MEMBER: PRIMARY gets a credential of MEMBER.
lab_join() {
	mkdir -p "$LAB_DIR/state/$1/credentials"
	"$LAB_BIN/tributary" kubeconfig "$1" --control "$(lab_control "$2")" \
		--credentials "$LAB_DIR/state/$1/credentials/$2" >/dev/null
}

# lab_user PRIMARY USER: prints the path of a kubeconfig for USER.
lab_user() {
	"$LAB_BIN/tributary" kubeconfig "$2" --control "$(lab_control "$1")" \
		--out "$LAB_DIR/files/$2.kubeconfig" >/dev/null
	echo "$LAB_DIR/files/$2.kubeconfig"
}

# lab_down: ends and removes all of it, in the order it can't hurt.
lab_down() {
	for _f in "$LAB_DIR"/pids/*-daemon; do
		[ -e "$_f" ] && lab_stop "$(basename "$_f")"
	done
	for _f in "$LAB_DIR"/pids/*; do
		[ -e "$_f" ] && lab_stop "$(basename "$_f")" KILL
	done
	for _n in $(ip netns list | cut -d' ' -f1 | grep "^$LAB-" || true); do
		ip netns del "$_n"
	done
	ip link del "$LAB-host" 2>/dev/null || true
	rm -rf "$LAB_DIR"
}
