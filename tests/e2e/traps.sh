#!/bin/bash
# The traps of spec/operator-api.md §24, each by its number:
#
#  1 CSR's OID, NULLs      traps.py trap_01, unit secrets/test_secrets
#  2 control frames        traps.py trap_02, unit net/test_ws_conn
#  3 first messages        traps.py trap_03, captures.sh (order of kinds)
#  4 upgrade headers       traps.py trap_04, captures.sh, unit protocol/test_ws
#  5 decimal and hex ids   traps.py trap_05
#  6 Status decides        traps.py trap_06, unit protocol/test_status
#  7 features              traps.py trap_07
#  8 operator_namespace    traps.py trap_07 (hub has it, its member not)
#  9 license date          traps.py trap_07
# 10 status.sessions       traps.py trap_10
# 11 trailing ?, deploy.   traps.py trap_11
# 12 connection 1 ends     traps.py trap_12
# 13 429, 503, 504         traps.py trap_06 and trap_13, unit protocol/test_status
# 14 & first, duplicates   traps.py trap_11
# 15 refusals come first   traps.py trap_15 and trap_06
TEST=traps
# shellcheck source=tests/lib/lab.sh
. "$(dirname "$0")/../lib/lab.sh"
# shellcheck source=tests/lib/api_lab.sh
. "$here/tests/lib/api_lab.sh"

api_fleet hub east
for c in hub east; do
	api_credential "$c" dev >/dev/null
done
export HUB MEMBER FILES=$LAB_DIR/files STOP_MEMBER
HUB=$(api_url hub) MEMBER=$(api_url east)
STOP_MEMBER="kill $(lab_pid east-daemon); while kill -0 $(lab_pid east-daemon) 2>/dev/null; do sleep 0.05; done"
report traps api traps "$@"
api_end
