#!/bin/sh
# agent_files: environment and files of a target, every operation, links that
# try to leave the root, files that hang. Needs root.
exec python3 "$(dirname "$0")/../lib/agent_files.py"
