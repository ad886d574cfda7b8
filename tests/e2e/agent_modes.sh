#!/bin/sh
# agent_modes: targeted, ephemeral, targetless and standalone; command line,
# TLS, readiness, exit codes, capabilities and filter. Needs root.
exec python3 "$(dirname "$0")/../lib/agent_modes.py"
