#!/bin/sh
# agent_mirror: a real agent mirrors ports; slow mirrors slow nobody.
# Needs root (namespaces, nftables) and tributary-agent in $BIN or here.
exec python3 -B "$(dirname "$0")/../lib/agent_mirror.py"
