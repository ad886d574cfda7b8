#!/bin/bash
# The same session on every layout, N = 1, 2, 3 clusters, 1 and 2 replicas:
# requests of all clusters come to one local process, which sees environment,
# files, names and outgoing connections of the default cluster alone.
TEST=session_layouts
# shellcheck source=tests/lib/lab.sh
. "$(dirname "$0")/../lib/lab.sh"

sees_default() {
	local seen
	seen=$(curl -s --max-time 10 "http://127.0.0.1:$((PORTS + 1))/inspect")
	echo "$seen"
	grep -q "\"variable\": \"$DEFAULT\"" <<<"$seen" &&
		grep -q "\"file\": \"shop of $DEFAULT," <<<"$seen" &&
		grep -q "\"name\": \"$LAB_NET.$(cat "$LAB_DIR/etc/index.$DEFAULT").50\"" <<<"$seen" &&
		grep -q "\"stock\": \"$DEFAULT\"" <<<"$seen"
}

run_layout() { # run_layout KIND N REPLICAS
	local name="$1 N=$2 replicas=$3"
	layout "$1" "$2" "$3"
	start_exec exec dev -t deployment/shop --steal "8080:$((PORTS + 1))" \
		--forward "$((PORTS + 2)):stock.internal:9000" --file "/mnt/shop.conf:$LAB_DIR/files/shop.conf" \
		--resolve stock.internal:STOCK_ADDRESS -- \
		env "STOCK_PORT=$((PORTS + 2))" "SHOP_FILE=$LAB_DIR/files/shop.conf" python3 lab/local.py "$((PORTS + 1))"
	check "$name: every replica of every cluster is answered by the local program" all_answer local 30
	check "$name: it sees the default cluster alone" sees_default
	lab_stop exec
	check "$name: afterwards the replicas answer for themselves" all_answer replica
	again
}

for n in 1 2 3; do
	for replicas in 1 2; do
		for kind in all remote hub; do
			[ "$kind" != remote ] || [ "$n" -ge 2 ] || continue
			run_layout "$kind" "$n" "$replicas"
		done
	done
done
