#!/bin/bash
# The README's demo: twice in a row, kept, and taken down without a trace.
# not-asan: the demo has a build of its own, the release build
TEST=demo
cd "$(dirname "$0")/../.." || exit 1
if [ "$(id -u)" != 0 ]; then
	echo "$TEST: needs root for network namespaces"
	exit 77
fi
if [ -e /run/tributary-demo ]; then
	echo "$TEST: a demo is kept on this machine; ./demo --down ends it"
	exit 77
fi
passed=0 failed=0
out=$(mktemp -d)
trap './demo --down >/dev/null 2>&1; rm -rf "$out"' EXIT
check() {
	local what=$1
	shift
	if "$@" >"$out/check" 2>&1; then
		passed=$((passed + 1))
		echo "ok: $what"
	else
		failed=$((failed + 1))
		echo "FAILED: $what"
		tail -n 20 "$out/check"
	fi
}
# What a demo could leave: processes, namespaces, links, mounts, files.
trace() {
	pgrep -af '/run/tributary-demo' | sort
	pgrep -P 1 -af '^tributaryd: ' | sort # workers that outlived theirs
	ip netns list | grep '^tdemo' | sort
	ip -o link | grep -o 'tdemo[^:@]*' | sort
	grep -E 'tdemo|tributary-demo' /proc/self/mounts
	ls -d /run/tributary-demo 2>/dev/null
}
before=$(trace)
same() { [ "$(trace)" = "$before" ] || { trace; return 1; }; }
ran() { ./demo >"$out/story" 2>"$out/steps" && grep -q 'answered by' "$out/story" && ! grep -q ' NO ' "$out/story"; }
kept() { ./demo --keep >"$out/keep" 2>"$out/steps"; }
first_line() { head -n 1 "$out/keep" | grep -q "/[^ ]*kubeconfig[^ ]*$" && [ -r "$(head -n 1 "$out/keep" | grep -o '/[^ ]*$')" ]; }
addresses() {
	[ "$(grep -c '^shop east http://' "$out/keep")" = 2 ] && [ "$(grep -c '^shop west http://' "$out/keep")" = 2 ]
}
every_shop() {
	local url
	for url in $(awk '$1 == "shop" {print $3}' "$out/keep"); do
		curl -s --max-time 3 "$url" | grep -q '"answered_by": "replica"' || return 1
	done
}
commands() { # what --keep prints can be typed
	grep -E '^  (export|build/release/tributary (ls|status)|curl)' "$out/keep" >"$out/type"
	[ "$(wc -l <"$out/type")" -ge 4 ] && HOME=$out bash -e "$out/type"
}

check "the demo tells its story" ran
check "and leaves nothing" same
check "again" ran
check "and leaves nothing again" same
check "--keep" kept
check "its first line is a kubeconfig" first_line
check "then the replicas' addresses" addresses
check "which answer" every_shop
check "the printed commands work" commands
check "--down" ./demo --down
check "leaves no process, namespace, link, mount or file" same
echo "$TEST: $passed passed, $failed failed"
[ "$failed" = 0 ]
