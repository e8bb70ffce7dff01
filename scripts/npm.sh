#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# scripts/npm.sh LIST TO: has npm put the packages of LIST/package-lock.json into TO/node_modules, once for each lock file.
# No package runs anything here. Without npm, or without a network, it says so and goes on.
set -euo pipefail
cd "$(dirname "$0")/.."

list=$1 to=$2
sum=$(cksum <"$list/package-lock.json")
[ "$(cat "$to/has" 2>/dev/null || true)" != "$sum" ] || exit 0
mkdir -p "$to"
rm -f "$to/has"
cp "$list"/package{,-lock}.json "$to/"
if command -v node >/dev/null && command -v npm >/dev/null &&
	(cd "$to" && timeout 300 npm ci --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null); then
	echo "$sum" >"$to/has"
else
	echo "npm.sh: npm could not fetch what $list/package-lock.json lists; going on without" >&2
fi
