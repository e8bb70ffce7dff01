#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# hit, hits, allow and --ttl: what they print and how they end, the same on a daemon, a Redis server and a Redis Cluster; and
# against models, by a clock that the test moves (py/hits.py).

# shellcheck disable=SC2154,SC2030,SC2031 # output, stderr and status are set by run, also in functions that tests call
bats_require_minimum_version 1.5.0
load nodes

# All at once: most of a start is waiting.
setup_file() {
	local pids=()
	new_place
	export PLAIN_DIR=$SHC_DIR/plain FLEET_DIR=$SHC_DIR/fleet NODES_DIR=$SHC_DIR/nodes BUILD SHC_IO SHCOUNTERD
	(FLEET_DIR=$PLAIN_DIR start_fleet --plain) >"$SHC_DIR/start.out" 2>&1 &
	pids=($!)
	start_daemon
	start_nodes <<<"{\"nodes\": $LAYOUT}"
	start_fleet
	wait "${pids[@]}"
}

teardown_file() {
	stop_nodes
	FLEET_DIR=$PLAIN_DIR stop_fleet
	stop_fleet
	stop_daemon
	remove_place
}

# Where `on` sends what it is told, and `redis` asks in the same place.
on() {
	case $KIND in
	daemon) shcount "$@" ;;
	plain) shcount -u "redis://127.0.0.1:$(FLEET_DIR=$PLAIN_DIR fleet_port 1)" "$@" ;;
	cluster) shcount -c "$FLEET" "$@" ;;
	esac
}

redis() {
	case $KIND in
	daemon) redis-cli -s "$SHC_SOCK" "$@" ;;
	plain) redis-cli -p "$(FLEET_DIR=$PLAIN_DIR fleet_port 1)" "$@" ;;
	cluster) redis-cli -c -p "$(fleet_port 1)" "$@" ;;
	esac
}

everywhere() { # FUNCTION
	for KIND in daemon plain cluster; do
		echo "--- $KIND"
		"$1"
	done
}

# ---- hits ----

hits_are_printed() {
	expect "$(on hit h:a)" 1
	expect "$(on hit h:a 41)" 42
	expect "$(on hit -q h:a)" ""
	expect "$(on hit h:a --json)" '{"name":"h:a","value":44}'
	expect "$(on hits h:a --last 60s)" 44
	expect "$(on hits --json --last 1s h:never)" '{"name":"h:never","hits":0,"resolution_ms":1000}'
	expect "$(on hits -q h:a --last 60s)" ""
	# What was added otherwise is no hit.
	expect "$(on incr h:a 6)" 50
	expect "$(on hits h:a --last 5m)" 44
	expect "$(redis GET h:a)" 50
	on set h:a 7
	expect "$(on hit h:a 3)" 10
	expect "$(on hits h:a --last 30d)" 47
	on del h:a
	expect "$(on hits h:a --last 30d)" 0
	expect "$(on incr h:a)" 1
	expect "$(on hits h:a --last 30d)" 0
	expect "$(on hit h:a)" 2
	expect "$(on hits h:a --last 30d)" 1
	redis DEL h:a
	expect "$(on hits h:a --last 24h)" 0
	expect "$(on hit h:a)" 1
	expect "$(on hits h:a --last 24h)" 1
}

@test "hit prints the total, hits what the window has of them, whatever else is added" {
	everywhere hits_are_printed
}

windows_are_rounded() {
	local window note resolution
	on hit -q h:round 3
	while read -r window resolution note; do
		run --separate-stderr on hits h:round --last "$window"
		expect_status 0
		# Those of the shortest may be over by now.
		[ "$output" = 3 ] || [[ "$window" =~ ^1(ms|s|001ms)$ ]]
		expect "$stderr" "${note:+shcount: these are the hits of the last $note: a window of $window is rounded up}"
		run --separate-stderr on hits -q h:round --last "$window"
		expect "$output$stderr" ""
		run --separate-stderr on hits --json h:round --last "$window"
		expect "$stderr" ""
		expect "$(jq .resolution_ms <<<"$output")" "$resolution"
	done <<-'END'
		1ms 1000 1 second
		1s 1000
		1001ms 1000 2 seconds
		300s 1000
		301s 60000 6 minutes
		10m 60000
		90001ms 1000 91 seconds
		24h 60000
		1441m 3600000 25 hours
		2d 3600000
		30d 3600000
	END
}

@test "hits says what a window was rounded up to, and with --json the resolution" {
	everywhere windows_are_rounded
}

@test "a hit that would leave 64 bits is refused, and counts nowhere" {
	for KIND in daemon plain cluster; do
		on set h:full 9223372036854775800
		run on hit h:full 8
		expect_status 1
		expect_contains "$output" overflow
		expect "$(on hits h:full --last 60s)" 0
		expect "$(on hit h:full 7)" 9223372036854775807
		expect "$(on hits h:full --last 60s)" 7
	done
}

@test "twenty at once: every hit is counted, in the total and in the window" {
	local i pids
	for KIND in daemon plain cluster; do
		pids=()
		for i in {1..20}; do
			on hit -q h:crowd "$i" 3>&- &
			pids+=($!)
		done
		for i in "${pids[@]}"; do wait "$i"; done
		expect "$(on get h:crowd)" 210
		expect "$(on hits h:crowd --last 5m)" 210
	done
}

# ---- limits ----

limits_are_kept() {
	local i
	for i in 1 2 3; do expect "$(on allow l:a --limit 3 --per 1h 2>&1)" ""; done
	run --separate-stderr on allow l:a --limit 3 --per 1h
	expect_status 1
	expect "$output" ""
	[[ "$stderr" =~ ^"shcount: l:a: retry in "1(199|200)\.[0-9][0-9][0-9]s$ ]]
	run --separate-stderr on allow -q l:a --limit 3 --per 1h
	expect_status 1
	expect "$output$stderr" ""
	run --separate-stderr on allow --json l:a 2 --limit 3 --per 1h
	expect_status 1
	expect "$stderr" ""
	expect "$(jq -c '[.name, .allowed, .remaining, (.retry_after_ms > 2390000 and .retry_after_ms <= 2400000)]' <<<"$output")" \
		'["l:a",false,0,true]'
	expect "$(on get l:a)" 3
	expect "$(on allow --json l:b 4 --limit 10 --per 24h)" '{"name":"l:b","allowed":true,"remaining":6,"retry_after_ms":0}'
	expect "$(on get l:b)" 4
	# All at once is allowed, and one more is not, be the parts of the time whole or not.
	expect "$(on allow --json l:c 99999 --limit 99999 --per 30d | jq -c '[.allowed, .remaining]')" '[true,0]'
	run on allow l:c --limit 99999 --per 30d
	expect_status 1
	# A counter that was made by this goes away with its limit; another one stays.
	i=$(redis PTTL l:a)
	[ "$i" -gt 3590000 ] && [ "$i" -le 3600001 ]
	on incr l:d
	on allow l:d --limit 3 --per 1h
	expect "$(redis PTTL l:d)" -1
	expect "$(on get l:d)" 2
	on del l:a
	on allow l:a --limit 3 --per 1h
	expect "$(on get l:a)" 1
	on set l:full 9223372036854775807
	run on allow l:full --limit 3 --per 1h
	expect_status 1
	expect_contains "$output" overflow
	on set l:full 0
	expect "$(on allow --json l:full --limit 3 --per 1h | jq .remaining)" 2
}

@test "allow ends with 0 and says nothing, or with 1 and says when; what is allowed is counted" {
	everywhere limits_are_kept
}

@test "forty at once: as many are allowed as the limit says" {
	local i pids allowed
	for KIND in daemon plain cluster; do
		pids=() allowed=0
		for i in {1..40}; do
			on allow -q l:crowd --limit 12 --per 30d 3>&- &
			pids+=($!)
		done
		for i in "${pids[@]}"; do wait "$i" && allowed=$((allowed + 1)); done
		expect "$allowed" 12
		expect "$(on get l:crowd)" 12
	done
}

@test "a refused one is allowed after the time that was said" {
	local retry
	for KIND in daemon plain cluster; do
		on allow l:later --limit 1 --per 300ms
		run --separate-stderr on allow l:later --limit 1 --per 300ms
		[ "$status" -eq 1 ] || continue # it took longer than that
		retry=$(sed -n 's/.*retry in \(.*\)s$/\1/p' <<<"$stderr")
		sleep "$retry" # what users do
		on allow l:later --limit 1 --per 300ms
		expect "$(on get l:later)" 1
	done
}

# ---- expiry, bounds ----

ttl_is_given_once() {
	local left
	expect "$(on incr --ttl 1h t:a 5)" 5
	left=$(redis PTTL t:a)
	[ "$left" -gt 3590000 ] && [ "$left" -le 3600000 ]
	expect "$(on incr --ttl 24h t:a)" 6
	[ "$(redis PTTL t:a)" -le 3600000 ]
	expect "$(on incr t:b)" 1
	expect "$(on decr --ttl 1h t:b 3)" -2
	expect "$(redis PTTL t:b)" -1
	expect "$(on incr -q --ttl 1h t:c)" ""
	[ "$(redis PTTL t:c)" -gt 0 ]
	expect "$(on incr --ttl 1h --max 5 t:d 5)" 5
	run on incr --ttl 1h --max 5 t:d
	expect_status 1
	[ "$(redis PTTL t:d)" -gt 0 ]
	run on incr --ttl 1h --max 5 t:e 6
	expect_status 1
	expect "$(redis EXISTS t:e)" 0
	expect "$(on incr --json --ttl 1h t:f)" '{"name":"t:f","value":1}'
	on set --ttl 1h t:g 9
	[ "$(redis PTTL t:g)" -gt 3590000 ]
	on set t:g 9
	expect "$(redis PTTL t:g)" -1
	on incr -q --ttl 1ms t:h
	wait_until is_gone t:h
	expect "$(on get t:h)" 0
	on set --ttl 1ms t:h 5
	wait_until is_gone t:h
	expect "$(on incr t:h)" 1
}

is_gone() { # NAME
	[ "$(redis EXISTS "$1")" = 0 ]
}

@test "--ttl is for the call that makes the counter" {
	everywhere ttl_is_given_once
}

bounds_are_kept() {
	expect "$(on incr --max 10 b:a 10)" 10
	run on incr --max 10 b:a
	expect_status 1
	expect "$output" "shcount: the counter is 10: 1 more would pass the most"
	run on decr --min 5 b:a 6
	expect_status 1
	expect "$output" "shcount: the counter is 10: -6 more would pass the least"
	expect "$(on decr --min 5 b:a 5)" 5
	expect "$(on incr --max 9 --min -9 -q b:a 4)" ""
	expect "$(on get b:a)" 9
	on set b:a 9007199254740992
	run on incr --max 9007199254740992 b:a
	expect_status 1
	expect "$(on incr --max 9007199254740993 b:a)" 9007199254740993
}

@test "--max and --min refuse what would pass them, and say what there is" {
	everywhere bounds_are_kept
}

# ---- what makes no sense, and what gets no answer ----

@test "what makes no sense is told before anybody is asked" {
	local line
	while read -r line; do
		# shellcheck disable=SC2086 # words
		run shcount -s "$SHC_DIR/nobody" $line
		expect_status 64
	done <<-'END'
		hit
		hit x 0
		hit x -1
		hit x 1.5
		hits x
		hits x --last 0
		hits x --last 60
		hits x --last -5s
		hits x --last 2592001s
		hits x y --last 60s
		allow x
		allow x --limit 5
		allow x --per 5s
		allow x --limit 0 --per 5s
		allow x --limit 5 --per 0s
		allow x --limit 5 --per 3654d
		allow x 6 --limit 5 --per 5s
		allow x 0 --limit 5 --per 5s
		incr --ttl 0 x
		incr --ttl 5 x
		incr --ttl 5s --once t x
		incr --max 5 --once t x
		set x 5 --ttl 0s
	END
	for line in 'hit x' 'allow x --limit 5 --per 5s' 'incr --ttl 5s x'; do
		# shellcheck disable=SC2086 # words
		run shcount -c 127.0.0.1:1 --shards 2 $line
		expect_status 64
		expect_contains "$output" "one place"
	done
}

@test "of a spread counter, a hit goes to NAME and prints the sum; limits and expiry are refused" {
	KIND=cluster
	on --shards 3 incr -q spread 10
	expect "$(on hit spread 5)" 15
	expect "$(redis GET spread)" 5
	expect "$(on hits spread --last 60s)" 5
	local line
	for line in 'allow spread --limit 5 --per 5s' 'incr --ttl 5s spread' 'set --ttl 5s spread 1'; do
		# shellcheck disable=SC2086 # words
		run on $line
		expect_status 1
		expect_contains "$output" "3 sub-counters"
	done
	expect "$(on get spread)" 15
}

@test "hit and allow without an answer are in doubt and not sent again; hits is asked again, then 69" {
	local rule line
	for rule in '"close"' '"hang"'; do
		script ".b.rules = [{match: [\"EVALSHA\"], do: $rule}]"
		for line in 'hit d{b}' 'hit -q d{b}' 'allow d{b} --limit 5 --per 5s' 'incr --ttl 5s d{b}' 'incr --max 5 d{b}'; do
			clear_nodes_log
			# shellcheck disable=SC2086 # words
			run gives_up $line
			expect_status 75
			expect "$(node_count b 'EVALSHA *')" 1
		done
		run gives_up hits 'd{b}' --last 60s
		expect_status 69
	done
	script '.b.rules = [{match: ["EVALSHA"], nth: 1, do: "close"}, {match: ["EXISTS"], do: {int: 1}},
		{match: ["EVALSHA"], do: {array: [{bulk: "1000"}, {bulk: ""}]}}]'
	expect "$(asks hits 'd{b}' --last 60s)" 0
	expect "$(node_count b 'EVALSHA *')" 2
}

@test "hit, hits and allow follow MOVED and ASK, and name all keys, in one slot" {
	local answer='{array: [{int: 1}, {bulk: "0"}, {bulk: "0"}]}'
	script ".b.rules = [{match: [\"EVALSHA\", \"$(sha_of hit)\"], do: {moved: \"a\"}}, {match: [\"EVALSHA\"], do: {ask: \"a\"}}, {match: [\"EXISTS\"], do: {int: 1}}] |
		.a.rules = [{match: [\"EVALSHA\", \"$(sha_of hit)\"], do: {bulk: \"7\"}}, {match: [\"EVALSHA\", \"$(sha_of hits)\"], do: {array: [{bulk: \"1000\"}, {bulk: \"\"}]}},
			{match: [\"EVALSHA\", \"$(sha_of allow)\"], do: $answer}]"
	expect "$(asks hit 'm{b}')" 7
	expect "$(asks hits 'm{b}' --last 24h)" 0
	asks allow 'm{b}' --limit 5 --per 5s
	expect "$(nodes_log 'select(.node == "a" and .words[0] == "EVALSHA") | [.asking, .words[2]] | join(" ")' | paste -sd,)" "false 4,true 1,true 2"
	run node_mix slots "$NODES_DIR/log.jsonl"
	expect_status 0
	expect_at_least "$output" 2
}

@test "a reply that makes no sense is no answer" {
	local reply
	for reply in '{int: 5}' '{array: []}' '{array: [{int: 1}, {int: 1}, {int: 1}]}' '{array: [{int: 1}, {bulk: "x"}, {bulk: "0"}]}' '{bulk: "5x"}'; do
		script ".b.rules = [{match: [\"EVALSHA\"], do: $reply}, {match: [\"EXISTS\"], do: {int: 1}}]"
		run asks hit 's{b}'
		expect_status 75
		run asks allow 's{b}' --limit 5 --per 5s
		expect_status 75
		run asks hits 's{b}' --last 60s
		expect_status 1
	done
}

# ---- against models ----

drive_by_clock() { # CASE
	local kind
	for kind in daemon redis; do
		SHC_DIR=$(mktemp -d "$SHC_DIR/XXXXXX") drive_on_fleet hits "$1" "$kind"
	done
}

@test "hits over months, with a clock that is set back, are what a model says" {
	drive_by_clock hits_model
}

@test "hits in Redis take little memory, and go away by themselves" {
	drive_on_fleet hits hits_take_little redis
}

@test "limits are what the generic cell rate algorithm says, to the millisecond" {
	drive_by_clock limits_model
}

@test "a limit holds over any stretch of time" {
	drive_by_clock limits_are_kept
}

@test "counters within bounds and with an expiry are what a model says" {
	drive_by_clock ttl_model
}
