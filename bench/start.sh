#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# bench/start.sh [ROUNDS]: what one `shcount incr` of a script takes from its start to its exit, beside /bin/true, the
# least C client there can be, and redis-cli (against the same daemon), taking turns. Default: 1000 rounds.
# One line a command: median, percentiles, CPU time of the process, and the medians of the ratios to /bin/true.
# BUILD: the directory with shcounterd, shcount, bench/spawn and bench/tiny_client.
# shellcheck disable=SC2119
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/system/common.bash
source tests/system/common.bash

rounds=${1:-1000}
new_place
trap 'kill_daemon 2>/dev/null || true; remove_place' EXIT
start_daemon
names=(true tiny_client 'shcount incr' redis-cli)
"$BUILD/bench/spawn" "$rounds" /bin/true --next "$BUILD/bench/tiny_client" "$SHC_SOCK" tiny --next \
	"$BUILD/shcount" -s "$SHC_SOCK" incr ours --next redis-cli -s "$SHC_SOCK" INCR theirs >"$SHC_DIR/times"
for i in "${!names[@]}"; do
	printf '%-12s %s\n' "${names[i]}" "$(sed -n "$((i + 1))p" "$SHC_DIR/times")"
done
for name in tiny ours theirs; do
	[ "$(shcount get "$name")" -eq "$rounds" ] || { echo "$name is not $rounds" >&2; exit 1; }
done
