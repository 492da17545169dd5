#!/usr/bin/env bash
# fetch.sh PACKAGE SHA256: Plotly's basic bundle out of its npm package; another one than that digest's is refused.
set -euo pipefail
folder="${RUNNER_TEMP:?}/plotly"
mkdir -p "$folder"
archive=$(npm pack --silent --pack-destination "$folder" "$1")
tar --extract --gzip --file "$folder/$archive" --directory "$folder" --strip-components 1 package/plotly-basic.min.js
echo "$2  $folder/plotly-basic.min.js" | sha256sum --check --quiet
echo "script=$folder/plotly-basic.min.js" >>"${GITHUB_OUTPUT:?}"
