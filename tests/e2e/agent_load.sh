#!/bin/sh
# agent_load: subscriptions come and go under load without a lost connection.
# Needs root (namespaces, nftables) and tributary-agent in $BUILDDIR or here.
exec python3 "$(dirname "$0")/../lib/agent_load.py"
