#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# bench/cluster.sh [LINES [NAMES [ROUNDS]]]: shcount on a Redis Cluster of this machine (tests/cluster: 3 masters, with
# REPLICAS=1 each) beside redis-cli. Both take turns; ratios are medians over the pairs. Default: 10000000 lines of Zipf over
# 100000 names, 5 rounds.
#
# ingest: `shcount -c ingest` of the lines, beside `redis-cli --pipe` on all masters at once, each with a file made
# before of an INCR for every line whose counter is there; as RESP, so that it has nothing to do but to send. The counters
# are there before, and their sum is checked. Target: at least 5 times as fast. Most of that is that ingest sends sums;
# `bench/cluster.sh 1000000 90000000` shows what is left where lines hardly repeat.
#
# incr: one increment, process start to exit, beside `redis-cli -c`: asked of the node that has the counter, and of
# another one, which sends redis-cli on. `true` is what starting any process takes.
# BUILD: the directory with shcount, bench/gen_zipf and bench/spawn. Needs room for some 60 bytes a line in TMPDIR.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C

BUILD=${BUILD:-build}
lines=${1:-10000000} names=${2:-100000} rounds=${3:-5}
spawns=${SPAWNS:-300}
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/shcounterd-bench.XXXXXX")

finish() {
	[ ! -e "$dir/cluster" ] || tests/cluster stop "$dir/cluster" || true
	rm -rf "$dir"
}
trap finish EXIT

die() {
	echo "bench/cluster.sh: $*" >&2
	exit 1
}

for program in redis-cli redis-server; do
	command -v $program >/dev/null || die "$program is not installed (apt-get install redis-tools redis-server)"
done
hosts=$(tests/cluster start "$dir/cluster" --replicas "${REPLICAS:-1}" --while $$)
mapfile -t ports < <(awk '$5 == "master" { print $2 }' "$dir/cluster/nodes")

port_of() { # KEY
	awk -v n="$(tests/cluster owner "$dir/cluster" "$1")" '$1 == n { print $2 }' "$dir/cluster/nodes"
}

median() {
	sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

# ---- ingest ----

# "NAME PORT" of all names. Which slot a name is in is asked of a node, where slots are of all.
owners() {
	sort -u "$dir/lines" >"$dir/names"
	sed 's/^/CLUSTER KEYSLOT /' "$dir/names" | redis-cli -p "${ports[0]}" >"$dir/slots"
	# FIRST LAST HOST PORT ID, then replicas.
	redis-cli -p "${ports[0]}" CLUSTER NODES |
		awk '$3 ~ /master/ { split($2, at, "[:@]"); for (i = 9; i <= NF; i++) { split($i, r, "-"); print r[1], r[2] == "" ? r[1] : r[2], at[2] } }' >"$dir/ranges"
	paste -d' ' "$dir/names" "$dir/slots" |
		awk 'NR == FNR { for (s = $1; s <= $2; s++) port[s] = $3; next } { print $1, port[$2] }' "$dir/ranges" -
}

prebuild() {
	"$BUILD/bench/gen_zipf" "$lines" "$names" >"$dir/lines"
	owners >"$dir/owners"
	awk -v dir="$dir" 'NR == FNR { file[$1] = dir "/pipe." $2; next }
		{ printf "*2\r\n$4\r\nINCR\r\n$%d\r\n%s\r\n", length($1), $1 > file[$1] }' "$dir/owners" "$dir/lines"
	for port in "${ports[@]}"; do [ -s "$dir/pipe.$port" ] || : >"$dir/pipe.$port"; done
	cat "$dir"/pipe.* "$dir/lines" >/dev/null # into the page cache
}

pipe_all() {
	local port pids=() pid
	for port in "${ports[@]}"; do
		redis-cli -p "$port" --pipe <"$dir/pipe.$port" >"$dir/out.$port" 2>&1 &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do wait "$pid" || die "redis-cli --pipe has failed: $(cat "$dir"/out.*)"; done
}

ingest() {
	"$BUILD/shcount" -c "$hosts" ingest "$dir/lines" 2>"$dir/err" || die "$(cat "$dir/err")"
}

seconds() { # COMMAND...
	local begin end
	begin=$(date +%s%N)
	"$@"
	end=$(date +%s%N)
	echo $((end - begin)) | awk '{ printf "%.4f\n", $1 / 1e9 }'
}

compare_ingest() {
	local round pipe ours sum
	prebuild
	ingest # makes the counters
	: >"$dir/pairs"
	for ((round = 1; round <= rounds; round++)); do
		pipe=$(seconds pipe_all)
		ours=$(seconds ingest)
		echo "$pipe $ours" | awk -v n="$lines" '{ printf "%.2f %.2f %.2f\n", n / $1 / 1e6, n / $2 / 1e6, $1 / $2 }' | tee -a "$dir/pairs" |
			awk -v r="$round" '{ print "round " r ": M lines/s: redis-cli --pipe " $1 ", shcount -c ingest " $2 "; ratio " $3 }'
	done
	sum=$("$BUILD/shcount" -c "$hosts" list | awk -F '\t' '{ s += $NF } END { printf "%.0f", s }')
	[ "$sum" -eq $((lines * (2 * rounds + 1))) ] || die "the counters hold $sum, not $((lines * (2 * rounds + 1)))"
	echo "median ratio ingest / --pipe: $(cut -d' ' -f3 "$dir/pairs" | median) (target 5), from $(cut -d' ' -f3 "$dir/pairs" | sort -g | sed -n '1p;$p' | paste -sd' ' | sed 's/ / to /')"
}

# ---- one increment ----

figures() { # LABEL...
	local label line
	for label; do
		read -r line
		echo "$label: $line"
	done
}

compare_incr() {
	local owner other port
	owner=$(port_of x)
	for port in "${ports[@]}"; do [ "$port" = "$owner" ] || other=$port; done
	for port in "$owner" "$other"; do
		"$BUILD/bench/spawn" "$spawns" redis-cli -c -p "$port" incr x \
			--next "$BUILD/shcount" -c "127.0.0.1:$port" incr x \
			--next true |
			figures "redis-cli -c incr" "shcount -c incr" "true" |
			sed "s/^/$([ "$port" = "$owner" ] && echo owner || echo other node), /"
	done
}

echo "== ingest, $lines lines, $names names, ${#ports[@]} masters ($(uptime | sed 's/.*load/load/'))"
compare_ingest
echo "== one increment, $spawns times ($(uptime | sed 's/.*load/load/'))"
compare_incr
