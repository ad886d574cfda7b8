#!/bin/bash
# Two users' sessions on two ports of one replica at once; a second steal of a
# taken port is refused, takes over or joins, as on_concurrent_steal says.
TEST=session_ports
# shellcheck source=tests/lib/lab.sh
. "$(dirname "$0")/../lib/lab.sh"

# A second service of the replica: another shop on 8081 in its namespaces.
second_port() {
	local pid
	pid=$(cat "$LAB_DIR/run/c1-shop-1.pid")
	lab_spawn c1-second nsenter -t "$pid" -n -m -p -r \
		env -i PATH=/usr/bin:/bin CLUSTER=c1 REPLICA=second python3 "$LAB_SRC/lab/shop.py" 8081
	lab_wait 30 lab_port_open c1 "$(lab_replica_address c1 1)" 8081
}
path_from() { # path_from PORT BASE-PATH PROGRAM-PORT: who answered, by the echo
	curl -s --max-time 3 "http://$(lab_replica_address c1 1):$1/"
}
from_local() { path_from "$1" | grep -q '"answered_by": "local"'; }
by_port() { # by_port PORT LOCAL: the program on LOCAL answers PORT
	path_from "$1" | grep -q "\"port\": $2"
}
gone() { ! lab_alive "$1"; }

layout hub 1 1
check "a second port of the replica answers" second_port
start_exec one dev -t deployment/shop --steal 8080:$((PORTS + 1)) -- python3 lab/local.py $((PORTS + 1))
start_exec two dev2 -t deployment/shop --steal 8081:$((PORTS + 2)) -- python3 lab/local.py $((PORTS + 2))
check "user one's program answers 8080" lab_wait 20 by_port 8080 $((PORTS + 1))
check "user two's program answers 8081" lab_wait 20 by_port 8081 $((PORTS + 2))
check "both are listed" bash -c "[ \"\$(KUBECONFIG=$LAB_DIR/files/dev.kubeconfig HOME=$LAB_DIR/files/home-dev $LAB_BIN/tributary session list | grep -c deployment/shop)\" = 2 ]"

start_exec three dev2 -t deployment/shop --steal 8080:$((PORTS + 3)) -- python3 lab/local.py $((PORTS + 3))
check "a second steal of 8080 is refused (abort)" lab_wait 20 gone three
check "and says so" said three 'port 8080 is stolen'
check "user one keeps 8080" by_port 8080 $((PORTS + 1))

start_exec four dev2 -t deployment/shop --steal 8080:$((PORTS + 4)) --on-concurrent-steal override -- python3 lab/local.py $((PORTS + 4))
check "override takes 8080 over" lab_wait 20 by_port 8080 $((PORTS + 4))
check "user one's session is ended" lab_wait 20 gone one
check "and its program with it" bash -c "! curl -s --max-time 1 http://127.0.0.1:$((PORTS + 1))/"
check "user two's other session goes on" by_port 8081 $((PORTS + 2))

start_exec five dev -t deployment/shop --steal 8080:$((PORTS + 5)) --on-concurrent-steal continue -- python3 lab/local.py $((PORTS + 5))
check "continue: the newest gets 8080" lab_wait 20 by_port 8080 $((PORTS + 5))
check "and the older session goes on" lab_alive four
lab_stop five
lab_stop four
lab_stop two
check "afterwards the replica answers on 8080" lab_wait 10 answers "http://$(lab_replica_address c1 1):8080/" replica
check "and on 8081" lab_wait 10 answers "http://$(lab_replica_address c1 1):8081/" replica
