#!/bin/sh
# agent_dns: lookups with the target's resolv.conf, hosts file and servers:
# families, search, CNAMEs, TCP, order, servers that lie or are silent. Needs
# root.
exec python3 "$(dirname "$0")/../lib/agent_dns.py"
