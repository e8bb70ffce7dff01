#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# bench/ingest.sh [LINES [NAMES [ROUNDS]]]: shcount ingest, plain and with --stream, beside wc -l, mawk, sort | uniq -c and
# redis-cli --pipe on the same lines, taking turns. Default: 10000000 lines of Zipf over 100000 names, 5 rounds.
#
# wc reads only, mawk counts in memory, sort | uniq as well; ingest's sums are acknowledged by a daemon. redis-cli gets an
# INCR a line, made beforehand, against a redis-server without persistence, for a tenth of the lines; where there is none it
# is left out. Sums are checked. A line a measurement: round=N what=NAME wall_s= cpu_s= (of the command, not of the server)
# mlines_per_s= (millions of lines a second of wall clock). At the end, for each NAME, medians over the rounds:
# what=NAME mlines_per_s= ingest_ratio= (how much longer it takes than ingest per line) ingest_cpu_ratio=.
# BUILD: the directory with shcounterd, shcount and bench/gen_zipf.
# shellcheck disable=SC2016,SC2119
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/system/common.bash
source tests/system/common.bash

lines=${1:-10000000} names=${2:-100000} rounds=${3:-5}
tenth=$((lines / 10))
redis_pid=
finish() {
	[ -z "$redis_pid" ] || kill "$redis_pid" 2>/dev/null || true
	kill_daemon 2>/dev/null || true
	remove_place
}
new_place
trap finish EXIT
input=$SHC_DIR/lines
"$BUILD/bench/gen_zipf" "$lines" "$names" >"$input"
head -n "$tenth" "$input" | awk '{ printf "*2\r\n$4\r\nINCR\r\n$%d\r\n%s\r\n", length($0), $0 }' >"$SHC_DIR/commands"
start_daemon
redis_answers() {
	redis-cli -s "$SHC_DIR/redis" ping >"$SHC_DIR/out" 2>&1
}
if command -v redis-check-rdb >/dev/null; then
	# The same program under both names; the package that has it as redis-server would start a service as well.
	ln -s "$(command -v redis-check-rdb)" "$SHC_DIR/redis-server"
	"$SHC_DIR/redis-server" --port 0 --unixsocket "$SHC_DIR/redis" --save '' --dir "$SHC_DIR" >"$SHC_DIR/redis.log" 2>&1 &
	redis_pid=$!
	wait_until redis_answers
fi

# NAME COUNT COMMAND...: how long the command takes, which deals with COUNT lines.
measure() {
	local name=$1 count=$2 TIMEFORMAT='%R %U %S'
	shift 2
	{ time "$@" >"$SHC_DIR/out" 2>"$SHC_DIR/err"; } 2>"$SHC_DIR/time"
	awk -v round="$round" -v name="$name" -v count="$count" '{
		printf "round=%d what=%s wall_s=%.3f cpu_s=%.3f mlines_per_s=%.2f\n", round, name, $1, $2 + $3, count / $1 / 1e6
		printf "%d %s %.6g %.6g\n", round, name, $1 / count, ($2 + $3) / count >>"'"$SHC_DIR/table"'"
	}' "$SHC_DIR/time"
}

sort_and_count() {
	LC_ALL=C sort "$input" | uniq -c
}

cat "$input" "$SHC_DIR/commands" >/dev/null # into the page cache
for ((round = 1; round <= rounds; round++)); do
	measure ingest "$lines" shcount ingest "$input"
	measure wc "$lines" wc -l "$input"
	measure mawk "$lines" mawk '{ c[$0]++ } END { for (k in c) n += c[k]; print n }' "$input"
	measure stream "$lines" shcount ingest --stream "bench:$round" "$input"
	measure sort_uniq "$lines" sort_and_count
	[ -z "$redis_pid" ] || measure redis_pipe "$tenth" redis-cli -s "$SHC_DIR/redis" --pipe <"$SHC_DIR/commands"
done
sum=$(shcount list | awk -F '\t' '{ s += $NF } END { printf "%.0f", s }')
[ "$sum" -eq $((2 * lines * rounds)) ] || { echo "the counters hold $sum, not $((2 * lines * rounds))" >&2; exit 1; }

# Of pairs of one round.
awk '
function median(values, count,   i, k, v) { # values[1..count]
	for (i = 2; i <= count; i++) {
		v = values[i]
		for (k = i - 1; k >= 1 && values[k] > v; k--) values[k + 1] = values[k]
		values[k + 1] = v
	}
	return values[int((count + 1) / 2)]
}
{
	if (!($2 in seen)) { seen[$2]; order[++whats] = $2 }
	wall[$2, $1] = $3
	cpu[$2, $1] = $4
	if ($1 > rounds) rounds = $1
}
END {
	for (w = 1; w <= whats; w++) {
		name = order[w]
		for (i = 1; i <= rounds; i++) {
			rate[i] = 1 / wall[name, i] / 1e6
			ratio[i] = wall[name, i] / wall["ingest", i]
			cpu_ratio[i] = cpu[name, i] / cpu["ingest", i]
		}
		printf "what=%s mlines_per_s=%.2f ingest_ratio=%.3f ingest_cpu_ratio=%.3f\n", name, median(rate, rounds),
			median(ratio, rounds), median(cpu_ratio, rounds)
	}
}' "$SHC_DIR/table"
