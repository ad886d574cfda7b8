# shellcheck shell=bash
# tests/lib/lab.sh: what end-to-end tests of the daemon share. Source it with
# TEST set to the test's name; it makes a lab (lab/lib.sh) of the test's own and
# takes it down at the end, whatever happened.
#
#   check "sentence" COMMAND...   one result: passed when COMMAND succeeds
#   layout KIND N REPLICAS        a fleet: see below
#   start_exec NAME USER ARGS...  tributary exec in the background
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
: "${BIN:=$here/build/release}"
export LAB=${LAB:-t$(($$ % 10000))} LAB_NET=${LAB_NET:-10.$((100 + $$ % 100))}
export LAB_DIR=/run/tributary-test-$$ LAB_SRC=$here LAB_BIN=$BIN
# Local ports of this test: two runs at a time do not meet.
# shellcheck disable=SC2034 # the tests use it
PORTS=$((21000 + $$ % 900 * 10))
cd "$here" || exit 1
. lab/lib.sh
if [ "$(id -u)" != 0 ]; then
	echo "$TEST: needs root for network namespaces"
	exit 77
fi

passed=0 failed=0
check() {
	local what=$1
	shift
	if "$@" >"$LAB_DIR/log/check.out" 2>&1; then
		passed=$((passed + 1))
		echo "ok: $what"
	else
		failed=$((failed + 1))
		echo "FAILED: $what ($*)"
		tail -n 15 "$LAB_DIR/log/check.out" | sed 's/^/    /'
	fi
}

# What a sanitizer build says on the way is a failure, whatever the result.
sanitizers_silent() {
	! grep -rlE 'ERROR: (Address|Leak)Sanitizer|runtime error:' "$LAB_DIR/log"
}

# What the daemons and clients said, when something failed since last time.
shown=0
show_logs() {
	local f
	[ "$failed" != "$shown" ] || return 0
	shown=$failed
	for f in "$LAB_DIR"/log/*.log; do
		[ -e "$f" ] && echo "--- $f" && grep -v ' debug: ' "$f" | tail -n 60
	done
}

finish() {
	local rc=$?
	trap - EXIT
	stop_daemons
	sanitizers_silent || {
		failed=$((failed + 1))
		echo "FAILED: a sanitizer complained"
	}
	[ "$rc" = 0 ] || shown=
	show_logs
	lab_down
	ip netns list | grep -q "^$LAB-" && {
		failed=$((failed + 1))
		echo "FAILED: the lab is still there"
	}
	[ "$rc" = 0 ] || [ "$failed" != 0 ] || failed=1
	echo "$TEST: $passed passed, $failed failed"
	[ "$failed" = 0 ] && exit 0
	exit 1
}
# Leaks are looked for when a daemon ends by itself: end them first.
stop_daemons() {
	local f
	for f in "$LAB_DIR"/pids/*-daemon; do
		[ -e "$f" ] && lab_stop "$(basename "$f")"
	done
}
trap finish EXIT
trap 'exit 130' INT TERM
lab_up

# again: a new lab within the same test.
again() {
	stop_daemons
	check "the sanitizers have nothing to say" sanitizers_silent
	show_logs
	lab_down
	lab_up
}

# layout KIND N REPLICAS: makes a fleet of N workload clusters named c1..cN.
#   all      c1 is primary, workload and default
#   remote   c1 is primary and workload, c2 is default (N >= 2)
#   hub      a management-only primary `hub`; c1 is default
# Sets PRIMARY, CLUSTERS, DEFAULT.
layout() {
	local kind=$1 n=$2 replicas=$3 i c own
	CLUSTERS=
	for i in $(seq "$n"); do CLUSTERS="$CLUSTERS c$i"; done
	PRIMARY=c1 DEFAULT=c1 own=c1
	[ "$kind" != remote ] || DEFAULT=c2
	[ "$kind" != hub ] || PRIMARY=hub own=
	[ "$PRIMARY" != hub ] || lab_cluster hub 9
	i=0
	for c in $CLUSTERS; do
		i=$((i + 1))
		lab_cluster "$c" "$i"
		lab_backend "$c"
		for r in $(seq "$replicas"); do lab_replica "$c" "$r"; done
		[ "$c" != "$own" ] || continue
		lab_config "$c" "$i" "$replicas" "primaries: [{name: $PRIMARY, certificate: $PRIMARY}]
${LAB_MEMBER_CONFIG:-}"
		lab_daemon "$c"
		lab_join "$PRIMARY" "$c"
	done
	layout_primary "$kind" "$replicas"
	lab_daemon "$PRIMARY"
}

layout_primary() {
	local remotes='' c i text
	for c in $CLUSTERS; do
		[ "$c" != "$PRIMARY" ] || continue
		i=$(cat "$LAB_DIR/etc/index.$c")
		remotes="$remotes
  - {name: $c, server: \"https://$LAB_NET.0.$i:8443\", authType: mtls, caFile: \"$LAB_DIR/state/$PRIMARY/credentials/$c/ca.crt\"}"
	done
	text="multiCluster: {clusterName: $PRIMARY, defaultCluster: $DEFAULT, managementOnly: $([ "$1" = hub ] && echo true || echo false), sessionTtlSecs: ${LAB_TTL:-90}}
${LAB_PRIMARY_CONFIG:-}"
	[ -z "$remotes" ] || text="$text
clusters:$remotes"
	lab_config "$PRIMARY" "$(cat "$LAB_DIR/etc/index.$PRIMARY")" "$([ "$1" = hub ] && echo 0 || echo "$2")" "$text"
}

# shops: "CLUSTER REPLICA URL" lines of every replica there is.
shops() {
	local c f
	for c in $CLUSTERS; do
		for f in "$LAB_DIR"/run/"$c"-shop-*.pid; do
			f=${f##*-}
			f=${f%.pid}
			echo "$c $f http://$(lab_replica_address "$c" "$f"):8080/"
		done
	done
}

answers() { curl -s --max-time 3 "$1" | grep -q "\"answered_by\": \"$2\""; }

# all_answer local|replica: every replica of every cluster does.
all_answer() {
	local url
	while read -r _ _ url; do
		lab_wait "${2:-30}" answers "$url" "$1" || {
			echo "$url is not answered by $1"
			return 1
		}
	done < <(shops)
}

# start_exec NAME USER ARGS...: tributary exec, its output in log/NAME.log.
start_exec() {
	local name=$1 user=$2
	shift 2
	[ -e "$LAB_DIR/files/$user.kubeconfig" ] || lab_user "$PRIMARY" "$user" >/dev/null
	mkdir -p "$LAB_DIR/files/home-$user"
	lab_spawn "$name" env KUBECONFIG="$LAB_DIR/files/$user.kubeconfig" \
		HOME="$LAB_DIR/files/home-$user" "$LAB_BIN/tributary" exec "$@"
}
said() { grep -q -- "$2" "$LAB_DIR/log/$1.log"; }

# as USER ARGS...: the client, in the foreground.
as() {
	local user=$1
	shift
	[ -e "$LAB_DIR/files/$user.kubeconfig" ] || lab_user "$PRIMARY" "$user" >/dev/null
	mkdir -p "$LAB_DIR/files/home-$user"
	KUBECONFIG="$LAB_DIR/files/$user.kubeconfig" HOME="$LAB_DIR/files/home-$user" "$LAB_BIN/tributary" "$@"
}

# workers NAME ROLE: pids of a daemon's workers of that role.
workers() {
	local p
	for p in $(cat "/proc/$(lab_pid "$1-daemon")/task/$(lab_pid "$1-daemon")/children"); do
		tr '\0' ' ' <"/proc/$p/cmdline" | grep -q "^tributaryd: $2" && echo "$p"
	done
}
