#!/bin/sh
# agent_steal: a real agent steals ports: all ways in, half-close, big transfers.
# Needs root (namespaces, nftables) and tributary-agent in $BIN or here.
exec python3 -B "$(dirname "$0")/../lib/agent_steal.py"
