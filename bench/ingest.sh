#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# bench/ingest.sh [LINES [NAMES [ROUNDS]]]: shcount ingest beside mawk and wc on the same lines, taking turns, and
# the median of the paired ratios. Default: 10000000 lines of Zipf over 100000 names, 5 rounds. Checks the sums.
# BUILD: the directory with shcounterd, shcount and bench/gen_zipf.
# shellcheck disable=SC2016,SC2119
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/system/common.bash
source tests/system/common.bash

lines=${1:-10000000} names=${2:-100000} rounds=${3:-5}
new_place
trap 'kill_daemon 2>/dev/null || true; remove_place' EXIT
input=$SHC_DIR/lines
"$BUILD/bench/gen_zipf" "$lines" "$names" >"$input"
start_daemon

# Seconds of wall clock that the command takes, as NAME=SECONDS in $seconds.
seconds=
measure() { # COMMAND...
	local begin end
	begin=$(date +%s%N)
	"$@" >"$SHC_DIR/out" 2>"$SHC_DIR/err"
	end=$(date +%s%N)
	seconds=$(awk -v b="$begin" -v e="$end" 'BEGIN { printf "%.4f", (e - b) / 1e9 }')
}

cat "$input" >/dev/null # into the page cache
: >"$SHC_DIR/table"
for ((round = 1; round <= rounds; round++)); do
	measure wc -l "$input"
	wc=$seconds
	measure mawk '{ c[$0]++ } END { for (k in c) n += c[k]; print n }' "$input"
	mawk=$seconds
	measure shcount ingest "$input"
	echo "$wc $mawk $seconds" | awk -v l="$lines" '{ printf "%.1f %.2f %.1f %.2f\n", l / $1 / 1e6, l / $2 / 1e6, l / $3 / 1e6, $2 / $3 }' |
		tee -a "$SHC_DIR/table" | awk -v r="$round" '{ print "round " r ": M lines/s: wc -l " $1 ", mawk " $2 ", shcount ingest " $3 "; ingest / mawk " $4 }'
done
sum=$(shcount list | awk -F '\t' '{ s += $NF } END { printf "%.0f", s }')
[ "$sum" -eq $((lines * rounds)) ] || { echo "the counters hold $sum, not $((lines * rounds))" >&2; exit 1; }
cut -d' ' -f4 "$SHC_DIR/table" | sort -n | awk '{ v[NR] = $1 } END { print "median ratio ingest / mawk: " v[int((NR + 1) / 2)] }'
