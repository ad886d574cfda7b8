#!/bin/sh
# daemon_restart: workers that die, hang or break the contract; a killed supervisor. Needs root.
exec python3 "$(dirname "$0")/../lib/daemon_restart.py"
