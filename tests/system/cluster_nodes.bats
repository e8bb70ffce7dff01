#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What shcount sends again and what not, and to whom: redirections, refusals, lost connections and silence of scripted nodes.
# Claims about what is sent are claims about the nodes' log.

load nodes

setup_file() {
	start_three_nodes
}

teardown_file() {
	stop_nodes
	remove_place
}

# ---- MOVED ----

@test "MOVED is followed, and what it says is known to the next request of the process" {
	script "$B_HAS_MOVED"' | .b.rules = [{match: ["*GET", "*"], do: {moved: "c"}}]'
	run asks watch --count 3 --interval 20ms 'm{b}'
	expect_status 0
	expect "$(node_requests b | grep GET)" $'HGET shc:{b}:shards m{b}\nGET m{b}'
	expect "$(node_count c 'GET *')" 3
	# Once when it began, and once for the MOVED.
	expect "$(count_everywhere 'CLUSTER SLOTS')" 2
}

@test "thousands of MOVED make a handful of questions for the map" {
	script '.b.rules = [{match: ["INCRBY"], do: {moved: "c"}}]'
	seq -f 'many%.0f{b}' 1500 >"$SHC_DIR/names"
	run asks ingest "$SHC_DIR/names"
	expect_status 0
	expect_at_least "$(node_count b 'INCRBY *')" 1000
	expect_at_most "$(count_everywhere 'CLUSTER SLOTS')" 20
	expect "$(nodes_log 'select(.words[0] == "INCRBY" and .node != "b") | .words | join(" ")' | LC_ALL=C sort)" \
		"$(sed 's/.*/INCRBY & 1/' "$SHC_DIR/names" | LC_ALL=C sort)"
}

@test "a circle of MOVED ends at the deadline, and is no storm" {
	script '.b.rules = [{match: ["INCRBY"], do: {moved: "c"}}] | .c.rules = [{match: ["INCRBY"], do: {moved: "b"}}]'
	run gives_up incr 'circle{b}'
	expect_status 69
	expect_contains "$output" MOVED
	expect_at_least "$(count_everywhere 'INCRBY *')" 4
	expect_at_most "$(count_everywhere 'INCRBY *')" 15
	expect_at_most "$(count_everywhere 'CLUSTER SLOTS')" 15
}

@test "MOVED to an address where nobody is: the map is asked, and what it says is done" {
	script '.d = {listen: false} | .b.rules = [{match: ["INCRBY"], nth: 1, do: {moved: "d"}}]'
	run asks incr 'dead{b}'
	expect_status 0
	expect "$output" 1
	expect "$(node_count b 'INCRBY *')" 2
	change_nodes '.nodes.b.rules = [{match: ["INCRBY"], do: {moved: "d"}}]'
	clear_nodes_log
	run gives_up incr 'dead{b}'
	expect_status 69
	expect_contains "$output" "$(node_address d)"
	expect_at_most "$(node_count b 'INCRBY *')" 15
}

@test "an address without a host means the node that answered" {
	script '.b.host = null | .c.host = "" | .b.rules = [{match: ["INCRBY", "port*"], do: {line: "-MOVED {slot} :{port:c}"}}]'
	expect "$(asks incr 'null{b}')" 1
	expect "$(asks incr 'empty{c}')" 1
	expect "$(asks incr 'port{b}' 5)" 5
	expect "$(node_requests b | grep INCRBY)" $'INCRBY null{b} 1\nINCRBY port{b} 5'
	expect "$(node_requests c | grep INCRBY)" $'INCRBY empty{c} 1\nINCRBY port{b} 5'
}

@test "a redirection that makes no sense is told, and not followed" {
	local text
	for text in 'MOVED' 'MOVED 99999 127.0.0.1:1' 'MOVED 5 nowhere' 'MOVED 5 127.0.0.1:0' 'ASK x 127.0.0.1:1'; do
		script '.b.rules = [{match: ["INCRBY"], do: {line: "-'"$text"'"}}]'
		run asks incr 'sense{b}'
		expect_status 1
		expect_contains "$output" "$text"
		expect "$(count_everywhere 'INCRBY *')" 1
	done
}

# ---- ASK ----

@test "ASK: once, directly behind ASKING on the same connection, and the slot stays where it is" {
	script '.b.rules = [{match: ["GET"], do: {ask: "c"}}] |
		.c.rules = [{match: ["GET", "*{b}"], asking: false, do: {moved: "b"}}]'
	run asks watch --count 3 --interval 10ms 'asked{b}' 'here{c}'
	expect_status 0
	expect "$(node_count b 'GET *')" 3
	expect "$(nodes_log 'select(.node == "c" and .words[0] == "GET") | [.words[1], .asking] | join(" ")' | LC_ALL=C sort | uniq -c | tr -s ' ')" \
		$' 3 asked{b} true\n 3 here{c} false'
	expect "$(node_count c ASKING)" 3
	expect "$(connects c)" 1
}

@test "ASK among many requests: each ASKING has its own request behind it" {
	script '.b.rules = [{match: ["INCRBY", "*7{b}"], do: {ask: "c"}}] |
		.c.rules = [{match: ["INCRBY", "*7{b}"], asking: true, do: "serve"}]'
	seq -f 'lot%.0f{b}' 1000 >"$SHC_DIR/names"
	run asks ingest "$SHC_DIR/names"
	expect_status 0
	local asked
	asked=$(node_count b 'INCRBY *7{b} 1')
	expect_at_least "$asked" 50
	expect "$(node_count c ASKING)" "$asked"
	expect "$(nodes_log 'select(.node == "c" and .asking) | .words[1]' | LC_ALL=C sort)" \
		"$(nodes_log 'select(.node == "b" and .rule == 0) | .words[1]' | LC_ALL=C sort)"
	expect "$(nodes_log 'select(.node == "c" and .asking) | .rule' | sort -u)" 0
}

@test "ASK, then TRYAGAIN: the master is asked again" {
	script '.b.rules = [{match: ["INCRBY"], do: {ask: "c"}}] |
		.c.rules = [{match: ["INCRBY"], asking: true, to: 2, do: {line: "-TRYAGAIN Multiple keys request during rehashing of slot"}}]'
	run asks incr 'try{b}' 4
	expect_status 0
	expect "$output" 4
	expect "$(node_count b 'INCRBY *')" 3
	expect "$(node_requests c)" "$(printf 'ASKING\nINCRBY try{b} 4\n%.0s' 1 2 3)"
}

@test "ASK with nobody at the address: the master is asked again, until the deadline" {
	script '.d = {listen: false} | .b.rules = [{match: ["INCRBY"], to: 2, do: {ask: "d"}}]'
	run asks incr 'nobody{b}'
	expect_status 0
	expect "$output" 1
	expect "$(node_count b 'INCRBY *')" 3
	change_nodes '.nodes.b.rules = [{match: ["INCRBY"], do: {ask: "d"}}]'
	clear_nodes_log
	run gives_up incr 'nobody{b}'
	expect_status 69
	expect_at_most "$(node_count b 'INCRBY *')" 15
}

# ---- refused, and surely not executed ----

refusals=("TRYAGAIN Multiple keys request during rehashing of slot" "CLUSTERDOWN The cluster is down" "CLUSTERDOWN Hash slot not served"
	"LOADING Redis is loading the dataset in memory" "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
	"READONLY You can't write against a read only replica." "NOREPLICAS Not enough good replicas to write."
	"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE." "ERR max number of clients reached")

# A rule a refusal, for the name PREFIX and its number.
refusal_rules() { # PREFIX MORE-OF-THE-RULE
	printf '%s\n' "${refusals[@]}" | jq -Rn --arg prefix "$1" "[inputs] | to_entries |
		map({match: [\"INCRBY\", \"\(\$prefix)\(.key){b}\"], do: {line: \"-\(.value)\"}} + $2)"
}

@test "what a node refuses without executing it is sent again until it succeeds" {
	script ".b.rules = $(refusal_rules again '{to: 2}')"
	local i
	for i in "${!refusals[@]}"; do
		run asks incr "again$i{b}" 3
		expect_status 0
		expect "$output" 3
		expect "$(node_count b "INCRBY again$i{b} 3")" 3
	done
}

# A request may be on its way when the time is over, and be in doubt: then again.
ever_refused() { # NUMBER: prints what was said the last time; the number of times is in $SHC_DIR/times.NUMBER
	local times said status=75
	for ((times = 1; status == 75 && times <= 5; times++)); do
		said=$(gives_up --timeout 1s incr "ever$1{b}" 2>&1) && status=0 || status=$?
		echo "$times" >"$SHC_DIR/times.$1"
	done
	echo "$said"
	return "$status"
}

@test "what is refused until the deadline exits 69 with the last reply, and is asked ever more seldom" {
	script ".b.rules = $(refusal_rules ever '{}')"
	local i pids=()
	for i in "${!refusals[@]}"; do
		ever_refused "$i" >"$SHC_DIR/ever$i" &
		pids+=($!)
	done
	for i in "${!refusals[@]}"; do
		wait "${pids[$i]}" && status=0 || status=$?
		output=$(cat "$SHC_DIR/ever$i")
		expect_status 69
		expect_contains "$output" "${refusals[$i]}"
		expect_contains "$output" "within 1000 ms"
		expect_at_least "$(node_count b "INCRBY ever$i{b} 1")" 2
		# Pauses double from 5 ms on, and are at least half of that.
		expect_at_most "$(node_count b "INCRBY ever$i{b} 1")" $((11 * $(cat "$SHC_DIR/times.$i")))
	done
}

@test "a node that has no room for another client is asked again, and left alone in between" {
	script '.b.rules = [{match: ["@connect"], to: 3, do: [{line: "-ERR max number of clients reached"}, "close"]}]'
	run asks incr 'room{b}'
	expect_status 0
	expect "$(node_count b 'INCRBY *')" 1
	expect "$(connects b)" 4
	change_nodes '.nodes.b.rules[0].to = null'
	clear_nodes_log
	run gives_up incr 'room{b}'
	expect_status 69
	expect_contains "$output" "max number of clients"
	expect "$(node_count b 'INCRBY *')" 0
	expect_at_most "$(connects b)" 8
}

# ---- lost connections ----

@test "a plain addition whose answer is lost was sent once, and exits 75" {
	local step
	for step in '"close"' '"reset"' '[{raw: ":"}, "close"]' '[{raw: ":5\r"}, "reset"]' '{raw: "what\r\n"}' '{raw: "*3\r\n"}'; do
		script ".b.rules = [{match: [\"INCRBY\"], do: $step}]"
		run gives_up incr 'lost{b}'
		expect_status 75
		expect_contains "$output" "may or may not"
		expect "$(count_everywhere 'INCRBY *')" 1
	done
}

@test "a read whose answer is lost is asked again" {
	local step
	# shellcheck disable=SC2016 # lengths in RESP
	for step in '"close"' '"reset"' '[{raw: "$1\r\n"}, "close"]' '{raw: "what\r\n"}' '[{raw: "$-1\r\n"}, "reset"]'; do
		script ".b.rules = [{match: [\"GET\"], to: 2, do: $step}, {match: [\"GET\"], do: {bulk: \"42\"}}]"
		run asks get 'read{b}'
		expect_status 0
		[ "$output" = 42 ] || [[ "$step" == *'-1'* && "$output" = 0 ]]
	done
}

@test "an addition that never reached a node is sent when it can be reached" {
	script '.b.listen = false'
	asks incr 'refused{b}' >"$SHC_DIR/refused" 2>&1 &
	# The first for the map, the others because somebody cannot be reached.
	questions() { [ "$(node_count a 'CLUSTER SLOTS')" -ge 2 ]; }
	wait_until questions
	change_nodes '.nodes.b.listen = true'
	wait $!
	expect "$(cat "$SHC_DIR/refused")" 1
	expect "$(node_count b 'INCRBY *')" 1
}

@test "a connection that is closed in its greeting has carried nothing: sent again, once" {
	script '.b.rules = [{match: ["AUTH"], to: 3, do: "close"}] |
		.c.rules = [{match: ["AUTH"], nth: 1, do: "reset"}]'
	SHCOUNT_AUTH=secret run asks incr 'greeting{b}'
	expect_status 0
	expect "$output" 1
	expect "$(node_count b 'AUTH secret')" 4
	expect "$(node_count b 'INCRBY *')" 1
	SHCOUNT_AUTH=secret run asks incr 'greeting{c}'
	expect_status 0
	expect "$(node_count c 'INCRBY *')" 1
	[[ "$(nodes_log '.words // [] | join(" ")' | grep -c secret)" -ge 6 ]]
}

@test "--once is sent again with the same token when its answer is lost" {
	local step
	# shellcheck disable=SC2016 # lengths in RESP
	for step in '"close"' '"reset"' '[{raw: "*2\r\n$1\r\n"}, "close"]' '{raw: "what\r\n"}'; do
		script ".b.rules = [{match: [\"EVALSHA\"], to: 2, do: $step}, {match: [\"EVALSHA\"], do: {array: [{bulk: \"7\"}, {int: 1}]}}]"
		run asks incr --once token 'once{b}' 7
		expect_status 0
		expect "$output" 7
		expect "$(node_requests b | grep -c EVALSHA)" 3
		expect "$(node_requests b | grep EVALSHA | sort -u | wc -l)" 1
		expect_contains "$(node_requests b)" "EVALSHA $(sha_of once) 2 once{b} shc:{b}:once:5:token:once{b} 7"
	done
	script '.b.rules = [{match: ["EVALSHA"], do: "close"}]'
	run gives_up incr --once token 'once{b}'
	expect_status 75
	expect_at_most "$(node_count b 'EVALSHA *')" 15
}

@test "the scripts of a stream are sent again as they were when an answer is lost" {
	script "(.a, .b, .c).rules = $(stream_rules '"close"')"
	printf '%s\n' 's{a}' 's{b}' 's{c}' 's{b}' >"$SHC_DIR/lines"
	run asks ingest --stream "id{c}" "$SHC_DIR/lines"
	expect_status 0
	local name
	for name in stream_open stream_put stream_through; do
		expect_at_least "$(node_requests c | grep -ac "EVALSHA $(sha_of $name)")" 2
		expect "$(node_requests c | grep -a "EVALSHA $(sha_of $name)" | sort -u | wc -l)" 1
	done
	for name in a b c; do
		expect_at_least "$(node_requests "$name" | grep -ac "EVALSHA $(sha_of apply)")" 2
		expect "$(node_requests "$name" | grep -a "EVALSHA $(sha_of apply)" | sort -u | wc -l)" 1
	done
	expect "$(count_everywhere 'INCRBY *')" 0
}

# ---- silence ----

@test "a node that takes an addition and says nothing: 75 at the deadline, sent once" {
	script '.b.rules = [{match: ["INCRBY"], do: "hang"}]'
	run gives_up incr 'hang{b}'
	expect_status 75
	expect_contains "$output" "within 400 ms"
	expect "$(count_everywhere 'INCRBY *')" 1
	script '.b.rules = [{match: ["INCRBY"], do: [{delay: 600}, "serve"]}]'
	run gives_up incr 'hang{b}'
	expect_status 75
	expect "$(count_everywhere 'INCRBY *')" 1
}

@test "an answer that comes too late is nobody else's" {
	# The second reading's comes when it has been given up.
	script '.b.rules = [{match: ["GET"], nth: 1, do: {bulk: "1"}}, {match: ["GET"], nth: 1, do: [{delay: 250}, {bulk: "2"}]},
		{match: ["GET", "late{b}"], do: {bulk: "3"}}]'
	run gives_up watch --count 20 --interval 30ms 'late{b}'
	expect_status 0
	expect "$(cut -f2 <<<"$output" | paste -sd' ')" "1 3"
	expect "$(connects b)" 2
}

@test "a silent node does not hold up the others" {
	script '.b.rules = [{match: ["INCRBY"], do: "hang"}]'
	local name others
	for name in a b c; do seq -f "others%.0f{$name}" 300; done >"$SHC_DIR/names"
	run gives_up ingest "$SHC_DIR/names"
	expect_status 75
	others=$(($(node_count a 'INCRBY *') + $(node_count c 'INCRBY *')))
	expect "$others" 600
	expect_contains "$output" ": 600 are acknowledged, 300 are in doubt"
	expect "$(node_count b 'INCRBY *')" 300
}

@test "a silent node does not hold up the question for the map" {
	# What c had is with a; b, silent, would be the next to be asked.
	script '.a.slots = [[5461, 16383]] | .c.slots = [] | .c.rules = [{match: ["INCRBY"], do: {line: "-CLUSTERDOWN The cluster is down"}}] |
		.a.rules = [{match: ["CLUSTER"], nth: 1, do: {slots: {a: [[10923, 16383]], b: [[0, 5460]], c: [[5461, 10922]]}}}] |
		.b.rules = [{match: ["INCRBY"], do: "hang"}]'
	printf '%s\n' 'map{b}' 'map{c}' >"$SHC_DIR/names"
	run timeout 20 "$SHCOUNT" -c "$(node_address a)" --timeout 2s ingest "$SHC_DIR/names"
	expect_status 75
	expect_contains "$output" "1 is acknowledged, 1 is in doubt"
	expect "$(node_requests a | grep INCRBY)" "INCRBY map{c} 1"
}

@test "a silent node that is asked by a read is given up early, and another tells who serves the slot" {
	script "$B_HAS_MOVED"' | .b.rules = [{match: ["*"], do: "hang"}] | .c.rules = [{match: ["GET"], do: {bulk: "8"}}]'
	run asks --timeout 2s get 'silent{b}'
	expect_status 0
	expect "$output" 8
	script '.b.rules = [{match: ["*GET"], do: "hang"}]'
	run gives_up get 'silent{b}'
	expect_status 69
	expect_at_most "$(node_count b 'GET *')" 4
}

@test "the time between two calls is not held against a node" {
	script '.b.rules = [{match: ["GET"], nth: 2, do: {moved: "b"}}]'
	# The question for the map that this makes is answered between two readings.
	run gives_up watch --count 4 --interval 300ms 'between{b}'
	expect_status 0
	expect "$(connects a) $(connects b) $(connects c)" "1 1 $(connects c)"
	expect_at_most "$(connects c)" 1
}

@test "a node that fails again and again is left alone for ever longer" {
	local step
	for step in '"close"' '"reset"' '{raw: "HTTP/1.1 400 Bad Request\r\n\r\n"}'; do
		script ".b.rules = [{match: [\"@connect\"], do: $step}]"
		run gives_up incr 'alone{b}'
		[ "$status" -eq 69 ] || [ "$status" -eq 75 ]
		expect "$(count_everywhere 'INCRBY *')" 0
		expect_at_least "$(connects b)" 2
		expect_at_most "$(connects b)" 8
		expect_at_most "$(count_everywhere 'CLUSTER SLOTS')" 15
	done
}

# ---- faults by lot ----

@test "no plain addition is sent again that a node could have executed, whatever happens" {
	local seed count=60
	for seed in 1 2 "${CLUSTER_NODES_SEED:-3}"; do
		respec_nodes < <(node_mix spec "$seed" $count <<<"{\"nodes\": $LAYOUT}")
		clear_nodes_log
		# shellcheck disable=SC2016 # for the shell that xargs runs
		node_mix names $count |
			xargs -P 8 -I% bash -c '
				output=$("$0" -c "$1" --timeout 300ms incr % 2>&1) && status=0 || status=$?
				echo "% $status ${output//$'"'\n'"'/ }"' "$SHCOUNT" "$NODES" >"$SHC_DIR/ends" 3>&- 4>&-
		expect "$(wc -l <"$SHC_DIR/ends")" $count
		run node_mix verify "$NODES_DIR/log.jsonl" "$NODES_DIR/spec.json" "$SHC_DIR/ends"
		echo "seed $seed: $output"
		expect_status 0
	done
}
