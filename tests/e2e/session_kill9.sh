#!/bin/bash
# kill -9 of any process of the daemon, at any time: it is logged, the worker
# comes back, the session resumes by its id, unrelated sessions go on, and
# after a restart plus TTL nothing is left behind.
TEST=session_kill9
LAB_TTL=12
# shellcheck source=tests/lib/lab.sh
. "$(dirname "$0")/../lib/lab.sh"

new_worker() { # new_worker NAME ROLE OLD-PID: another one runs
	local p
	for p in $(workers "$1" "$2"); do [ "$p" != "$3" ] && return 0; done
	return 1
}
kill_worker() { # kill_worker NAME ROLE
	local pid
	pid=$(workers "$1" "$2" | head -n 1)
	kill -KILL "$pid"
	lab_wait 20 new_worker "$1" "$2" "$pid"
}
agents_gone() { ! pgrep -f "$LAB_BIN/tributary-agent.*--control-fd" >/dev/null; }
records() { find "$LAB_DIR/run/daemon/$1/sessions" -name '*.json' 2>/dev/null | wc -l; }
no_records() {
	local c
	for c in $PRIMARY $CLUSTERS; do [ "$(records "$c")" = 0 ] || return 1; done
}
no_tables() {
	local c
	for c in $CLUSTERS; do
		[ -z "$(nsenter --net="/run/netns/$LAB-$c-shop1" nft list tables)" ] || return 1
	done
}

layout hub 2 1
start_exec exec dev -t deployment/shop --steal 8080:$((PORTS + 1)) -- python3 lab/local.py $((PORTS + 1))
check "the session serves" all_answer local 30
for role in frontend stateful secrets connector own "cluster 0"; do
	check "hub: $role is restarted" kill_worker hub "$role"
	check "hub: $role: the session serves again" all_answer local 40
	check "hub: $role: the client lives" lab_alive exec
done
for role in frontend own stateful; do
	check "c1: $role is restarted" kill_worker c1 "$role"
	check "c1: $role: the session serves again" all_answer local 40
done
check "an agent is killed" pkill -KILL -o -f "$LAB_BIN/tributary-agent.*--control-fd"
check "the session serves again" all_answer local 40

check "the whole primary is killed" bash -c "kill -KILL $(lab_pid hub-daemon)"
lab_wait 10 lab_dead hub-daemon
check "none of its processes is left" lab_wait 5 bash -c "! pgrep -f '^tributaryd: .*' -s $(lab_pid hub-daemon)"
lab_daemon hub
check "the primary is back and the session resumes" all_answer local 60

program=$(pgrep -P "$(lab_pid exec)")
lab_stop exec KILL
kill -KILL "$program" # it outlives a client that could say nothing
check "the client is killed: the replicas answer again" all_answer replica 60
check "a member is killed" bash -c "kill -KILL $(lab_pid c2-daemon)"
lab_daemon c2
check "after the TTL no record is left" lab_wait 60 no_records
check "no agent is left" lab_wait 45 agents_gone
check "no nftables table is left" lab_wait 10 no_tables
