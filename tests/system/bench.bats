#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2154 # output and stderr are set by run
# shcount bench: what it says it did is what it did, it touches no counter but its own, and leaves none behind.

bats_require_minimum_version 1.5.0
load fleet

# All at once: most of a start is waiting.
setup_file() {
	new_place
	export FLEET_DIR SINGLE_DIR=$SHC_DIR/single
	FLEET_DIR=$SINGLE_DIR start_fleet --plain >"$SHC_DIR/single.out" 2>&1 &
	start_fleet --node-timeout 1000 --replicas 0
	wait $!
	start_daemon
}

teardown_file() {
	FLEET_DIR=$SINGLE_DIR stop_fleet
	stop_fleet
	stop_daemon
	remove_place
}

single_url() {
	echo "redis://127.0.0.1:$(FLEET_DIR=$SINGLE_DIR fleet_port 1)"
}

# Runs on each kind of server, with its URL in $url.
on_each_server() { # COMMAND...
	local url
	for url in "unix://$SHC_SOCK" "$(single_url)" "redis+cluster://$FLEET"; do
		"$@" || {
			echo "on $url" >&2
			return 1
		}
	done
}

sum_of() { # URL PREFIX
	shcount -u "$1" list "$2*" | awk -F '\t' '{ s += $2 } END { print NR, s + 0 }'
}

counts_exactly() { # OPTIONS...
	local before
	shcount -u "$url" bench -q --keep --prefix "kept $*:" --keys 10 --requests 4000 "$@"
	before=$(sum_of "$url" "kept $*:")
	expect "$before" "10 4000"
	shcount -u "$url" bench -q --keep --prefix "kept $*:" --keys 10 --requests 1000 "$@"
	expect "$(sum_of "$url" "kept $*:")" "10 5000"
}

@test "as many requests as asked for are made, and each adds 1: incr, add, with and without pipelines" {
	on_each_server counts_exactly --do incr
	on_each_server counts_exactly --do add --pipeline 7 --connections 3 --threads 3
	on_each_server counts_exactly --pipeline 100 --connections 1
}

tells_all() {
	local out
	out=$(shcount -u "$url" bench --json --requests 3000 --keys 50 --do "$1" 2>/dev/null)
	expect "$(jq -c '[.do, .requests, .keys, .refused, .in_doubt, .not_executed, .grown]' <<<"$out")" \
		"[\"$1\",3000,50,0,0,0,$2]"
	expect "$(jq -c '.p50_ms > 0 and .p50_ms <= .p90_ms and .p90_ms <= .p99_ms and .p99_ms <= .p99_9_ms and .p99_9_ms <= .max_ms' <<<"$out")" true
	expect "$(jq -c '(.requests_per_second - .requests / .seconds | fabs) / .requests_per_second < 0.1' <<<"$out")" true
	expect "$(sum_of "$url" bench:)" "0 0"
}

@test "JSON has the throughput and percentiles that fit each other; afterwards there is no counter" {
	on_each_server tells_all incr 3000
	on_each_server tells_all add 3000
	on_each_server tells_all get 0
}

@test "without --json: a line each with what it is, tab, and the figure; what happens to counters is said" {
	run --separate-stderr shcount bench --requests 100 --keys 3
	expect_status 0
	expect "$(cut -f1 <<<"$output" | paste -sd';')" "requests;seconds;requests per second;p50, ms;p90, ms;p99, ms;p99.9, ms;max, ms;server CPU, ns/request;own CPU, ns/request"
	expect "${lines[0]}" $'requests\t100'
	expect "$stderr" "shcount: incr on 3 counters, bench:00000000 to bench:00000002; they are deleted at the end"
	expect "$(shcount bench -q --requests 100 --keys 3 2>&1)" ""
}

takes_new_ones_only() {
	local out rc=0
	shcount -u "$url" set mine:00000002 17
	shcount -u "$url" set mine:x 18
	out=$(shcount -u "$url" bench --prefix mine: --keys 5 --requests 100 2>&1) || rc=$?
	expect $rc 1
	expect_contains "$out" "there is a counter mine:00000002"
	expect "$(shcount -u "$url" list 'mine:*')" $'mine:00000002\t17\nmine:x\t18'
	# Names that only look like its own are nobody's business.
	shcount -u "$url" bench -q --prefix mine: --keys 2 --requests 100
	expect "$(shcount -u "$url" list 'mine:*')" $'mine:00000002\t17\nmine:x\t18'
}

@test "a counter that is there already is neither changed nor deleted" {
	on_each_server takes_new_ones_only
}

@test "--time ends it when the time is over" {
	expect "$(shcount bench --time 200ms --json 2>/dev/null | jq '.requests > 0 and .seconds < 10')" true
}

@test "on a cluster --shards spreads a hot counter, and nothing of it is left, not even where parts are remembered" {
	local out n
	fleet reset
	out=$(shcount -c "$FLEET" bench --keys 1 --shards 8 --requests 2000 --keep --json 2>/dev/null)
	expect "$(jq -c '[.shards, .grown]' <<<"$out")" "[8,2000]"
	expect "$(shcount -c "$FLEET" get bench:00000000)" 2000
	[ "$(shcount -c "$FLEET" shards bench:00000000 | awk -F '\t' '$4 > 0' | wc -l)" -gt 4 ]
	fleet reset
	shcount -c "$FLEET" bench -q --keys 20 --shards 8 --requests 2000
	for n in 1 2 3; do expect "$(fleet cli $n DBSIZE)" 0; done
}

@test "^C ends it early, with what there is, without counters, and by the signal" {
	local pid rc=0
	is_counting() { [ "$(sum_of "unix://$SHC_SOCK" bench:)" != "0 0" ]; }
	"$SHCOUNT" bench --time 10m --keys 5 --json >"$SHC_DIR/out" 2>"$SHC_DIR/err" 3>&- &
	pid=$!
	wait_until is_counting
	# Background jobs of a shell that is no terminal ignore SIGINT.
	kill -TERM $pid
	wait $pid || rc=$?
	expect "$rc" 143
	expect "$(jq '.requests > 0 and .grown == .requests' "$SHC_DIR/out")" true
	expect "$(sum_of "unix://$SHC_SOCK" bench:)" "0 0"
}

@test "requests that are refused are counted, and end with status 1 and the server's words" {
	shcount set full:00000000 9223372036854775800
	run --separate-stderr shcount bench --prefix full: --keys 1 --requests 100 --keep --json
	expect_status 1
	expect "$(jq -c '[.requests, .refused, .grown]' <<<"$output")" "[7,93,7]"
	expect_contains "$stderr" "93 requests were refused: ERR increment or decrement would overflow"
	shcount del full:00000000
}

@test "a sum that is not what was acknowledged is found, and ends with status 1" {
	start_nodes <<-'EOS'
		{"nodes": {"a": {"slots": [[0, 16383]], "rules": [{"match": ["INCR", "*"], "nth": 50, "do": {"int": 3}}]}}}
	EOS
	run shcount -c "$NODES" bench --keys 1 --requests 200
	expect_status 1
	expect_contains "$output" "the counters have grown by 199 after 200 acknowledged additions"
	stop_nodes
	# Somebody else adds meanwhile.
	"$SHCOUNT" bench --time 10m --keys 1 --do get >"$SHC_DIR/out" 2>"$SHC_DIR/err" 3>&- &
	wait_until shcount get --strict bench:00000000
	shcount incr -q bench:00000000
	kill -TERM $!
	wait $! || true
	expect_contains "$(cat "$SHC_DIR/err")" "the counters have grown by 1 after 0 acknowledged additions"
}

@test "a server that is gone meanwhile: 75 for changes, 69 for reads, and what there is is printed" {
	local mode rc
	for mode in incr:75 get:69; do
		start_nodes <<-EOS
			{"nodes": {"a": {"slots": [[0, 16383]], "rules": [
				{"match": ["HELLO"], "do": {"line": "-ERR unknown command 'HELLO'"}},
				{"match": ["INCR", "*"], "from": 500, "do": "hang"}, {"match": ["GET", "bench:*"], "from": 500, "do": "hang"}]}}}
		EOS
		rc=0
		shcount -u "redis://$NODES" bench --keys 1 --requests 1000 --connections 4 --do ${mode%:*} --timeout 300ms --json \
			>"$SHC_DIR/out" 2>"$SHC_DIR/err" || rc=$?
		expect "$rc" "${mode#*:}"
		expect_contains "$(cat "$SHC_DIR/err")" "no answer"
		[ "$(jq .requests "$SHC_DIR/out")" -gt 400 ]
		stop_nodes
	done
}

@test "options that make no sense are refused before anything is sent" {
	local options
	for options in "--do x" "--keys 0" "--keys 10000001" "--connections 0" "--pipeline 0" "--threads 0" "--time 5" "--requests 0" \
		"--names 0" "--names 2" "--rate 0" "--spread x" "--digits 0" "--digits 9" "--digits 2 --keys 101" "--no-sum" \
		"--do add --names 10000 --pipeline 1000" "--memcached x" "--memcached x:0" "--memcached /x --do add --names 2" \
		"--memcached /x -s /y" "--memcached /x -c node:7000" "--shards 4" word; do
		# shellcheck disable=SC2086 # several words
		run shcount bench $options
		expect_status 64
	done
	run shcount bench --prefix $'a\tb'
	expect_status 64
	for options in "--prefix shc:" "--connections 10000 --pipeline 101" "--rate 10" "--do add --names 2"; do
		# shellcheck disable=SC2086
		run shcount -c "$FLEET" bench $options --requests 1
		expect_status 64
	done
	run shcount -s "$SHC_DIR/nobody" bench --requests 1
	expect_status 69
}
