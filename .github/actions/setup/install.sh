#!/usr/bin/env bash
# install.sh LOCK REQUIREMENT: regress in an environment of its own, every dependency by its digest.
set -euo pipefail
environment="${RUNNER_TEMP:?}/regress"
python3 -m venv "$environment"
"$environment/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r "$1"
# The lock holds what builds regress, too, so that nothing else is fetched for it.
"$environment/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation "$2"
echo "$environment/bin" >>"${GITHUB_PATH:?}"
