#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# bench/durable.sh: durable acknowledgements, `shcounterd --durability commit` beside `redis-server --appendfsync
# always`, on the same disk (of TMPDIR, default /var/tmp), both alive all the time and taking turns; INCR, 50 connections.
# Every reply is checked, and the sum. The ratios are medians over the pairs of ROUNDS rounds of SECONDS_EACH seconds.
# BUILD: the directory with shcounterd and shcount.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=bench/servers.bash
source bench/servers.bash

ROUNDS=${ROUNDS:-5}
SECONDS_EACH=${SECONDS_EACH:-2}

# What one fdatasync of 4 KiB costs here, behind the last block: the floor of any acknowledgement.
fsync_us() {
	/usr/bin/python3 - "$dir/fsync" <<'EOT'
import os, sys, time
fd = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
times = []
for _ in range(300):
    begin = time.perf_counter()
    os.write(fd, b"x" * 4096)
    os.fdatasync(fd)
    times.append((time.perf_counter() - begin) * 1e6)
times.sort()
print(f"fdatasync of 4 KiB: p50 {times[150]:.0f} us, p99 {times[296]:.0f} us")
EOT
}

compare() { # LABEL TARGET BENCH-OPTIONS...
	local label=$1 target=$2 i line
	shift 2
	: >"$dir/redis.rounds"
	: >"$dir/ours.rounds"
	for ((i = 0; i < ROUNDS; i++)); do
		load redis --keep --time "${SECONDS_EACH}s" "$@" >>"$dir/redis.rounds"
		load shcounterd --keep --time "${SECONDS_EACH}s" "$@" >>"$dir/ours.rounds"
	done
	for line in redis ours; do figures requests_per_second p50_us p99_us p99_9_us <"$dir/$line.rounds" >"$dir/$line.figures"; done
	paste -d' ' "$dir/redis.figures" "$dir/ours.figures" >"$dir/pairs"
	printf '%-20s %9s %9s %7s %7s  %8s %8s  %8s %8s\n' "$label" "$(column 1)" "$(column 5)" "$(ratio 5 1)" ">= $target" \
		"$(column 3)" "$(column 7)" "$(column 4)" "$(column 8)"
}

start_redis --appendonly yes --appendfsync always --dir "$dir"
start_shcounterd shcounterd --durability commit
fsync_us
printf '%-20s %9s %9s %7s %7s  %8s %8s  %8s %8s\n' "" redis/s ours/s ratio target "redis p99" "ours p99" "redis 99.9" "ours 99.9"
compare "P=1 one key" 1.2 --keys 1
compare "P=1 100 k keys" 1.2 --keys 100000
compare "P=16 one key" 3 --pipeline 16 --keys 1
compare "P=16 100 k keys" 4.5 --pipeline 16 --keys 100000
compare "P=128 100 k keys" 8 --pipeline 128 --keys 100000
compare "one connection" 1.0 --connections 1 --keys 1
