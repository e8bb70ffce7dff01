#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# bench/stall.sh: does a commit of a million counters stop the workers? The latency of one client (INCR, 5000 a second,
# counted from when each was due) in interval mode, beside another that adds to a million counters a second (SHC.ADD): on a
# daemon that commits every second, and on one that does not within the test. Both are alive all the time and take
# turns. Ratios are medians over the pairs of ROUNDS rounds of SECONDS_EACH seconds; target for p99.9: at most 1.5.
#
# Daemons run on the first CPU, committer included, and the clients on the last: what the committer takes, the worker
# lacks, so this is the hardest case. PIN=0 lets all run everywhere. The last lines say for how long the workers waited
# for a CPU, which tells that apart from waiting for the committer itself. BUILD: as for bench/durable.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=bench/servers.bash
source bench/servers.bash

ROUNDS=${ROUNDS:-7}
SECONDS_EACH=${SECONDS_EACH:-5}
COUNTERS=1000000

if [ "${PIN:-1}" = 1 ]; then
	cpus=$(taskset -cp $$ | sed 's/.*: //; s/[-,]/ /g')
	pin=(taskset -c "${cpus%% *}") client=(taskset -c "${cpus##* }")
fi

dirty() { # NAME BENCH-OPTIONS...
	local name=$1
	shift
	load "$name" --connections 1 --do add --names 500 --keys $COUNTERS --spread sequence --prefix dirty: --keep --no-sum "$@" >/dev/null
}

latency() { # NAME
	load "$1" --connections 1 --keys 1 --prefix latency: --rate 5000 --time "${SECONDS_EACH}s" | figures p50_us p99_us p99_9_us max_us
}

# Longer than the measurement, on both sides.
latency_beside_dirty() { # NAME
	local pid
	dirty "$1" --rate $((COUNTERS / 500)) --time $((SECONDS_EACH + 2))s &
	pid=$!
	read -rt 1 <> <(:) || true
	latency "$1"
	wait $pid
}

# Seconds on a CPU, and waiting for one, of all workers so far.
worker_seconds() { # PID
	cat /proc/"$1"/task/*/comm /proc/"$1"/task/*/schedstat |
		awk 'NF == 1 { comm[++n] = $1 } NF == 3 && comm[++k] ~ /^worker/ { cpu += $1; wait += $2 } END { printf "%.2f s on a CPU, %.2f s waiting for one", cpu / 1e9, wait / 1e9 }'
}

start_shcounterd commits --commit-interval 1s
start_shcounterd quiet --commit-interval 1h
for name in commits quiet; do dirty "$name" --requests $((COUNTERS / 500)); done # from here on they all exist

: >"$dir/pairs"
: >"$dir/idle"
for ((i = 0; i < ROUNDS; i++)); do
	latency commits >>"$dir/idle"
	echo "$(latency_beside_dirty quiet) $(latency_beside_dirty commits)" >>"$dir/pairs"
done
printf '%-28s %10s %10s %10s %10s\n' "us" p50 p99 p99.9 max
printf '%-28s %10s %10s %10s %10s\n' "beside adds, no commits" "$(column 1)" "$(column 2)" "$(column 3)" "$(column 4)"
printf '%-28s %10s %10s %10s %10s\n' "beside adds, with commits" "$(column 5)" "$(column 6)" "$(column 7)" "$(column 8)"
printf '%-28s %10s %10s %10s %10s\n' "ratio (p99.9: <= 1.5)" "$(ratio 5 1)" "$(ratio 6 2)" "$(ratio 7 3)" "$(ratio 8 4)"
cp "$dir/idle" "$dir/pairs"
printf '%-28s %10s %10s %10s %10s\n' "alone" "$(column 1)" "$(column 2)" "$(column 3)" "$(column 4)"
printf 'workers of the daemon that commits: %s; of the other: %s\n' "$(worker_seconds "${pids[0]}")" "$(worker_seconds "${pids[1]}")"
