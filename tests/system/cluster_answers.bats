#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What shcount makes of what scripted nodes answer: scripts that they do not know, maps that make no sense, replies of the wrong
# kind or in pieces; many additions at once, and reads from replicas.

load nodes

setup_file() {
	start_three_nodes
}

teardown_file() {
	stop_nodes
	remove_place
}

# ---- scripts, permissions ----

@test "NOSCRIPT: the text follows with the same keys and arguments, and later scripts go by their SHA-1 again" {
	script '.b.rules = [{match: ["EVAL"], do: {array: [{bulk: "9"}, {int: 1}]}}]'
	expect "$(asks incr --once t 'text{b}' 9)" 9
	expect "$(nodes_log 'select(.node == "b" and (.words[0] // "" | startswith("EVAL"))) | .words[0]' | paste -sd' ')" "EVALSHA EVAL"
	expect "$(nodes_log 'select(.node == "b" and (.words[0] // "" | startswith("EVAL"))) | .words[2:] | join(" ")' | sort -u | wc -l)" 1
	expect "$(jq -j 'select(.words[0] == "EVAL") | .words[1]' "$NODES_DIR/log.jsonl" | sha1sum | cut -d' ' -f1)" "$(sha_of once)"
	# Each node does not know each of them once.
	script "(.a, .b, .c).rules = $(stream_rules '{"line": "-NOSCRIPT No matching script. Please use EVAL."}') |
		(.a, .b, .c).rules += [{match: [\"EVAL\", \"*'batch', 'born', 'by')*\"], do: {array: [{bulk: \"0\"}, {bulk: \"\"}, {bulk: \"\"}, {bulk: \"b\"}, {bulk: \"\"}, {int: 0}]}},
			{match: [\"EVAL\"], do: {int: 1}}]"
	seq -f 'text%.0f' 300 >"$SHC_DIR/names"
	run asks ingest --stream "id{c}" "$SHC_DIR/names"
	expect_status 0
	local name
	for name in stream_open stream_through; do
		expect "$(node_count c "EVALSHA $(sha_of $name) *")" 1
	done
	expect "$(nodes_log 'select(.node == "c" and .words[0] == "EVAL") | .words[1] | @json' | grep -vc INCRBY)" 3
	expect_at_least "$(node_count a "EVALSHA $(sha_of apply) *")" 50
	expect "$(node_count a 'EVAL *')" 1
}

@test "a node that does not know the text either is told of, not asked for ever" {
	script '.b.rules = [{match: ["EVAL*"], do: {line: "-NOSCRIPT No matching script. Please use EVAL."}}]'
	run asks incr --once t 'never{b}'
	expect_status 1
	expect_contains "$output" NOSCRIPT
	expect "$(node_count b 'EVAL*')" 2
}

@test "what is not permitted exits 77, and is not asked again" {
	script '.b.rules = [{match: ["INCRBY"], do: {line: "-NOPERM this user has no permissions to run the '"'incrby'"' command"}}] |
		.c.rules = [{match: ["HGET"], do: {line: "-NOPERM this user has no permissions"}}]'
	run asks incr 'perm{b}'
	expect_status 77
	expect_contains "$output" NOPERM
	expect "$(count_everywhere 'INCRBY *')" 1
	run asks incr 'perm{c}'
	expect_status 77
	expect "$(node_count c 'HGET *')" 1
	expect "$(node_count c 'INCRBY *')" 0
}

# ---- the map ----

@test "a map that makes no sense is asked of the next node" {
	local answer
	# shellcheck disable=SC2016 # lengths in RESP
	for answer in '{line: "+OK"}' '{int: 5}' '{null: true}' '{bulk: "x"}' '{array: [{int: 1}]}' '{raw: "*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\nh\r\n:1\r\n"}' \
		'{raw: "*1\r\n*3\r\n:9\r\n:5\r\n*2\r\n$1\r\nh\r\n:1\r\n"}' '{raw: "*1\r\n*3\r\n:-1\r\n:5\r\n*2\r\n$1\r\nh\r\n:1\r\n"}' \
		'{raw: "*1\r\n*3\r\n:0\r\n:5\r\n*2\r\n$1\r\nh\r\n:70000\r\n"}' '{line: "-LOADING Redis is loading"}' '{raw: "%1\r\n"}' '"close"'; do
		script ".a.rules = [{match: [\"CLUSTER\"], do: $answer}]"
		run shcount -c "$(node_address a),$(node_address b)" --timeout 5s incr "next{c}"
		expect_status 0
		[[ "$answer" == '{line'* || "$answer" == *16384* || "$answer" == *close* ]] || continue
		change_nodes ".nodes[].rules = [{match: [\"CLUSTER\"], do: $answer}]"
		clear_nodes_log
		run gives_up incr "next{c}"
		expect_status 69
		expect_contains "$output" "$(node_address a)"
		expect_at_most "$(count_everywhere 'CLUSTER SLOTS')" 12
		expect "$(count_everywhere 'INCRBY *')" 0
	done
}

@test "a set or del that has reached some parts of a counter only is in doubt" {
	local command
	script '(.a, .b, .c).rules = [{match: ["HGET"], do: {bulk: "2 2"}}, {match: ["DEL", "shc:*:2}"], do: {line: "-CLUSTERDOWN down"}}]'
	for command in "set text 5" "del text"; do
		# shellcheck disable=SC2086 # words
		run gives_up $command
		expect_status 75
		expect_contains "$output" "run it again"
	done
	# Nothing is changed yet.
	script '(.a, .b, .c).rules = [{match: ["HGET"], do: {bulk: "2 2"}}, {match: ["SET"], do: {line: "-CLUSTERDOWN down"}}]'
	run gives_up set text 5
	expect_status 69
}

@test "an error instead of a map is told at once" {
	script '.a.rules = [{match: ["CLUSTER"], do: {line: "-ERR not today"}}]'
	run asks incr x
	expect_status 1
	expect_contains "$output" "ERR not today"
	script '.a.rules = [{match: ["CLUSTER"], do: {line: "-ERR This instance has cluster support disabled"}}]'
	run asks incr x
	expect_status 1
	expect_contains "$output" "redis://$(node_address a)"
	script '.a.rules = [{match: ["CLUSTER"], do: {line: "-NOAUTH Authentication required."}}]'
	run asks incr x
	expect_status 77
	expect_contains "$output" SHCOUNT_AUTH
	script '.a.rules = [{match: ["AUTH"], do: {line: "-WRONGPASS invalid username-password pair or user is disabled."}}]'
	SHCOUNT_AUTH=me:secret run asks incr x
	expect_status 77
	expect_contains "$output" WRONGPASS
	[[ "$output" != *secret* ]]
	expect "$(count_everywhere '*')" 1
}

@test "slots that nobody serves are told at the deadline, and others are served" {
	script '.[].slots = []'
	run gives_up incr 'hole{b}'
	expect_status 69
	expect_contains "$output" "slot"
	expect_at_most "$(count_everywhere 'CLUSTER SLOTS')" 12
	script '.b.slots = [[0, 3299], [3301, 5460]]' # {b} is 3300
	expect "$(asks incr 'hole{c}')" 1
	run gives_up incr 'hole{b}'
	expect_status 69
	expect_contains "$output" "slot 3300"
	script '.b.host = "?"'
	run gives_up incr 'hole{b}'
	expect_status 69
	expect "$(asks incr 'hole{a}')" 1
	expect "$(node_count b '*INCRBY*')" 0
}

@test "slots may be spread over thousands of ranges, and nodes go by names" {
	script '.a.slots = [range(0; 16384; 3) | [., .]] | .b.slots = [range(1; 16384; 3) | [., .]] | .c.slots = [range(2; 16384; 3) | [., .]] |
		.[].host = "localhost"'
	seq -f 'range%.0f' 100 >"$SHC_DIR/names"
	run asks ingest "$SHC_DIR/names"
	expect_status 0
	expect "$(count_everywhere 'INCRBY *')" 100
	# {a} is 15495, {b} 3300, {c} 7365.
	expect "$(asks incr 'range{a}' && asks incr 'range{b}' && asks incr 'range{c}')" $'1\n1\n1'
	expect "$(node_requests a | grep -c 'INCRBY range{')" 3
}

@test "a seed that is dead, mute or another kind of server does not matter when there is another" {
	local step seeds
	script '.d = {listen: false} | .e = {rules: [{match: ["*"], do: "hang"}]} | .f = {rules: [{match: ["@connect"], do: "close"}]} |
		.g = {rules: [{match: ["*"], do: {raw: "HTTP/1.1 400 Bad Request\r\n\r\n"}}]} | .h = {rules: [{match: ["@connect"], do: "deaf"}]}'
	for step in d e f g h; do
		run shcount -c "$(node_address $step),$(node_address a)" --timeout 2s get seed
		expect_status 0
	done
	seeds=$(for step in d e f g h a; do node_address $step; done | paste -sd,)
	run shcount -c "$seeds" --timeout 5s get seed
	expect_status 0
	run gives_up -q ping
	expect_status 0
}

@test "a server that is not Redis is told of at the deadline" {
	local step what
	while read -r step what; do
		script ".a.rules = [$step]"
		run gives_up incr x
		expect_status 69
		expect_contains "$output" "$(node_address a): $what"
		expect_at_most "$(connects a)" 8
	done <<-'EOS'
		{match:["CLUSTER"],do:[{raw:"HTTP/1.1\u0020400\r\n\r\n"},"close"]} the answer is not RESP
		{match:["CLUSTER"],do:"hang"} no answer
		{match:["@connect"],do:"close"} the server closed the connection
		{match:["CLUSTER"],do:"close"} the server closed the connection
	EOS
	script '.a.listen = false'
	run asks incr x
	expect_status 69
	expect_contains "$output" "cannot connect to $(node_address a): Connection refused"
}

# ---- replies ----

@test "a reply of a kind that the command does not have is no value" {
	script '.b.rules = [{match: ["INCRBY", "bulk*"], do: {bulk: "5"}}, {match: ["INCRBY", "array*"], do: {array: [{int: 5}]}},
		{match: ["INCRBY", "ok*"], do: {line: "+OK"}}, {match: ["INCRBY", "null*"], do: {null: true}}, {match: ["INCRBY", "big*"], do: {raw: ":9223372036854775808\r\n"}},
		{match: ["INCRBY", "double*"], do: {raw: ",5\r\n"}}, {match: ["INCRBY", "true*"], do: {raw: "#t\r\n"}}]'
	local name
	for name in bulk array ok null big double true; do
		run gives_up incr "$name{b}"
		expect_status 75
		expect "$(node_count b "INCRBY $name{b} 1")" 1
		run gives_up incr -q "$name{b}"
		expect_status 75
		expect "$(node_count b "INCRBY $name{b} 1")" 2
	done
	script '.b.rules = [{match: ["GET", "array*"], do: {array: [{bulk: "5"}]}}, {match: ["GET", "int*"], do: {int: 5}}, {match: ["GET", "text*"], do: {bulk: "5x"}},
		{match: ["GET", "empty*"], do: {bulk: ""}}]'
	for name in array int text empty; do
		run asks get "$name{b}"
		expect_status 1
		[[ "$output" != 5* ]]
	done
	script '.b.rules = [{match: ["EVALSHA"], do: {array: [{bulk: "7"}]}}]'
	run asks incr --once t 'pair{b}'
	expect_status 75
}

@test "an error is told in a few words however long it is" {
	script ".b.rules = [{match: [\"INCRBY\"], do: {line: \"-ERR $(printf 'blah %.0s' {1..4000})\"}}]"
	run asks incr 'long{b}'
	expect_status 1
	expect_contains "$output" "ERR blah blah"
	expect_at_most "${#output}" 1000
	script '.b.rules = [{match: ["INCRBY"], do: {raw: "-ERR \u001b[31mred\r\n"}}]'
	run asks incr 'red{b}'
	expect_status 1
	[[ "$output" != *$'\e'* ]]
}

@test "replies come in single bytes" {
	script '.b.rules = [{match: ["INCRBY"], do: [{raw: ":"}, {delay: 3}, {raw: "4"}, {delay: 3}, {raw: "2"}, {delay: 3}, {raw: "\r"}, {delay: 3}, {raw: "\n"}]},
		{match: ["GET"], do: [{raw: "$"}, {delay: 3}, {raw: "2\r"}, {delay: 3}, {raw: "\n4"}, {delay: 3}, {raw: "3\r"}, {delay: 3}, {raw: "\n"}]}]'
	expect "$(asks incr 'bytes{b}')" 42
	expect "$(asks get 'bytes{b}')" 43
	expect "$(connects b)" 2
}

# ---- many additions ----

@test "the numbers that ingest tells after a lost connection agree with what the nodes have" {
	local name step told acknowledged doubtful executed at_others
	for step in '"close"' '["serve", "reset"]' '{raw: "what\r\n"}'; do
		script "(.a, .c).rules = [{match: [\"INCRBY\"], do: \"serve\"}] | .b.rules = [{match: [\"INCRBY\"], nth: 300, do: $step}]"
		for name in a b c; do seq -f "sum%.0f{$name}" 500; done >"$SHC_DIR/names"
		run asks ingest "$SHC_DIR/names"
		expect_status 75
		told=$(grep -o 'of the [0-9]* names.*' <<<"$output")
		read -r acknowledged doubtful < <(sed -E 's/.*: ([0-9]+) (is|are) acknowledged, ([0-9]+) (is|are) in doubt.*/\1 \3/' <<<"$told")
		expect_contains "$told" "of the 1500 names"
		executed=$(count_everywhere 'INCRBY *')
		at_others=$((executed - $(node_count b 'INCRBY *')))
		[[ "$step" != '"close"' ]] || executed=$((executed - 1))
		echo "$step: $executed executed; $told"
		expect_at_most "$acknowledged" "$executed"
		expect_at_least $((acknowledged + doubtful)) "$executed"
		# The answers to all before that one had come; a reset may take them back.
		[[ "$step" == *reset* ]] || expect_at_least "$acknowledged" $((at_others + 299))
		expect "$(awk '$4 == "INCRBY" { print $5 }' "$NODES_DIR/log.txt" | sort | uniq -d)" ""
	done
}

@test "ingest does not wait for an answer before it sends on, to any node" {
	local node
	script '.[].rules = [{match: ["INCRBY"], do: "hang"}]'
	for node in a b c; do seq -f "pipe%.0f{$node}" 1300; done >"$SHC_DIR/names"
	run asks --timeout 2s ingest "$SHC_DIR/names"
	expect_status 75
	for node in a b c; do
		expect "$(connects $node)" 1
		expect "$(node_count $node 'INCRBY *')" 1300
	done
}

@test "the keys of a request lie in one slot" {
	script "(.a, .b, .c).rules = $(stream_rules null)"
	{ seq -f 'slot%.0f' 300 && seq -f 'slot%.0f{b}' 20 && seq -f 'x%.0f{ö}y{b}' 5 && seq -f '{c}{%.0f}' 20 && printf '%s\n' '{}x' '}{' '{'; } >"$SHC_DIR/names"
	run asks ingest --stream "id" "$SHC_DIR/names"
	expect_status 0
	run node_mix slots "$NODES_DIR/log.jsonl"
	expect_status 0
	expect_at_least "$output" 3
}

# ---- replicas ----

@test "--read replica: READONLY once a connection, reads to the replica, changes to the master" {
	script '.r = {replica_of: "b"}'
	expect "$(asks --read replica incr 'rep{b}')" 1
	expect "$(node_count b 'INCRBY *') $(node_count r 'INCRBY *')" "1 0"
	run asks --read replica watch --count 3 --interval 10ms 'rep{b}'
	expect_status 0
	expect "$(node_count r 'GET *') $(node_count b 'GET *')" "3 0"
	local node
	for node in a b r; do expect "$(node_count $node READONLY)" "$(connects $node)"; done
	expect "$(node_requests r | uniq | head -n 1)" READONLY
	expect "$(asks get 'rep{b}')" 1
	expect "$(node_count b 'GET *')" 1
}

@test "a replica that redirects, refuses, is silent or dead is passed over: the master is asked" {
	local rule
	for rule in '{do: {moved: "b"}}' '{do: {line: "-MASTERDOWN Link with MASTER is down"}}' '{do: {line: "-LOADING Redis is loading"}}' '{do: "close"}' '{do: "hang"}'; do
		script ".r = {replica_of: \"b\", rules: [{match: [\"*GET*\"]} + $rule]}"
		run asks --timeout 1s --read replica get 'over{b}'
		expect_status 0
		expect_at_least "$(node_count r '*GET *')" 1
		expect "$(node_count b 'GET *')" 1
	done
	script '.r = {replica_of: "b", listen: false}'
	run asks --read replica get 'over{b}'
	expect_status 0
	expect "$(node_count b 'GET *')" 1
}
