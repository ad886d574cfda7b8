#!/bin/sh
# daemon_signals: systemd's protocol, reload, drain, lock, background, no root. Needs root.
exec python3 "$(dirname "$0")/../lib/daemon_signals.py"
