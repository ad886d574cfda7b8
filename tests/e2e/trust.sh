#!/bin/bash
# Trust on standalone daemons, tried from outside: a management-only primary
# `hub` over one member `east`. tests/lib/trust.py says what is tried.
TEST=trust
# shellcheck source=tests/lib/lab.sh
. "$(dirname "$0")/../lib/lab.sh"
# shellcheck source=tests/lib/api_lab.sh
. "$here/tests/lib/api_lab.sh"

API_RULES='  - {users: [reader], namespaces: [default], targets: ["*"], verbs: [get, list]}
  - {users: [narrow], namespaces: [default], targets: [deployment/other], verbs: [proxy]}
  - {groups: [team], namespaces: [default], targets: [deployment/web], verbs: ["*"]}
  - {users: [late, two], namespaces: ["*"], targets: ["*"], verbs: ["*"]}'
API_FRONTENDS=2 # what is revoked is so in each of them
api_fleet hub east

for user in dev dev2 admin mallory reader narrow late; do
	api_credential hub "$user" >/dev/null
done
api_credential hub mate --group team >/dev/null
for n in 1 2; do
	"$LAB_BIN/tributary" kubeconfig two --control "$(lab_control hub)" --credentials "$LAB_DIR/files/hub-two-$n" >/dev/null
done
for user in dev admin other-hub; do
	api_credential east "$user" >/dev/null
done
cp -r "$LAB_DIR/state/hub/credentials/east" "$LAB_DIR/files/east-hub"

export HUB MEMBER FILES=$LAB_DIR/files STATE=$LAB_DIR/state LOGS=$LAB_DIR/log TRIBUTARY=$LAB_BIN/tributary
export CONTROL_hub CONTROL_east LAB_SRC
HUB=$(api_url hub) MEMBER=$(api_url east) CONTROL_hub=$(lab_control hub) CONTROL_east=$(lab_control east)
report trust api trust "$@"
api_end
