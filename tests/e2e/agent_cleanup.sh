#!/bin/sh
# agent_cleanup: however the agent ends (SIGKILL, SIGTERM), nothing of it stays.
# Needs root (namespaces, nftables) and tributary-agent in $BIN or here.
exec python3 -B "$(dirname "$0")/../lib/agent_cleanup.py"
