#!/bin/bash
# What each worker is and holds while a session runs over three clusters: a
# primary with workloads of its own, a member it reaches by certificate, one it
# reaches by bearer token. tests/lib/isolation.py says what is looked at.
# not-asan: a sanitizer keeps /proc in a worker's root and a file to report to
TEST=isolation
# shellcheck source=tests/lib/lab.sh
. "$(dirname "$0")/../lib/lab.sh"
# shellcheck source=tests/lib/api_lab.sh
. "$here/tests/lib/api_lab.sh"

# shellcheck disable=SC2034 # api_fleet's
API_TOKEN_MEMBERS=west API_OWN=hub API_FRONTENDS=2
api_fleet hub east west

export URL CREDENTIAL STATE=$LAB_DIR/state RUN=$LAB_DIR/run/daemon BIN PRIMARY=hub MEMBERS="east west"
URL=$(api_url hub) CREDENTIAL=$(api_credential hub dev)
report isolation api isolation "hub=$(lab_pid hub-daemon)" "east=$(lab_pid east-daemon)" "west=$(lab_pid west-daemon)"
api_end
