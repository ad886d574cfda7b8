# shellcheck shell=bash
# tests/lib/api_lab.sh: what the tests of the API share. Source it after
# tests/lib/lab.sh.
#
# The target is the one of the captures: `web` in namespace default, container
# app, port 80, as a deployment, statefulset, service, replicaset, job and
# cronjob over the same replica. Beside it runs an echo server that only the
# cluster reaches.

api_web() { # api_web CLUSTER: one replica of web, and the echo server
	local c=$1 i a d u
	i=$(cat "$LAB_DIR/etc/index.$c")
	a=$LAB_NET.$i.11 d=$LAB_DIR/replicas/$c-web
	lab_host "$c" web "$a"
	mkdir -p "$d/etc"
	echo "web-1.$c" >"$d/etc/hostname"
	printf '127.0.0.1 localhost\n::1 localhost\n' >"$d/etc/hosts"
	printf 'nameserver %s.%s.1\nsearch %s.internal internal\n' "$LAB_NET" "$i" "$c" >"$d/etc/resolv.conf"
	lab_spawn "$c-web" nsenter --net="/run/netns/$LAB-$c-web" \
		unshare --mount --pid --uts --fork --kill-child --propagation private \
		"$LAB_SRC/lab/replica" "$d" "$c" web-1 80 "$LAB_SRC/lab/shop.py"
	lab_spawn "$c-echo" nsenter --net="/run/netns/$LAB-$c" \
		python3 "$LAB_SRC/tests/lib/echo.py" "$LAB_NET.$i.1" 5432
	lab_wait 30 lab_port_open "$c" "$a" 80 || lab_die "web of $c does not answer"
	lab_wait 30 lab_port_open "$c" "$LAB_NET.$i.1" 5432 || lab_die "echo of $c does not answer"
	u=$(lab_pid "$c-web")
	tr -d ' \n' <"/proc/$u/task/$u/children" >"$LAB_DIR/run/$c-web.pid"
}

api_targets() { # api_targets CLUSTER: the part `targets:` of its configuration
	local kind
	echo targets:
	for kind in deployment statefulset service replicaset job cronjob; do
		cat <<EOF
  - kind: $kind
    namespace: default
    name: web
    container: app
    ports: [80]
    labels: {app: web}
    replicas:
      - {name: web-1, pidFile: "$LAB_DIR/run/$1-web.pid"}
EOF
	done
	echo "  - {kind: deployment, namespace: other, name: web, container: app, ports: [80], labels: {app: web}, replicas: []}"
}

# api_config NAME INDEX TEXT: a configuration with the targets when the
# cluster has any, API_FRONTENDS of them, and further rules in API_RULES.
api_config() {
	local targets=
	[ ! -e "$LAB_DIR/run/$1-web.pid" ] || targets=$(api_targets "$1")
	lab_config "$1" "$2" 0 "$3
frontends: ${API_FRONTENDS:-1}
$targets"
	[ -n "${API_RULES:-}" ] || return 0
	RULES=$API_RULES awk '{ print } /^allow:/ { print ENVIRON["RULES"] }' \
		"$LAB_DIR/etc/$1.yaml" >"$LAB_DIR/etc/with-rules"
	mv "$LAB_DIR/etc/with-rules" "$LAB_DIR/etc/$1.yaml"
}

api_single() { # an ordinary single-cluster operator, `c1`
	lab_cluster c1 1
	api_web c1
	api_config c1 1 ''
	lab_daemon c1
	API_PRIMARY=c1 API_MEMBERS=c1
}

# api_fleet PRIMARY MEMBER...: a management-only primary over members; with
# API_OWN set it has a workload too. Members in API_TOKEN_MEMBERS are reached by
# bearer token, the others by certificate.
api_fleet() {
	local p=$1 remotes='' i=0 m how only=true
	shift
	lab_cluster "$p" 9
	[ -z "${API_OWN:-}" ] || { api_web "$p" && only=false; }
	for m in "$@"; do
		i=$((i + 1)) how=mtls
		lab_cluster "$m" "$i"
		api_web "$m"
		api_config "$m" "$i" "primaries: [{name: $p, certificate: $p}, {name: other-$p, certificate: other-$p}]"
		lab_daemon "$m"
		case " ${API_TOKEN_MEMBERS:-} " in
		*" $m "*) how=bearerToken && api_token_join "$p" "$m" ;;
		*) lab_join "$p" "$m" ;;
		esac
		remotes="$remotes
  - {name: $m, server: \"https://$LAB_NET.0.$i:8443\", authType: $how, caFile: \"$LAB_DIR/state/$p/credentials/$m/ca.crt\"}"
	done
	api_config "$p" 9 "multiCluster: {clusterName: $p, defaultCluster: $1, managementOnly: $only}
clusters:$remotes"
	lab_daemon "$p"
	# shellcheck disable=SC2034 # for the test
	API_PRIMARY=$p API_MEMBERS=$*
}

api_token_join() { # api_token_join PRIMARY MEMBER
	mkdir -p "$LAB_DIR/state/$1/credentials"
	"$LAB_BIN/tributary" token "$1" --control "$(lab_control "$2")" \
		--credentials "$LAB_DIR/state/$1/credentials/$2" >/dev/null 2>&1
}

# api_end: the daemons end in order, and their logs hold nothing that must not
# be there: no crash, no sanitizer's report, no leak (told when they exit).
api_end() {
	local f
	for f in "$LAB_DIR"/pids/*-daemon; do
		[ ! -e "$f" ] || lab_stop "$(basename "$f")"
	done
	check "nothing crashed, leaked or was killed by its filter" api_logs_clean
}

api_logs_clean() { # signal 9 is the tests' own
	! grep -hE 'ERROR: (Address|Leak)Sanitizer|runtime error:|died of signal [1-8]( |\()|died of signal [1-9][0-9]|malformed|SIGSYS' \
		"$LAB_DIR"/log/*-daemon.log
}

api_url() { echo "https://$LAB_NET.0.$(cat "$LAB_DIR/etc/index.$1"):8443"; }

# api_credential CLUSTER NAME [ARGS...]: makes NAME's credential of CLUSTER and
# prints its directory.
api_credential() {
	local c=$1 name=$2 d
	d=$LAB_DIR/files/$c-$name
	shift 2
	[ -e "$d" ] || "$LAB_BIN/tributary" kubeconfig "$name" --control "$(lab_control "$c")" \
		--credentials "$d" "$@" >/dev/null || return 1
	echo "$d"
}

# report NAME COMMAND...: a program that prints `ok:` and `FAILED:` lines.
report() {
	local name=$1 rc=0 out=$LAB_DIR/log/report.$1
	shift
	"$@" >"$out" 2>&1 || rc=$?
	grep -E '^(ok|FAILED): ' "$out"
	passed=$((passed + $(grep -c '^ok: ' "$out")))
	failed=$((failed + $(grep -c '^FAILED: ' "$out")))
	if [ "$rc" != 0 ] && ! grep -q '^FAILED: ' "$out"; then
		failed=$((failed + 1))
		echo "FAILED: $name ended with $rc"
	fi
	[ "$rc" = 0 ] || grep -vE '^ok: ' "$out" | tail -n 30 | sed 's/^/    /'
	return "$rc"
}

# shellcheck disable=SC2154 # `here` is lab.sh's
api() { python3 "$here/tests/lib/$1.py" "${@:2}"; }
