#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What shcount makes of what a daemon with an uplink answers; the daemon is a scripted server. Above all: what is told when the
# cluster is out of reach, when a page fails in the middle, and when it is not known whether a change is there.

# shellcheck disable=SC2154 # stderr is set by run, SHC_DIR by common
# shellcheck disable=SC2016 # single quotes keep what is meant for jq, and RESP
bats_require_minimum_version 1.5.0
load fleet

HELLO='{match: ["HELLO"], do: {array: [{bulk: "server"}, {bulk: "shcounterd"}, {bulk: "mode"}, {bulk: "standalone"}]}}'
# Functions of jq for answers.
ANSWERS='def texts: {array: map({bulk: .})};
	def row($name; $local; $total; $why): {array: [{bulk: $name}, {int: $local}, {int: 0}, {int: $local},
		(if $total == null then {null: true} else {int: $total} end), {int: (($total // 0) - $local)}, {bulk: $why}]};
	def page($next; $rows): {array: [{bulk: $next}, {array: $rows}]};'

setup_file() {
	new_place
	export NODES_DIR=$SHC_DIR/nodes
	start_nodes <<<'{"nodes": {"d": {"slots": [[0, 16383]]}}}'
}

teardown_file() {
	stop_nodes
	remove_place
}

# A daemon that answers by these rules, and an empty log.
daemon() { # RULE,RULE... of jq
	respec_nodes <<<"$(jq -nc "$ANSWERS"' {nodes: {d: {slots: [[0, 16383]], rules: ['"$HELLO, $1"']}}}')"
	clear_nodes_log
}

# A Redis server, which speaks of slots to whoever asks.
redis() {
	respec_nodes <<<"$(jq -nc '{nodes: {d: {slots: [[0, 16383]], rules: ['"${HELLO/shcounterd/redis}"']}}}')"
	clear_nodes_log
}

# What does not last until the time limit ends long before it.
asks() { # WORD...
	shcount -u "redis://$(node_address d)" --timeout 5s "$@"
}

requests() {
	node_requests d | grep -v HELLO | paste -sd';'
}

# ---- get --global ----

TOTALS='{match: ["SHC.GLOBAL", "a"], do: {array: [{int: 5}, {int: 12}]}},
	{match: ["SHC.GLOBAL", "old"], do: {array: [{int: -7}, {int: 61250}]}},
	{match: ["SHC.GLOBAL", "older"], do: {array: [{int: 1}, {int: 3600000}]}},
	{match: ["SHC.GLOBAL", "none"], do: {array: [{null: true}, {int: 5000}]}},
	{match: ["SHC.GLOBAL", "list"], do: {line: "-WRONGTYPE Operation against a key holding the wrong kind of value"}}'

@test "get --global prints totals as get prints values, and --json their age" {
	daemon "$TOTALS"
	run --separate-stderr asks get --global a
	expect "$status $output $stderr" "0 5 "
	run --separate-stderr asks get --global a none
	expect "$status $output $stderr" $'0 a\t5\nnone\t0 '
	expect "$(asks get --global --json a none)" '{"name":"a","value":5,"age_ms":12}
{"name":"none","value":0,"age_ms":5000,"missing":true}'
	expect "$(asks -q get --global a)" ""
	expect "$(requests | tr -d '\n')" "SHC.GLOBAL a;SHC.GLOBAL a;SHC.GLOBAL none;SHC.GLOBAL a;SHC.GLOBAL none;SHC.GLOBAL a"
}

@test "get --global --strict leaves out what the cluster does not have, and says no" {
	daemon "$TOTALS"
	run --separate-stderr asks get --global --strict none a
	expect_status 1
	expect "$output" $'a\t5'
	expect_contains "$stderr" "none: no such counter"
}

@test "a total that is older than 5 s is printed, and how old the oldest is" {
	daemon "$TOTALS"
	run --separate-stderr asks get --global old
	expect "$status $output" "0 -7"
	expect_contains "$stderr" "this total is 61.2 s old: the daemon has not reached its cluster"
	run --separate-stderr asks get --global old a older none
	expect_status 0
	expect "$(wc -l <<<"$stderr")" 1
	expect_contains "$stderr" "the oldest of these totals is 3600.0 s old"
	# A complaint is one with -q, too.
	run --separate-stderr asks -q get --global old
	expect_contains "$stderr" "61.2 s old"
}

@test "a counter that the cluster refuses does not hold up the others, a daemon without uplink is told once" {
	daemon "$TOTALS"
	run --separate-stderr asks get --global list a
	expect_status 1
	expect "$output" $'a\t5'
	expect_contains "$stderr" "list: WRONGTYPE"
	daemon '{match: ["SHC.GLOBAL"], do: {line: "-ERR no uplink: set uplink = redis+cluster://HOST:PORT in the configuration"}}'
	run --separate-stderr asks get --global a b c
	expect "$status $output" "1 "
	expect "$stderr" "shcount: ERR no uplink: set uplink = redis+cluster://HOST:PORT in the configuration"
	daemon '{match: ["SHC.GLOBAL"], do: {line: "-ERR unknown command '"'SHC.GLOBAL'"'"}}'
	run --separate-stderr asks get --global a b
	expect "$status $output $(wc -l <<<"$stderr")" "1  1"
}

@test "get --global asks for many before it has an answer, and not for all" {
	daemon '{match: ["SHC.GLOBAL"], do: "hang"}'
	run asks --timeout 1s get --global a b c
	expect_status 69
	expect "$(requests)" "SHC.GLOBAL a;SHC.GLOBAL b;SHC.GLOBAL c"
	clear_nodes_log
	# shellcheck disable=SC2046 # words
	run asks --timeout 1s get --global $(seq 1000)
	expect_status 69
	expect "$(node_count d 'SHC.GLOBAL *')" 256
}

@test "1,000 totals come in the order of the names; of those that are refused each is told, and the others are printed" {
	local names
	daemon '{match: ["SHC.GLOBAL", "*7"], do: {line: "-WRONGTYPE no counter"}}, {match: ["SHC.GLOBAL", "*8"], do: {array: [{null: true}, {int: 0}]}},
		{match: ["SHC.GLOBAL"], do: {array: [{int: 5}, {int: 12}]}}'
	mapfile -t names < <(seq 1000 | shuf)
	run --separate-stderr asks get --global "${names[@]}"
	expect_status 1
	expect "$output" "$(printf '%s\n' "${names[@]}" | awk '!/7$/ { print $0 "\t" (/8$/ ? 0 : 5) }')"
	expect "$stderr" "$(printf '%s\n' "${names[@]}" | awk '/7$/ { print "shcount: " $0 ": WRONGTYPE no counter" }')"
	expect "$(requests)" "$(printf 'SHC.GLOBAL %s\n' "${names[@]}" | paste -sd';')"
}

@test "UPLINKDOWN is a server that is not there: 69, behind what was printed" {
	daemon "$TOTALS"', {match: ["SHC.*"], do: {line: "-UPLINKDOWN no node of the cluster answers"}}'
	run --separate-stderr asks get --global a new a
	expect_status 69
	expect "$output" $'a\t5'
	expect_contains "$stderr" "UPLINKDOWN no node"
	for words in "uplink reset a" "uplink retire 0123456789abcdef" "uplink verify"; do
		# shellcheck disable=SC2086 # words
		run --separate-stderr asks $words
		expect "$status $output" "69 "
		expect_contains "$stderr" "UPLINKDOWN no node"
		[[ "$stderr" != *"not all"* ]]
	done
}

@test "an answer that is no total ends with 69" {
	local answer
	for answer in '{int: 5}' '{array: []}' '{array: [{int: 5}]}' '{array: [{bulk: "5"}, {int: 0}]}' '{line: "+OK"}' '"close"'; do
		daemon "{match: [\"SHC.GLOBAL\"], do: $answer}"
		run --separate-stderr asks get --global a
		expect "$status $output" "69 "
	done
}

@test "in Redis the counter is the total: get --global is get" {
	redis
	asks incr plain 4
	expect "$(asks get --global plain)" 4
	expect "$(asks get --global --json plain)" '{"name":"plain","value":4}'
	expect "$(shcount -c "$(node_address d)" get --global plain)" 4
	expect "$(node_count d 'SHC.*')" 0
	run asks get --global 'shc:x'
	expect_status 64
}

# ---- sync --uplink ----

@test "sync --uplink asks for the cluster, with replicas when it is told so" {
	daemon '{match: ["SHC.UPLINK", "SYNC"], do: {int: 1}}'
	expect "$(asks sync --uplink)" ""
	expect "$(asks sync --uplink --replicas 2 --json)" '{"synced":true}'
	expect "$(asks -q --json sync --uplink --timeout 1m)" ""
	expect "$(requests)" "SHC.UPLINK SYNC 0 4500;SHC.UPLINK SYNC 2 4500;SHC.UPLINK SYNC 0 54000"
	local words
	for words in "--replicas 1" "--uplink --replicas -1" "--uplink --replicas x" "--uplink --replicas 2147483648" "--uplink extra"; do
		# shellcheck disable=SC2086 # words
		run asks sync $words
		expect_status 64
	done
	expect "$(node_count d 'SHC.*')" 3
}

@test "sync --uplink that the cluster did not reach in time is in doubt, without an uplink a no" {
	daemon '{match: ["SHC.UPLINK", "SYNC", "0"], do: {int: 0}}, {match: ["SHC.UPLINK", "SYNC", "1"], do: "close"},
		{match: ["SHC.UPLINK"], do: {line: "-ERR no uplink: set uplink = x"}}'
	run --separate-stderr asks sync --uplink
	expect "$status $output" "75 "
	expect_contains "$stderr" "not in the cluster within 5000 ms; it may still get there"
	run asks sync --uplink --replicas 1
	expect_status 75
	run asks sync --uplink --replicas 2
	expect_status 1
	expect_contains "$output" "no uplink"
}

# ---- incr --durable=cluster ----

UPLINK='{match: ["CONFIG", "GET", "uplink"], do: {array: [{bulk: "uplink"}, {bulk: "redis+cluster://h:1"}]}}'
ONCE='{match: ["SHC.ONCE"], do: {array: [{int: 9}, {int: 1}]}}'

@test "--durable=cluster adds, waits for the cluster, and prints the value" {
	daemon "$UPLINK, $ONCE"', {match: ["SHC.UPLINK", "SYNC"], do: {int: 1}}, {match: ["SHC.ADD"], do: {line: "+OK"}}'
	run --separate-stderr asks incr --durable=cluster wait 3
	expect "$status $output $stderr" "0 3 "
	expect "$(asks decr --durable=cluster wait)" 2
	expect "$(asks incr -q --durable=cluster wait)" ""
	expect "$(asks incr --durable=cluster --once t a --json)" '{"name":"a","value":9,"applied":true}'
	expect "$(requests)" "CONFIG GET uplink;INCRBY wait 3;SHC.UPLINK SYNC 0 4500 wait;CONFIG GET uplink;INCRBY wait -1;SHC.UPLINK SYNC 0 4500 wait;CONFIG GET uplink;SHC.ADD wait 1;SHC.UPLINK SYNC 0 4500 wait;CONFIG GET uplink;SHC.ONCE t a 1;SHC.UPLINK SYNC 0 4500 a"
	run asks incr --durable=clusters a
	expect_status 64
	expect_contains "$output" "disk or cluster is expected"
	run asks incr --durable= a
	expect_status 64
	expect_contains "$output" "--durable needs a value: disk|cluster"
}

@test "--durable=cluster that does not get there in time is counted, and in doubt" {
	local answer
	for answer in '{int: 0}' '"close"' '{line: "-UPLINKDOWN no node answers"}' '{line: "-ERR no uplink: gone"}'; do
		daemon "$UPLINK, $ONCE, {match: [\"SHC.UPLINK\", \"SYNC\"], do: $answer}"
		run --separate-stderr asks incr --durable=cluster n 3
		expect_status 75
		expect_contains "$stderr" "counted, but not known to be in the cluster"
		[[ $output =~ ^[0-9]+$ ]]
		run --separate-stderr asks incr --durable=cluster --once t n
		expect "$status $output" "75 9"
		run --separate-stderr asks incr -q --durable=cluster --max 1000 n
		expect "$status $output" "1 " # the scripted server has no SHC.INCR
	done
}

@test "--durable=cluster without an uplink counts nothing" {
	local answer
	for answer in '{array: []}' '{array: [{bulk: "uplink"}, {bulk: ""}]}' '{line: "-ERR no"}'; do
		daemon "{match: [\"CONFIG\"], do: $answer}, $ONCE"
		for words in "incr a" "incr -q a" "decr a --once t"; do
			# shellcheck disable=SC2086 # words
			run --separate-stderr asks $words --durable=cluster
			expect "$status $output" "1 "
			[[ "$answer" == '{line'* ]] || expect_contains "$stderr" "has no uplink in its configuration; nothing was counted"
		done
		expect "$(requests)" "CONFIG GET uplink;CONFIG GET uplink;CONFIG GET uplink"
	done
}

@test "on a cluster --durable=cluster is what the cluster answers, and one Redis server refuses it" {
	redis
	expect "$(shcount -c "$(node_address d)" incr --durable=cluster there 3)" 3
	expect "$(node_count d 'WAIT *') $(node_count d 'SHC.*')" "0 0"
	run asks incr --durable=cluster there
	expect_status 64
	expect_contains "$output" "nothing was counted"
	expect "$(asks get there)" 3
}

# ---- uplink status ----

STATUS='["uplink", "redis+cluster://h:1", "state", "up", "incarnation", "1234567890123456", "start", "0123456789abcdef", "restored", "0",
	"names", "12", "due", "3", "lag_ms", "250", "synced_epoch", "41", "durable_epoch", "44", "pushes", "1007", "repairs", "2", "refused", "0",
	"last_error", "", "sweeps", "5", "later", "more"]'
NODES_OF_STATUS='{bulk: "nodes"}, {array: [(["h:1", "0", "900", "0", ""] | texts), (["h:2", "250", "107", "2", "timed out"] | texts)]}'

@test "uplink status prints a line for each fact, then a table of nodes" {
	daemon "{match: [\"SHC.UPLINK\", \"STATUS\"], do: {array: (($STATUS | map({bulk: .})) + [$NODES_OF_STATUS])}}"
	run --separate-stderr asks uplink status
	expect "$status $stderr" "0 "
	expect "$output" "$(printf '%s\t%s\n' cluster redis+cluster://h:1 state up incarnation 1234567890123456 start 0123456789abcdef \
		counters 12 'not there yet' 3 'lag, ms' 250 'epoch in the cluster' 41 'epoch on disk' 44 pushes 1007 repairs 2 \
		'refused counters' 0 sweeps 5 && printf '%s\t%s\t%s\t%s\t%s\n' node 'lag, ms' pushes repairs 'last error' h:1 0 900 0 - \
		h:2 250 107 2 'timed out')"
	expect "$(asks -q uplink status)" ""
}

@test "a node is a map, too" {
	local node='{raw: "*2\r\n$5\r\nnodes\r\n*1\r\n%3\r\n$10\r\nlast_error\r\n$4\r\ngone\r\n$4\r\nname\r\n$3\r\nh:1\r\n$6\r\nlag_ms\r\n$1\r\n7\r\n"}'
	daemon "{match: [\"SHC.UPLINK\", \"STATUS\"], do: $node}"
	expect "$(asks uplink status | tail -n 1)" $'h:1\t7\t-\t-\tgone'
	expect "$(asks uplink status --json | jq -c .nodes)" '[{"name":"h:1","lag_ms":7,"last_error":"gone"}]'
}

@test "uplink status --json is one object, in which an incarnation of digits is text" {
	daemon "{match: [\"SHC.UPLINK\", \"STATUS\"], do: {array: (($STATUS | map({bulk: .})) + [$NODES_OF_STATUS])}}"
	asks uplink status --json >"$SHC_DIR/json"
	expect "$(wc -l <"$SHC_DIR/json")" 1
	expect "$(jq -c '[.uplink, .state, .incarnation, .restored, .due, .lag_ms, .last_error, .later]' "$SHC_DIR/json")" \
		'["redis+cluster://h:1","up","1234567890123456",false,3,250,"","more"]'
	expect "$(jq -c '.nodes' "$SHC_DIR/json")" \
		'[{"name":"h:1","lag_ms":0,"pushes":900,"repairs":0,"last_error":""},{"name":"h:2","lag_ms":250,"pushes":107,"repairs":2,"last_error":"timed out"}]'
	expect "$(asks -q --json uplink status)" ""
}

@test "a map of RESP3 is the same status, and a restored state is told" {
	daemon '{match: ["SHC.UPLINK", "STATUS"], do: {raw: "%3\r\n$5\r\nstate\r\n$4\r\ndown\r\n$8\r\nrestored\r\n$1\r\n1\r\n$5\r\nnodes\r\n*0\r\n"}}'
	expect "$(asks uplink status)" $'state\tdown\nrestored\tsessions and tokens are refused until `shcount uplink accept`'
	expect "$(asks uplink status --json)" '{"state":"down","restored":true,"nodes":[]}'
}

@test "a status that makes no sense, or is refused, is not printed" {
	local answer
	for answer in '{line: "+OK"}' '{array: []}' '{array: [{bulk: "state"}]}' '{array: [{int: 1}, {bulk: "up"}]}' \
		'{array: [{bulk: "nodes"}, {bulk: "none"}]}' '{array: [{bulk: "nodes"}, {array: [{bulk: "h:1"}]}]}' \
		'{array: [{bulk: "nodes"}, {array: [{array: [{bulk: "h:1"}]}]}]}'; do
		daemon "{match: [\"SHC.UPLINK\"], do: $answer}"
		run --separate-stderr asks uplink status
		expect "$status $output" "69 "
		expect_contains "$stderr" "makes no sense"
	done
	daemon '{match: ["SHC.UPLINK"], do: {line: "-ERR no uplink: set uplink = x"}}'
	run --separate-stderr asks uplink status
	expect "$status $output" "1 "
	daemon '{match: ["SHC.UPLINK"], do: {line: "-NOPERM no"}}'
	run asks uplink status
	expect_status 77
}

# ---- uplink verify ----

CLEAN='{match: ["SHC.UPLINK", "VERIFY", "0"], do: page("k2"; [row("a"; 5; 8; ""), row("b c"; -3; -3; "")])},
	{match: ["SHC.UPLINK", "VERIFY", "k2"], do: page("k3"; [])},
	{match: ["SHC.UPLINK", "VERIFY", "k3"], do: page("0"; [row("d"; 0; null; "")])}'
DIRTY='{match: ["SHC.UPLINK", "VERIFY", "0"], do: page("k2"; [row("a"; 5; 8; ""), row("b"; 3; 1; "the field is of an older epoch")])},
	{match: ["SHC.UPLINK", "VERIFY", "k2"], do: page("0"; [row("c"; 1; null; "not there")])}'

@test "uplink verify prints a line a counter over all pages, and 0 when all is right" {
	daemon "$CLEAN"
	run --separate-stderr asks uplink verify
	expect_status 0
	expect "$output" $'a\t5\t5\t8\t3\nb c\t-3\t-3\t-3\t0\nd\t0\t0\t-\t0'
	expect "$stderr" "shcount: 3 counters, 0 differences"
	expect "$(requests)" "SHC.UPLINK VERIFY 0;SHC.UPLINK VERIFY k2;SHC.UPLINK VERIFY k3"
	run --separate-stderr asks -q uplink verify
	expect "$status $output $stderr" "0  "
}

@test "uplink verify says no when a counter differs, and why" {
	daemon "$DIRTY"
	run --separate-stderr asks uplink verify
	expect_status 1
	expect "$output" $'a\t5\t5\t8\t3\nb\t3\t3\t1\t-2\tthe field is of an older epoch\nc\t1\t1\t-\t-1\tnot there'
	expect "$stderr" "shcount: 3 counters, 2 differences"
	run --separate-stderr asks -q uplink verify
	expect "$status $output $stderr" "1  "
	run --separate-stderr asks uplink verify --json
	expect_status 1
	expect "$output" '{"name":"a","local":5,"baseline":0,"ledger":5,"total":8,"foreign":3}
{"name":"b","local":3,"baseline":0,"ledger":3,"total":1,"foreign":-2,"differs":"the field is of an older epoch"}
{"name":"c","local":1,"baseline":0,"ledger":1,"total":null,"foreign":-1,"differs":"not there"}'
}

@test "uplink verify --repair asks for it on every page, and one that gets no answer is in doubt" {
	daemon "$DIRTY"
	run --separate-stderr asks uplink verify --repair
	expect_status 1
	expect_contains "$stderr" "3 counters, 2 differences are left"
	expect "$(requests)" "SHC.UPLINK VERIFY 0 REPAIR;SHC.UPLINK VERIFY k2 REPAIR"
	daemon '{match: ["SHC.UPLINK", "VERIFY", "k2"], do: "close"}, '"$DIRTY"
	run --separate-stderr asks uplink verify --repair
	expect_status 75
	expect_contains "$stderr" "this is not all"
	local words
	for words in "status --repair" "accept --repair" "verify x" "verify --repair x"; do
		# shellcheck disable=SC2086 # words
		run asks uplink $words
		expect_status 64
	done
}

@test "a page that fails ends it, and what was printed is not taken for all" {
	local answer status_wanted
	while read -r status_wanted answer; do
		daemon "{match: [\"SHC.UPLINK\", \"VERIFY\", \"k2\"], do: $answer}, $DIRTY"
		run --separate-stderr asks uplink verify
		expect_status "$status_wanted"
		expect "$(wc -l <<<"$output")" 2
		expect_contains "$stderr" "this is not all: nothing is known behind 2 counters"
		[[ "$stderr" != *differences* ]]
	done <<-'END'
		69 {line: "-UPLINKDOWN no node answers"}
		1 {line: "-ERR the table has changed"}
		69 "close"
		69 {line: "+OK"}
		69 page("k2"; [row("c"; 1; 1; "")])
		69 page(""; [])
		69 {array: [{int: 0}, {array: []}]}
		69 {array: [{bulk: "0"}, {array: [{array: [{bulk: "c"}]}]}]}
		69 {array: [{bulk: "0"}, {array: [{array: [{bulk: "c"}, {null: true}, {int: 0}, {int: 0}, {int: 0}, {int: 0}, {bulk: ""}]}]}]}
	END
}

@test "a server that hung up between two pages is not asked on" {
	# The answer arrives whole, and behind it the end.
	daemon '{match: ["SHC.UPLINK", "VERIFY", "0"], do: [page("k2"; [row("a"; 1; 1; "")]), "close"]},
		{match: ["SHC.UPLINK", "VERIFY", "k2"], do: page("0"; [])}'
	run --separate-stderr asks uplink verify
	expect_status 69
	expect_contains "$stderr" "this is not all"
}

@test "names and reasons are harmless on a terminal, and as they are in a pipe" {
	daemon '{match: ["SHC.UPLINK", "VERIFY"], do: {array: [{bulk: "0"}, {array: [row("a\u001b[31m"; 1; 1; "\u001b]0;x")]}]}}'
	run script -qec "'$SHCOUNT' -u redis://$(node_address d) uplink verify 2>/dev/null" /dev/null </dev/null
	expect "$output" $'a\\033[31m\t1\t1\t1\t0\t\\033]0;x\r'
	run --separate-stderr asks uplink verify
	expect "$output" $'a\e[31m\t1\t1\t1\t0\t\e]0;x'
}

# ---- what an operator may do ----

@test "uplink reset prints the total before, retire the number of ledgers, accept nothing" {
	daemon '{match: ["SHC.UPLINK", "RESET"], do: {int: -42}}, {match: ["SHC.UPLINK", "RETIRE"], do: {int: 7}}, {match: ["SHC.UPLINK", "ACCEPT"], do: {line: "+OK"}}'
	expect "$(asks uplink reset 'a b')" -42
	expect "$(asks uplink reset --json a)" '{"name":"a","total_before":-42}'
	expect "$(asks uplink retire 0123456789ABCDEF)" 7
	expect "$(asks uplink --json retire 0123456789abcdef)" '{"incarnation":"0123456789abcdef","ledgers":7}'
	expect "$(asks uplink accept)" ""
	expect "$(asks uplink accept --json)" '{"accepted":true}'
	expect "$(asks -q uplink reset a)$(asks -q --json uplink retire 0123456789abcdef)$(asks -q --json uplink accept)" ""
	expect "$(requests | cut -d';' -f1,3,5)" "SHC.UPLINK RESET a b;SHC.UPLINK RETIRE 0123456789abcdef;SHC.UPLINK ACCEPT"
}

@test "an incarnation that was in no ledger is a digit that is wrong, likely: uplink retire says so" {
	daemon '{match: ["SHC.UPLINK", "RETIRE"], do: {int: 0}}'
	run --separate-stderr asks uplink retire 0123456789ABCDEF
	expect_status 0
	expect "$output" 0
	expect "$stderr" "shcount: no ledger had anything of 0123456789abcdef: it was never there, or is retired already"
	run --separate-stderr asks --json uplink retire 0123456789abcdef
	expect "$output" '{"incarnation":"0123456789abcdef","ledgers":0}'
	expect_contains "$stderr" "never there"
	daemon '{match: ["SHC.UPLINK", "RETIRE"], do: {int: 1}}'
	run --separate-stderr asks uplink retire 0123456789abcdef
	expect "$output$stderr" 1
}

@test "what an operator wanted is in doubt without an answer, and a no when it is refused" {
	daemon '{match: ["SHC.UPLINK", "RESET"], do: "close"}, {match: ["SHC.UPLINK", "RETIRE"], do: {line: "-ERR this is our own"}},
		{match: ["SHC.UPLINK", "ACCEPT"], do: "close"}'
	run asks uplink reset a
	expect_status 75
	run asks uplink accept
	expect_status 75
	run asks uplink retire 0123456789abcdef
	expect_status 1
	expect_contains "$output" "ERR this is our own"
	daemon '{match: ["SHC.UPLINK"], do: {line: "-UPLINKDOUBT no answer; the total may have been reset"}}'
	run asks uplink reset a
	expect_status 75
	expect_contains "$output" "may have been reset"
}

@test "uplink with words that make no sense sends nothing" {
	daemon '{match: ["SHC.UPLINK"], do: {int: 1}}'
	local words
	for words in "stats" "reset" "retire" "retire 0123456789abcde" "retire 0123456789abcdef0" "retire 0123456789abcdeg" "accept x" "status x" \
		"reset a b" ""; do
		# shellcheck disable=SC2086 # words
		run asks uplink $words
		expect_status 64
	done
	run asks uplink reset $'a\tb'
	expect_status 64
	run asks uplink stats
	expect_contains "$output" "did you mean status?"
	expect "$(requests)" ""
}

@test "a cluster and a Redis server have no uplink: a daemon is to be asked" {
	redis
	local words
	for words in "uplink status" "uplink verify" "uplink accept" "sync --uplink"; do
		# shellcheck disable=SC2086 # words
		run shcount -c "$(node_address d)" $words
		expect_status 64
		expect_contains "$output" "is not for a Redis Cluster, but for a shcounterd (-s, -u)"
		# shellcheck disable=SC2086 # words
		run asks $words
		expect_status 64
		expect_contains "$output" "is for a shcounterd"
	done
	expect "$(node_count d 'SHC.*')" 0
}

# ---- explain ----

EXPLAIN='{bulk: "value"}, {int: 5}, {bulk: "exists"}, {int: 1}'

@test "explain tells the total in the cluster and its age, where there is an uplink" {
	local total lines json
	while IFS='|' read -r total lines json; do
		daemon "{match: [\"GET\"], do: {bulk: \"5\"}}, {match: [\"SHC.EXPLAIN\"], do: {array: [$EXPLAIN, $total]}}"
		expect "$(asks explain x | sed -n 's/^cluster	//p')" "$lines"
		expect "$(asks explain --json x | jq -c '[.value, .global, .global_age_ms]')" "$json"
	done <<-'END'
		{bulk: "global"}, {bulk: "1234"}, {bulk: "global_age_ms"}, {int: 1050}|1234 (all daemons together, 1.050 s ago)|[5,1234,1050]
		{bulk: "global"}, {bulk: ""}, {bulk: "global_age_ms"}, {int: 7}|no such counter (all daemons together, 0.007 s ago)|[5,null,7]
		{bulk: "base"}, {int: 5}||[5,null,null]
	END
	asks explain --json x | jq -e 'has("global") | not'
}
