#!/bin/sh
# agent_outgoing: TCP, UDP, unix stream and seqpacket connections from the
# target's network; slow peers, half closes, limits. Needs root.
exec python3 "$(dirname "$0")/../lib/agent_outgoing.py"
