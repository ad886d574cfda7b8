#!/bin/sh
# daemon_isolation: what each worker of the daemon has given away; forbidden calls die. Needs root.
exec python3 "$(dirname "$0")/../lib/daemon_isolation.py"
