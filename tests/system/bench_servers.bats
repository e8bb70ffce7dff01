#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2154,SC2030,SC2031 # output and stderr are set by run
# shcount bench puts the same load on every kind of single server, and what it is told about keys, names, rate and
# connections is what it does.

bats_require_minimum_version 1.5.0
load fleet

# All at once: most of a start is waiting.
setup_file() {
	new_place
	start_redis_on_socket
	start_memcached
	start_fleet --plain
	start_daemon
	wait_until redis-cli -s "$SHC_DIR/redis" ping
	wait_until test -S "$SHC_DIR/memcached"
}

teardown_file() {
	kill "$(cat "$SHC_DIR/redis.pid")" "$(cat "$SHC_DIR/memcached.pid")"
	stop_fleet
	stop_daemon
	remove_place
}

start_redis_on_socket() {
	# The same program under both names.
	ln -s "$(command -v redis-check-rdb)" "$SHC_DIR/redis-server"
	"$SHC_DIR/redis-server" --port 0 --unixsocket "$SHC_DIR/redis" --save '' >"$SHC_DIR/redis.log" 2>&1 3>&- &
	echo $! >"$SHC_DIR/redis.pid"
}

start_memcached() {
	memcached -u "$(id -un)" -s "$SHC_DIR/memcached" -t 1 -m 64 3>&- &
	echo $! >"$SHC_DIR/memcached.pid"
}

# `shcount bench --json` on one of them, without what it says to people.
bench() { # SERVER OPTIONS...
	local server=$1
	shift
	case $server in
	shcounterd) "$SHCOUNT" -s "$SHC_SOCK" bench --json "$@" ;;
	redis) "$SHCOUNT" -s "$SHC_DIR/redis" bench --json "$@" ;;
	tcp) "$SHCOUNT" -u "redis://127.0.0.1:$(fleet_port 1)" bench --json "$@" ;;
	memcached) "$SHCOUNT" bench --memcached "$SHC_DIR/memcached" --json "$@" ;;
	esac 2>/dev/null
}

counts() { # SERVER KIND GROWN
	local out
	out=$(bench "$1" --do "$2" --requests 3000 --keys 50 --pipeline 8 --connections 7 --threads 2)
	expect "$(jq -c '[.requests, .ops, .refused, .in_doubt, .not_executed, .grown]' <<<"$out")" "[3000,3000,0,0,0,$3]"
	expect "$(jq -r .server <<<"$out")" "${1/tcp/redis}"
	expect "$(jq -c '.server_cpu_ns_per_op > 0 and .client_cpu_ns_per_op > 0' <<<"$out")" true
}

@test "requests on every server are answered and counted, and the CPU time of its process is told" {
	local server
	for server in shcounterd redis tcp memcached; do
		counts $server incr 3000
		counts $server add 3000
		counts $server get 0
		# Nothing is left that would be there already.
		bench $server --requests 1 --keys 50 >/dev/null
	done
}

@test "in memcached a counter that is there already is neither changed nor deleted; --keep takes it" {
	local out rc=0 get="get mine:00000002"
	ask() { printf '%s\r\nquit\r\n' "$1" | socat -t 5 - "UNIX-CONNECT:$SHC_DIR/memcached" | tr -d '\r' | head -2 | tail -1; }
	ask $'set mine:00000002 0 0 2\r\n17' >/dev/null
	out=$("$SHCOUNT" bench --memcached "$SHC_DIR/memcached" --prefix mine: --keys 5 --requests 100 2>&1) || rc=$?
	expect $rc 1
	expect_contains "$out" "there is a counter mine:00000002"
	expect "$(ask "$get")" 17
	expect "$(bench memcached --prefix mine: --keys 5 --requests 500 --spread sequence --keep | jq .grown)" 500
	expect "$(ask "$get")" 117
}

@test "without a server at the place of memcached: 69" {
	run "$SHCOUNT" bench --memcached "$SHC_DIR/nobody" --requests 1
	expect_status 69
	expect_contains "$output" "cannot connect to memcached at $SHC_DIR/nobody"
}

@test "--names: each of a request's counters is an addition" {
	local out
	out=$(bench shcounterd --do add --names 7 --requests 100 --keys 10)
	expect "$(jq -c '[.requests, .ops, .grown, .names]' <<<"$out")" "[100,700,700,7]"
	run "$SHCOUNT" -s "$SHC_DIR/redis" bench --do add --names 7 --requests 1
	expect_status 64
}

@test "--spread: in sequence all counters get the same, by lot all get some, by Zipf the first gets the most" {
	local spread
	for spread in sequence uniform zipf; do
		bench shcounterd --spread $spread --keys 10 --requests 1000 --pipeline 10 --connections 3 --threads 1 --keep \
			--prefix $spread: >/dev/null
	done
	expect "$(shcount list 'sequence:*' | cut -f 2 | sort | uniq -c | tr -s ' ')" " 10 100"
	expect "$(shcount list 'uniform:*' | awk -F '\t' '$2 > 0' | wc -l)" 10
	expect "$(shcount list 'zipf:*' | sort -t $'\t' -k 2 -n -r | head -1 | cut -f 1)" zipf:00000000
}

@test "--prefix and --digits: names of 1 byte to 255" {
	expect "$(bench shcounterd --prefix '' --digits 1 --requests 100 | jq -c '[.keys, .grown]')" "[10,100]"
	expect "$(bench shcounterd --prefix "$(printf 'x%.0s' {1..252})" --digits 3 --requests 100 | jq -c '[.keys, .grown]')" "[1000,100]"
	run "$SHCOUNT" bench --prefix "$(printf 'x%.0s' {1..253})" --digits 3 --requests 100
	expect_status 64
}

@test "--no-sum: counters are neither made nor summed up" {
	expect "$(bench shcounterd --keep --no-sum --do get --requests 10 --prefix unmade: | jq -c 'has("grown")')" false
	expect "$(shcount list 'unmade:*')" ""
}

@test "--rate: what was due is sent, or told as overdue" {
	local out
	out=$(bench shcounterd --rate 2000 --time 500ms --connections 4 --threads 2 --pipeline 4)
	expect "$(jq -c '[.rate, .requests + .overdue, .requests > 0]' <<<"$out")" "[2000,1000,true]"
	# Ten a microsecond are too many for one connection.
	out=$(bench shcounterd --rate 10000000 --time 200ms --connections 1)
	expect "$(jq -c '[.requests + .overdue, .overdue > 0]' <<<"$out")" "[2000000,true]"
	# Requests decide, too.
	expect "$(bench shcounterd --rate 5000 --requests 101 --pipeline 4 | jq .requests)" 101
}

@test "--rate: the figures are of the whole schedule, also when its few requests are answered at once" {
	local out
	# The next ones would be due behind the end.
	out=$(bench shcounterd --rate 1 --time 300ms --connections 1)
	expect "$(jq -c '[.requests, .seconds >= 0.3, .requests_per_second <= 3]' <<<"$out")" "[1,true,true]"
	out=$(bench shcounterd --rate 1000 --pipeline 500 --requests 500 --connections 2 --threads 2)
	expect "$(jq -c '[.requests, .seconds >= 0.5, .requests_per_second <= 1000]' <<<"$out")" "[500,true,true]"
	out=$(bench memcached --rate 1 --time 200ms --connections 1)
	expect "$(jq -c '[.requests, .seconds >= 0.2, .requests_per_second <= 5]' <<<"$out")" "[1,true,true]"
}

@test "--rate: a server that stands still is charged with all that was due meanwhile" {
	local pid out=$SHC_DIR/stalled
	is_counting() { [ "$(shcount list 'stalled:*' | cut -f 2)" -gt 20 ]; }
	bench shcounterd --rate 200 --requests 400 --connections 1 --keys 1 --prefix stalled: >"$out" 3>&- &
	pid=$!
	wait_until is_counting
	freeze_daemon
	read -rt 0.5 <> <(:) || true # how long it stands still is what the test is about
	thaw_daemon
	wait $pid
	# A hundred requests; one of a closed loop.
	expect "$(jq '.max_ms > 300 and .p90_ms > 100' "$out")" true
}

@test "the limit on open files is raised for connections; where that does not go, it says how" {
	# shellcheck disable=SC2016
	expect "$(bash -c 'ulimit -Sn 100 && "$0" "$@"' "$SHCOUNT" bench --connections 200 --requests 1000 --json 2>/dev/null | jq .grown)" 1000
	# shellcheck disable=SC2016
	run bash -c 'ulimit -n 100 && "$0" "$@"' "$SHCOUNT" bench --connections 200 --requests 1000
	expect_status 74
	expect_contains "$output" "200 connections need"
	expect_contains "$output" "ulimit -Hn"
	expect "$(shcount list 'bench:*')" ""
}

# Through a liar (py/liar.py) to one of the servers.
lies() { # SERVER LIE WORDS OPTIONS...
	local server=$1 lie=$2 words=$3 pid target
	local -A socket=([shcounterd]=$SHC_SOCK [redis]=$SHC_DIR/redis [memcached]=$SHC_DIR/memcached)
	target=${socket[$server]}
	shift 3
	python3 "$shc_top/tests/system/py/liar.py" "$SHC_DIR/liar" "$target" "$lie" 3>&- &
	pid=$!
	wait_until test -S "$SHC_DIR/liar"
	if [ "$server" = memcached ]; then set -- --memcached "$SHC_DIR/liar" "$@"; fi
	SHCOUNT_SOCKET=$SHC_DIR/liar run "$SHCOUNT" bench --requests 300 --connections 4 --threads 1 --keys 20 "$@"
	kill "$pid"
	wait "$pid" || true
	rm -f "$SHC_DIR/liar"
	echo "$server, $lie, $*: $output"
	expect_status "${lies_status:-1}"
	expect_contains "$output" "$words"
}

@test "values that the counters did not have are found: increments and reads, on every server" {
	local server
	for server in shcounterd redis memcached; do
		lies $server above "the server answers what is not so"
		lies $server above "the answers have values from 0 to 1, the counters had such from 0 to 0" --do get
		lies $server absent "answers say that there is no such counter" --do get
	done
	lies shcounterd negative "the answers have values from -"
	lies redis negative "the answers have values from -"
	# That is no answer of memcached's at all; the increment may be counted.
	lies_status=75 lies memcached negative "the answer is of a kind that this command does not have"
	lies redis above "the server answers what is not so" --do add
	# Of those that were there before it is known what they were.
	shcount set kept:00000003 -1000
	lies shcounterd above "the server answers what is not so" --keep --prefix kept:
	expect "$(bench shcounterd --keep --prefix kept: --keys 20 --requests 500 | jq .grown)" 500
}

@test "a cluster's values are looked at, too" {
	start_nodes <<-'EOS'
		{"nodes": {"a": {"slots": [[0, 16383]], "rules": [{"match": ["GET", "bench:*"], "nth": 50, "do": {"bulk": "7"}}]}}}
	EOS
	run "$SHCOUNT" -c "$NODES" bench --keys 3 --requests 200 --do get
	expect_status 1
	expect_contains "$output" "the answers have values from 0 to 7, the counters had such from 0 to 0"
	stop_nodes
	start_nodes <<-'EOS'
		{"nodes": {"a": {"slots": [[0, 16383]], "rules": [{"match": ["INCR", "*"], "nth": 50, "do": {"line": "+OK"}}]}}}
	EOS
	run "$SHCOUNT" -c "$NODES" bench --keys 3 --requests 200
	expect_status 1
	expect_contains "$output" "the answer is of a kind that this command does not have"
	stop_nodes
}

@test "a server that closes while answers are due is told as that, whatever it had answered before" {
	local options
	for options in "--do get" "--do get --rate 1000" "--do add --pipeline 20"; do
		start_nodes <<-'EOS'
			{"nodes": {"a": {"slots": [[0, 16383]], "rules": [
				{"match": ["HELLO"], "do": {"line": "-ERR unknown command 'HELLO'"}},
				{"match": ["GET", "bench:*"], "from": 50, "do": "close"}, {"match": ["INCRBY", "*", "1"], "from": 50, "do": "close"}]}}}
		EOS
		# shellcheck disable=SC2086 # several words
		run "$SHCOUNT" -u "redis://$NODES" bench --keys 3 --requests 1000 --connections 2 --timeout 5s $options
		echo "$output"
		expect_contains "$output" "the server closed the connection without an answer"
		expect "$(grep -c 'Success\|TLS' <<<"$output")" 0
		stop_nodes
	done
}

@test "a value that does not grow, and an answer too many, end it with status 1" {
	local what
	for what in '{"int": 3}' '{"raw": ":1000000\r\n:1000001\r\n"}'; do
		start_nodes <<-EOS
			{"nodes": {"a": {"slots": [[0, 16383]], "rules": [
				{"match": ["HELLO"], "do": {"line": "-ERR unknown command 'HELLO'"}},
				{"match": ["INCR", "*"], "nth": 50, "do": $what}]}}}
		EOS
		run "$SHCOUNT" -u "redis://$NODES" bench --keys 1 --requests 200 --connections 1
		echo "$output"
		expect_status 1
		case $what in
		*int*) expect_contains "$output" "a value that is not above the last" ;;
		*) expect_contains "$output" "more answers than requests" ;;
		esac
		stop_nodes
	done
}
