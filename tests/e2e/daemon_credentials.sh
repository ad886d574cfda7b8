#!/bin/sh
# daemon_credentials: certificates, tokens, revocation, remote credentials, the control socket. Needs root.
exec python3 "$(dirname "$0")/../lib/daemon_credentials.py"
