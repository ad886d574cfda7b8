#!/bin/bash
# Bytes through three clusters, by hash: both directions at once, half-closed
# connections, many at once; a client that is stopped slows nobody else; what
# is open when a session ends is closed; copies; forwards; a large file.
TEST=session_flow
# shellcheck source=tests/lib/lab.sh
. "$(dirname "$0")/../lib/lab.sh"
MIB=$((1 << 20)) port=$((21000 + $$ % 6000 * 2))
export FLOW_DIR=$LAB_DIR/files/flow
flow() { python3 "$here/tests/lib/flow.py" "$@"; }
shop_of() { lab_replica_address "$1" 1; }

# everywhere COMMAND...: for each cluster's replica, side by side; all succeed.
everywhere() {
	local c pids='' p rc=0
	for c in $CLUSTERS; do
		flow "$1" "$(shop_of "$c")" 8080 "$2" &
		pids="$pids $!"
	done
	for p in $pids; do wait "$p" || rc=1; done
	return $rc
}
many_at_once() {
	local places='' c
	for c in $CLUSTERS; do places="$places $(shop_of "$c"):8080"; done
	# shellcheck disable=SC2086
	flow many $places "$1"
}
in_replica() { # in_replica CLUSTER COMMAND...: in its namespaces
	local pid
	pid=$(cat "$LAB_DIR/run/$1-shop-1.pid")
	shift
	nsenter -t "$pid" -n -m -p -r "$@"
}
by_second() { curl -s --max-time 3 "http://$(shop_of c1):8081/" | grep -q "\"port\": $((port + 1))"; }
# many_sessions COUNT: side by side, each sees the default cluster.
many_sessions() {
	local i pids='' p rc=0
	for i in $(seq "$1"); do
		# shellcheck disable=SC2016 # for the program to expand
		as dev exec -t deployment/shop -- sh -c 'echo "cluster $CLUSTER"' >"$LAB_DIR/files/many-$i" 2>&1 &
		pids="$pids $!"
	done
	for p in $pids; do wait "$p" || rc=1; done
	[ "$(cat "$LAB_DIR"/files/many-* | grep -c "^cluster c1$")" = "$1" ] || rc=1
	[ "$rc" = 0 ] || cat "$LAB_DIR"/files/many-*
	return $rc
}
same_file() { [ "$(in_replica c1 sha256sum /mnt/big | cut -d' ' -f1)" = "$(sha256sum "$1" | cut -d' ' -f1)" ]; }
copies() { [ "$(wc -l <"$FLOW_DIR/requests")" -ge "$1" ]; }
daemon_link() { ip -n "$LAB-wan" link set "p$1" "$2"; }
lost() { grep -q "cluster lost .*cluster=$1 " "$LAB_DIR/log/hub-daemon.log"; }
others_answer() { answers "http://$(shop_of c1):8080/" local && answers "http://$(shop_of c2):8080/" local; }
exists() { [ -e "$1" ]; }

mkdir -p "$FLOW_DIR"
layout hub 3 1
in_replica c1 dd if=/dev/urandom of=/mnt/big bs=1M count=20 status=none
lab_spawn c1-echo nsenter --net="/run/netns/$LAB-c1-stock" \
	python3 "$here/tests/lib/flow.py" local 9001 "$FLOW_DIR"
lab_wait 30 lab_port_open c1 "$LAB_NET.1.50" 9001

start_exec one dev -t deployment/shop --steal "8080:$port" --forward "$((port + 2)):stock.internal:9001" \
	--file "/mnt/big:$LAB_DIR/files/big" -- python3 "$here/tests/lib/flow.py" local "$port" "$FLOW_DIR"
check "the session serves" all_answer local 30
check "a file of 20 MiB is the same here" same_file "$LAB_DIR/files/big"
check "32 MiB each way at once, in every cluster at once" everywhere echo $((32 * MIB))
check "32 MiB out of every cluster; the answer after our end" everywhere sink $((32 * MIB))
check "32 MiB into every cluster" everywhere source $((32 * MIB))
check "the program ends its side first and still hears the rest" everywhere early $MIB
check "200 connections at once" many_at_once 200
check "the same through a forwarded port: 32 MiB each way" flow echo 127.0.0.1 $((port + 2)) $((32 * MIB))
check "... 32 MiB out" flow sink 127.0.0.1 $((port + 2)) $((32 * MIB))
check "... the far side ends first" flow early 127.0.0.1 $((port + 2)) $MIB

lab_spawn c1-second nsenter -t "$(cat "$LAB_DIR/run/c1-shop-1.pid")" -n -m -p -r \
	env -i PATH=/usr/bin:/bin CLUSTER=c1 REPLICA=second python3 "$LAB_SRC/lab/shop.py" 8081
lab_wait 30 lab_port_open c1 "$(shop_of c1)" 8081
start_exec two dev2 -t deployment/shop --steal "8081:$((port + 1))" -- python3 lab/local.py $((port + 1))
check "another session serves beside it" lab_wait 30 by_second
kill -STOP "$(lab_pid one)"
everywhere sink $((32 * MIB)) &
sinks=$!
for round in 1 2 3 4 5; do
	check "a client is stopped: the other session answers ($round)" lab_wait 5 by_second
done
check "... and the API" as dev2 ls
check "its own connections wait" kill -0 $sinks
kill -CONT "$(lab_pid one)"
check "it goes on: they end with the right bytes" wait $sinks
check "... and it serves again" all_answer local 30
check "it is the same client" lab_alive one
lab_stop two INT
check "20 more sessions at once" many_sessions 20
check "... and the first one still serves" all_answer local 5

# The far side hears nothing of it: only its silence tells.
daemon_link c3 down
check "a silent cluster is noticed within seconds" lab_wait 9 lost c3
check "... the others serve meanwhile" others_answer
daemon_link c3 up
check "... and it is in again by itself" all_answer local 30

flow hold "$(shop_of c2)" 8080 "$LAB_DIR/run/held" &
held=$!
check "a stolen connection is held open" lab_wait 10 exists "$LAB_DIR/run/held"
lab_stop one INT
check "it is closed when the session ends" lab_wait 10 bash -c "! kill -0 $held"
check "in order, or by a reset" wait $held
check "the replicas answer for themselves" all_answer replica 20

rm -f "$FLOW_DIR/requests"
start_exec three dev -t deployment/shop --mirror "8080:$port" -- \
	python3 "$here/tests/lib/flow.py" local "$port" "$FLOW_DIR"
check "mirror: it is started" lab_wait 30 said three 'started python3'
check "mirror: the replicas still answer" all_answer replica 10
check "mirror: a copy of each cluster's request arrives" lab_wait 15 copies 3
lab_stop three INT
