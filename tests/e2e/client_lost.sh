#!/bin/bash
# What `tributary` says when a cluster or the operator goes and comes back,
# while a session runs and when there is none.
TEST=client_lost
# shellcheck source=tests/lib/lab.sh
. "$(dirname "$0")/../lib/lab.sh"

says() { # says TEXT COMMAND...: whatever its code, it says so
	local text=$1
	shift
	"$@" 2>&1 | tee /dev/stderr | grep -q -- "$text"
}
try() { as dev exec -t deployment/shop -- true; }

layout hub 2 1
start_exec exec dev -t deployment/shop --steal 8080:18601 -- python3 lab/local.py 18601
check "the session stands" all_answer local 30
check "exec says which clusters are in" said exec 'clusters in the session: c1, c2'

lab_stop c2-daemon KILL
check "a lost cluster is told" lab_wait 20 said exec 'Lost c2'
check "the other still answers" answers "http://$(lab_replica_address c1 1):8080/" local
check "ls names the silent cluster" says 'the cluster c2 does not answer' as dev ls
check "and lists the rest" says 'deployment/shop .* c1$' as dev ls
lab_daemon c2
check "it is told when it is back" lab_wait 40 said exec 'c2 is back'
check "and it answers again" all_answer local 30

lab_stop hub-daemon KILL
check "a lost operator is told" lab_wait 20 said exec 'coming back with the same session'
lab_daemon hub
check "and that it is back" lab_wait 60 said exec 'connected again'
check "every replica is answered again" all_answer local 60
check "the program was started once" [ "$(grep -c 'started python3' "$LAB_DIR/log/exec.log")" = 1 ]
lab_stop exec INT

lab_stop c2-daemon KILL
check "without c2 exec is refused, with a hint" says 'cluster c2: .*tributary status' try
lab_stop hub-daemon KILL
check "without an operator it says who can't be reached" says "$LAB_NET.0.9:8443 can't be reached" try
