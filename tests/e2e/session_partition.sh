#!/bin/bash
# A cluster's link is down for longer than its child session may be unused:
# the rest of the session serves meanwhile, and the cluster is in again, by
# itself, when the link is back.
TEST=session_partition
# shellcheck source=tests/lib/lab.sh
. "$(dirname "$0")/../lib/lab.sh"

children() { find "$LAB_DIR/run/daemon/$1/sessions" -name 'mc-*' | wc -l; }
child_is_gone() { [ "$(children c2)" = 0 ]; }
answers_of() { # answers_of CLUSTER local|replica
	local c url
	while read -r c _ url; do
		[ "$c" != "$1" ] || answers "$url" "$2" || return 1
	done < <(shops)
}
daemon_link() { ip -n "$LAB-wan" link set "p$1" "$2"; }

port=$((20000 + $$ % 9000))
layout hub 2 1
start_exec exec dev -t deployment/shop --steal "8080:$port" -- python3 lab/local.py "$port"
check "the session serves" all_answer local 30
daemon_link c2 down
check "the child of the lost cluster runs out" lab_wait 90 child_is_gone
check "the default cluster serves all the time" answers_of c1 local
check "the client lives" lab_alive exec
daemon_link c2 up
check "the lost cluster is in again" all_answer local 30
check "with a child of the same session" test "$(children c2)" = 1
lab_stop exec INT
check "afterwards the replicas answer for themselves" all_answer replica 10
