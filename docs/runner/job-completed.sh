#!/bin/sh
# Runs after every job, as the runner's user: what the job left in the workspace goes, and builds nobody used for a month.
# Models, toolchains and recent builds stay in REGRESS_HOME, gigabytes that the next job would make again.
set -eu

if [ -n "${GITHUB_WORKSPACE:-}" ] && [ -d "$GITHUB_WORKSPACE" ]; then
  find "$GITHUB_WORKSPACE" -mindepth 1 -delete
fi
if [ -n "${REGRESS_HOME:-}" ] && [ -d "$REGRESS_HOME/artifacts" ]; then
  find "$REGRESS_HOME/artifacts" -mindepth 1 -maxdepth 1 -type d -mtime +30 -exec rm -rf {} +
fi
