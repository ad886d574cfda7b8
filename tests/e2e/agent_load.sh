#!/bin/sh
# agent_load: subscriptions come and go under load without a lost connection.
# Needs root (namespaces, nftables) and tributary-agent in $BIN or here.
exec python3 -B "$(dirname "$0")/../lib/agent_load.py"
