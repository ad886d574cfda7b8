#!/bin/bash
# Recorded runs of the stock CLI (tests/captures/, spec/operator-api.md §25)
# replayed against real daemons: a single-cluster operator, and a management-only
# primary with two frontends over two clusters. tests/lib/replay.py says what
# equal means.
TEST=captures
# shellcheck source=tests/lib/lab.sh
. "$(dirname "$0")/../lib/lab.sh"
# shellcheck source=tests/lib/api_lab.sh
. "$here/tests/lib/api_lab.sh"

kill_frontends="kill -9 \$(cat $LAB_DIR/run/frontends.pid)"

replay() { # replay HOW CREDENTIAL CAPTURE [OPTION...]
	local how=$1 cred=$2 name=$3
	shift 3
	echo "# $name, $how"
	workers "$API_PRIMARY" frontend >"$LAB_DIR/run/frontends.pid"
	report "$name" api replay "$(api_url "$API_PRIMARY")" "$cred" "tests/captures/$name.json" \
		"echo=$LAB_NET.1.1:5432" "kill=$kill_frontends" "$@"
}

common="exec_deployment exec_deployment_params_in_header exec_reconnect_drop ls
	session_commands port_forward_local port_forward_reverse diagnose_latency"

run_all() { # run_all HOW CAPTURE...
	local how=$1 cred token name
	shift
	cred=$(api_credential "$API_PRIMARY" dev)
	token=$LAB_DIR/files/$API_PRIMARY-token
	"$LAB_BIN/tributary" token dev --control "$(lab_control "$API_PRIMARY")" --credentials "$token" >/dev/null
	for name in "$@"; do
		replay "$how" "$cred" "$name"
	done
	replay "$how, by token" "$token" exec_deployment token
}

api_single
# shellcheck disable=SC2086 # a list
run_all "one cluster" $common
api_end
lab_down
lab_up

# the two sockets of a session land on different frontends
export API_FRONTENDS=2
api_fleet hub east west
# shellcheck disable=SC2086
run_all "hub over two" exec_multicluster_primary operator_status $common
api_end
