#!/bin/bash
# The commands of `tributary` against real daemons: ls, status, session,
# port-forward, and what exec passes through: exit codes, signals, standard
# input, environment, much data both ways.
TEST=client_commands
# shellcheck source=tests/lib/lab.sh
. "$(dirname "$0")/../lib/lab.sh"

exits() { # exits CODE COMMAND...: it ends with this code
	local want=$1 rc=0
	shift
	"$@" || rc=$?
	echo "exit code $rc"
	[ "$rc" = "$want" ]
}
says() { # says TEXT COMMAND...: whatever its code, it says so
	local text=$1
	shift
	"$@" 2>&1 | tee /dev/stderr | grep -q -- "$text"
}
gone() { ! lab_alive "$1"; }
exec_on() { as dev exec -t deployment/shop "$@"; }
id_of() { as dev session list --key "$1" | awk 'NR == 2 { print $1 }'; }
big_post() { # all of it arrives at the local program, the answer comes back
	head -c 64000000 /dev/zero |
		curl -s --max-time 60 -X POST -H 'Expect:' --data-binary @- "$1" | grep -q '"bytes": 64000000'
}
stdin_passes() { [ "$(echo through | exec_on -q -- cat)" = through ]; }
remote_env() { [ "$(exec_on -q "$@" -- sh -c 'echo "$CLUSTER/$PATH"')" = "$(want_env "$@")" ]; }
want_env() {
	case "$*" in
	*exclude*) echo "/$PATH" ;;
	*) echo "c1/$PATH" ;;
	esac
}

layout hub 2 1
check "ls shows the target with both clusters" says 'deployment/shop .* c1, c2' as dev ls
check "ls -A does" says 'deployment/shop .* c1, c2' as dev ls -A
check "ls -o json is JSON" bash -c "$(declare -f as lab_user lab_control); PRIMARY=hub; as dev ls -o json | python3 -m json.tool"
check "ls of an empty namespace says so" says 'no targets' as dev ls -n empty
check "status tells the role" says 'primary, management only' as dev status
check "status lists a cluster" says 'c2 .*connected' as dev status
check "session list of none says so" says 'no sessions' as dev session list -A

check "the exit code is the program's" exits 7 exec_on -- sh -c 'exit 7'
check "a signal that ends it is 128 and the signal" exits 137 exec_on -- sh -c 'kill -KILL $$'
check "a program that is not there is 71" exits 71 exec_on -- /nonexistent/program
check "an unknown target is refused" exits 69 as dev exec -t deployment/none -- true
check "and so is a target that is none" exits 2 as dev exec -t shop -- true
check "a remote file that is not there ends it" says '/no/such/file: No such file' exec_on --file /no/such/file:/tmp/x -- true
check "standard input is the program's" stdin_passes
check "the environment is the target's, but for PATH" remote_env
check "an excluded variable stays away" remote_env --env-exclude CLUSTER

start_exec exec dev -t deployment/shop --key one --steal 8080:18501 -- \
	env CLUSTER=here REPLICA=me python3 lab/shop.py 18501
url="http://$(lab_replica_address c2 1):8080/"
from_here() { curl -s --max-time 3 "$url" | grep -q '"cluster": "here"'; }
check "the steal stands" lab_wait 30 from_here
check "64 MB go through it" big_post "$url"
check "exec says which clusters are in" said exec 'clusters in the session: c1, c2'
check "the session is listed with its port" says 'deployment/shop .*8080 steal' as dev session list
check "another user can't kill it" exits 77 as dev2 session kill "$(id_of one)"
check "its user can" exits 0 as dev session kill "$(id_of one)"
check "exec ends" lab_wait 10 gone exec
check "and says why" said exec 'ended the session'
check "the replica answers again" lab_wait 10 answers "$url" replica
check "a session that is not there can't be killed" says 'there is no session 1234' as dev session kill 1234

start_exec exec2 dev -t deployment/shop --steal 8080:18502 -- python3 lab/local.py 18502
check "a second session stands" all_answer local 30
lab_stop exec2 INT
check "SIGINT ends the program and the session" said exec2 'ended with code 130'
check "no session is left" says 'no sessions' as dev session list -A
check "the replica answers again at once" lab_wait 5 answers "$url" replica

lab_spawn forward env KUBECONFIG="$LAB_DIR/files/dev.kubeconfig" HOME="$LAB_DIR/files/home-dev" \
	"$LAB_BIN/tributary" port-forward -t deployment/shop -L 18503:stock.internal:9000 -R 8080:18504 --steal
check "port-forward is ready" lab_wait 30 said forward ready
check "-L reaches stock of the default cluster" says '"stock_of": "c1"' curl -s --max-time 5 http://127.0.0.1:18503/
lab_spawn local python3 lab/local.py 18504
check "-R --steal leads to a program here" all_answer local
check "kill --all ends it" exits 0 as dev session kill --all
check "port-forward ends" lab_wait 10 gone forward
