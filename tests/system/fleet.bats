#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What the tests on Redis Clusters stand on: tests/cluster breaks real ones as it says, scripted nodes do as they are
# told. Everything is looked at with redis-cli only.

load fleet

# shellcheck disable=SC2154 # set by what is loaded
program=$fleet_program

# All at once: most of a start is waiting.
setup_file() {
	new_place
	export FLEET_DIR SECURE_DIR=$SHC_DIR/secure
	FLEET_DIR=$SECURE_DIR start_fleet --masters 1 --replicas 1 --tls --auth --hostnames >"$SHC_DIR/secure.out" 2>&1 &
	FLEET_DIR=$SHC_DIR/fleet start_fleet --node-timeout 1000
	FLEET_DIR=$SHC_DIR/fleet
	wait $!
}

teardown_file() {
	FLEET_DIR=$SECURE_DIR stop_fleet
	stop_fleet
	remove_place
}

teardown() {
	[ -z "${NODES_DIR:-}" ] || stop_nodes
}

# -c follows redirections.
cluster_cli() {
	redis-cli -c -p "$(fleet_port "${FLEET_ASKED:-1}")" "$@"
}

secure_cli() { # CA USER WORD...
	REDISCLI_AUTH=secret redis-cli -c --tls --cacert "$SECURE_DIR/tls/$1.crt" -h localhost -p "$(FLEET_DIR=$SECURE_DIR fleet_port 1)" \
		--user "$2" "${@:3}" 2>&1
}

@test "a cluster is ready when start returns: masters own all slots, replicas are in step" {
	expect "$(tr , '\n' <<<"$FLEET" | wc -l)" 6
	local n
	for n in 1 2 3; do
		expect "$(fleet cli $n ROLE | head -n 1)" master
		expect "$(fleet cli $((n + 3)) ROLE | sed -n '1p;3p;4p' | paste -sd' ')" "slave $(fleet_port $n) connected"
		expect "$(fleet cli $n WAIT 1 5000)" 1
	done
	expect "$(cluster_cli SET ready 1)" OK
}

@test "owner is who serves a key without sending elsewhere" {
	local key owner
	for key in a "{x y}z" "ä"; do
		cluster_cli SET "$key" 1
		owner=$(fleet owner "$key")
		expect "$(fleet cli "$owner" GET "$key")" 1
		expect "$(fleet owner -s "$(fleet slot "$key")")" "$owner"
		expect_contains "$(fleet cli "$(fleet_other_master "$owner")" GET "$key")" MOVED
	done
}

@test "sum reads every integer, whatever the name is, and no other value" {
	fleet reset
	# shellcheck disable=SC1003,SC2016 # what looks like quoting and expansion is part of the names
	local names=('a b' '{x}' 'q"\' '\"' $'\xff\xc3' 'ä' "'" '}{' '$(x)' '*' '\x41') name n=0
	for name in "${names[@]}"; do cluster_cli SET "$name" $((n++ - 3)) >/dev/null; done
	cluster_cli SET big -9223372036854775808
	cluster_cli SET text "5 6"
	cluster_cli SET empty ""
	cluster_cli HSET hash f 5
	n=0
	expect "$(fleet sum)" "$(for name in "${names[@]}"; do printf '%s\t%d\n' "$name" $((n++ - 3)); done |
		{ cat && printf 'big\t-9223372036854775808\n'; } | LC_ALL=C sort)"
}

@test "a slot moves with its keys, back and forth, and everybody knows" {
	fleet reset
	local from to slot n before
	from=$(fleet owner x) to=$(fleet_other_master "$(fleet owner x)") slot=$(fleet slot x)
	for n in {1..25}; do echo "SET \"key $n {x}\" $n"; done | fleet cli "$from" >/dev/null
	before=$(fleet sum)
	fleet move "$slot" "$from" "$to"
	expect "$(fleet owner x)" "$to"
	expect "$(fleet cli "$to" GET "key 25 {x}")" 25
	expect "$(fleet cli "$to" CLUSTER COUNTKEYSINSLOT "$slot")" 25
	expect_contains "$(fleet cli "$from" GET "key 1 {x}")" "MOVED $slot 127.0.0.1:$(fleet_port "$to")"
	fleet wait
	expect "$(fleet sum)" "$before"
	fleet move "$slot" "$to" "$from"
	expect "$(fleet owner x)" "$from"
	expect "$(fleet sum)" "$before"
}

@test "a slot that is half moved answers ASK and TRYAGAIN, sum counts both halves, finish ends it" {
	fleet reset
	local from to slot before
	from=$(fleet owner h) to=$(fleet_other_master "$(fleet owner h)") slot=$(fleet slot h)
	fleet cli "$from" MSET '1{h}' 1 '2{h}' 2 '3{h}' 3
	before=$(fleet sum)
	fleet half "$slot" "$from" "$to" '2{h}'
	expect "$(fleet cli "$from" GET '1{h}')" 1
	expect_contains "$(fleet cli "$from" GET '2{h}')" "ASK $slot 127.0.0.1:$(fleet_port "$to")"
	expect_contains "$(fleet cli "$from" INCR 'new{h}')" "ASK $slot "
	expect_contains "$(fleet cli "$from" MGET '1{h}' '2{h}')" TRYAGAIN
	expect_contains "$(fleet cli "$to" GET '2{h}')" "MOVED $slot 127.0.0.1:$(fleet_port "$from")"
	expect "$(printf 'ASKING\nGET 2{h}\n' | fleet cli "$to" | tail -n 1)" 2
	expect_contains "$(printf 'ASKING\nMGET 1{h} 2{h}\n' | fleet cli "$to")" TRYAGAIN
	expect "$(FLEET_ASKED=$from cluster_cli GET '2{h}')" 2
	expect "$(fleet sum)" "$before"
	fleet finish "$slot" "$from" "$to"
	expect "$(fleet owner h)" "$to"
	expect "$(fleet cli "$to" MGET '1{h}' '2{h}' '3{h}' | paste -sd' ')" "1 2 3"
	# Without names: the first half.
	fleet half "$slot" "$to" "$from"
	expect_contains "$(fleet cli "$to" GET '2{h}')" ASK
	expect "$(fleet cli "$to" GET '3{h}')" 3
	fleet reset
	expect "$(fleet sum)" ""
	expect "$(fleet cli "$to" CLUSTER NODES | grep -c '\[')" 0
	fleet wait
}

@test "a frozen node answers nothing and is not killed by that" {
	local owner
	owner=$(fleet owner p)
	fleet pause "$owner"
	run timeout 0.3 redis-cli -p "$(fleet_port "$owner")" PING
	expect_status 124
	fleet resume "$owner"
	expect "$(fleet cli "$owner" PING)" PONG
	fleet wait
}

@test "a killed master is replaced, and comes back as a replica of the one that replaced it" {
	local before after
	fleet reset
	cluster_cli SET k 7
	before=$(fleet owner k)
	expect "$(fleet cli "$before" WAIT 1 5000)" 1
	kill_master_of k
	expect "$FLEET_KILLED" "$before"
	run fleet kill "$before"
	expect_status 1
	promoted k
	after=$(fleet owner k)
	[ "$after" -ne "$before" ]
	expect "$(fleet cli "$after" GET k)" 7
	fleet revive "$before"
	fleet wait
	expect "$(fleet cli "$before" ROLE | sed -n '1p;3p;4p' | paste -sd' ')" "slave $(fleet_port "$after") connected"
	expect "$(fleet_replica_of "$after")" "$before"
	expect "$(fleet cli "$after" WAIT 1 5000)" 1
}

# The last of those on this cluster: it leaves it broken.
@test "a cluster that lost a master and its replica is down, whoever is asked" {
	local owner replica
	owner=$(fleet owner k) replica=$(fleet_replica_of "$(fleet owner k)")
	run is_fleet_down
	expect_status 1
	fleet kill "$replica"
	fleet kill "$owner"
	wait_until is_fleet_down
	expect_contains "$(fleet cli "$(fleet_other_master "$owner")" GET k)" CLUSTERDOWN
	run fleet owner k
	expect_status 1
	export READY_SECONDS_MAX=1
	run fleet wait
	expect_status 1
	expect_contains "$output" "not well within 1 s"
}

@test "TLS: the private CA is believed, another is not, and nothing is served in plain text" {
	expect "$(secure_cli ca counter SET tls 5)" OK
	expect_contains "$(secure_cli stranger counter GET tls)" "certificate verify failed"
	run redis-cli -h localhost -p "$(FLEET_DIR=$SECURE_DIR fleet_port 1)" PING
	[[ "$output" != *PONG* ]]
	run openssl verify -CAfile "$SECURE_DIR/tls/ca.crt" -verify_hostname localhost -verify_ip 127.0.0.1 "$SECURE_DIR/tls/server.crt"
	expect_status 0
	run openssl verify -CAfile "$SECURE_DIR/tls/ca.crt" -verify_hostname example.org "$SECURE_DIR/tls/server.crt"
	[ "$status" -ne 0 ]
}

@test "users may do what their names say" {
	expect "$(secure_cli ca counter INCRBY '{narrow:u}' 5)" 5
	expect "$(secure_cli ca counter EVAL 'return redis.call("GET", KEYS[1])' 1 '{narrow:u}')" 5
	expect_contains "$(secure_cli ca counter FLUSHALL)" NOPERM
	expect "$(secure_cli ca noscript INCRBY '{narrow:u}' 1)" 6
	expect_contains "$(secure_cli ca noscript EVAL 'return 1' 0)" NOPERM
	expect "$(secure_cli ca reader GET '{narrow:u}')" 6
	expect_contains "$(secure_cli ca reader INCRBY '{narrow:u}' 1)" NOPERM
	expect "$(secure_cli ca narrow INCRBY 'narrow:u' 1)" 1
	expect_contains "$(secure_cli ca narrow GET '{narrow:u}')" NOPERM
	expect_contains "$(REDISCLI_AUTH=wrong redis-cli --tls --cacert "$SECURE_DIR/tls/ca.crt" \
		-p "$(FLEET_DIR=$SECURE_DIR fleet_port 1)" --user counter GET x 2>&1)" WRONGPASS
	expect_contains "$(redis-cli --tls --cacert "$SECURE_DIR/tls/ca.crt" -p "$(FLEET_DIR=$SECURE_DIR fleet_port 1)" GET x)" NOAUTH
}

@test "nodes go by their host names where they were told to" {
	expect "$(secure_cli ca counter CLUSTER SLOTS | sed -n '1,4p' | paste -sd' ')" \
		"0 16383 localhost $(FLEET_DIR=$SECURE_DIR fleet_port 1)"
	expect "$(FLEET_DIR=$SECURE_DIR fleet sum | grep -c .)" 3
}

@test "a server that is no cluster serves as one of tests/cluster too" {
	local FLEET_DIR=$SHC_DIR/plain FLEET
	start_fleet --plain
	expect "$(redis-cli -p "${FLEET#*:}" INCRBY x 5)" 5
	expect_contains "$(fleet cli 1 CLUSTER SLOTS)" "cluster support disabled"
	expect "$(fleet sum)" "$(printf 'x\t5')"
	stop_fleet
	[ ! -e "$FLEET_DIR" ]
}

is_no_process() { # PID
	! kill -0 "$1" 2>/dev/null
}

@test "a cluster ends with the process it was made for, with its keeper, with its directory" {
	local pid sleeper
	tail -f /dev/null 3>&- 4>&- &
	sleeper=$!
	"$program" start "$SHC_DIR/orphan" --while $sleeper --plain
	"$program" start "$SHC_DIR/lost" --plain --while $$
	"$program" start "$SHC_DIR/gone" --plain --while $$
	pid=$(awk '{ print $3 }' "$SHC_DIR/orphan/nodes")
	kill -0 "$pid"
	"$program" pause "$SHC_DIR/orphan" 1
	kill $sleeper
	wait_until test ! -e "$SHC_DIR/orphan"
	is_no_process "$pid"
	pid=$(awk '{ print $3 }' "$SHC_DIR/lost/nodes")
	kill -0 "$pid"
	kill -KILL "$(cat "$SHC_DIR/lost/keeper")"
	wait_until is_no_process "$pid"
	"$program" stop "$SHC_DIR/lost"
	[ ! -e "$SHC_DIR/lost" ]
	pid=$(awk '{ print $3 }' "$SHC_DIR/gone/nodes")
	rm -rf "$SHC_DIR/gone"
	wait_until is_no_process "$pid"
}

# Ports are drawn; whoever draws one that is taken draws again.
@test "a port that is taken by somebody else is no failure" {
	local n ports=()
	export SHC_CLUSTER_FIRST_BLOCK=341
	"$program" start "$SHC_DIR/first" --plain --while $$
	read -r _ "ports[0]" _ <"$SHC_DIR/first/nodes"
	# Its lock is gone, as if another program had the port.
	rm -f /tmp/shc-cluster-ports."$UID".341
	"$program" start "$SHC_DIR/next" --plain --while $$
	read -r _ "ports[1]" _ <"$SHC_DIR/next/nodes"
	[ "${ports[0]}" -ne "${ports[1]}" ]
	for n in first next; do "$program" stop "$SHC_DIR/$n"; done
}

# ---- scripted nodes ----

node_cli() { # NAME WORD...
	timeout 5 redis-cli -c -p "$(node_port "$1")" "${@:2}" 2>&1
}

@test "scripted nodes redirect, and log what they were asked: MOVED, ASK with ASKING directly before" {
	start_nodes <<-'EOS'
		{"nodes": {
			"a": {"slots": [[0, 8191]], "rules": [
				{"match": ["INCRBY", "moved*"], "do": {"moved": "b"}},
				{"match": ["INCRBY", "asked*"], "do": {"ask": "b"}}]},
			"b": {"slots": [[8192, 16383]], "rules": [
				{"match": ["INCRBY", "asked*"], "asking": false, "do": {"moved": "a"}}]},
			"c": {"replica_of": "b", "host": "c.example"}}}
	EOS
	expect "$NODES" "$(node_address a),$(node_address b),$(node_address c)"
	expect "$(node_cli a CLUSTER SLOTS | paste -sd' ' | tr -s ' ')" "$(
		printf '0 8191 127.0.0.1 %s %s  8192 16383 127.0.0.1 %s %s  c.example %s %s' \
			"$(node_port a)" "$(printf a | sha1sum | cut -d' ' -f1)" "$(node_port b)" "$(printf b | sha1sum | cut -d' ' -f1)" \
			"$(node_port c)" "$(printf c | sha1sum | cut -d' ' -f1)" | tr -s ' ') "
	expect "$(node_cli a INCRBY moved 5)" 5
	expect "$(node_cli a INCRBY asked 6)" 6
	expect "$(node_requests a)" $'CLUSTER SLOTS\nINCRBY moved 5\nINCRBY asked 6'
	expect "$(node_requests b)" $'INCRBY moved 5\nASKING\nINCRBY asked 6'
	expect "$(nodes_log 'select(.node == "b" and .event == "request") | .asking' | paste -sd' ')" "false false true"
	expect "$(node_count b 'INCRBY*')" 2
	expect "$(node_cli a GET nothing)" ""
}

@test "a rule holds for the time, the connection and the node that it names" {
	start_nodes <<-'EOS'
		{"nodes": {"a": {}, "b": {}},
		 "rules": [
			{"match": ["GET", "x"], "nth": 2, "do": {"line": "-TRYAGAIN later"}},
			{"match": ["get"], "from": 4, "to": 5, "do": {"bulk": "{port:b} {slot}"}},
			{"match": ["PING"], "conn": 2, "do": {"array": [{"int": 1}, {"null": true}, {"bulk": "é"}]}}]}
	EOS
	# What the first rule answered was no time of the second's.
	expect "$(printf 'SET x 1\nGET x\nGET x\nGET x\nGET x\nGET x\nGET x\n' | redis-cli -p "$(node_port a)" | grep . | paste -sd,)" \
		"OK,1,TRYAGAIN later,1,1,$(node_port b) $(fleet slot x),$(node_port b) $(fleet slot x)"
	expect "$(node_cli a PING | paste -sd,)" "1,,é"
	expect "$(node_cli b PING)" PONG
}

@test "a node hangs, closes before it answers, answers half, resets, is slow, refuses" {
	start_nodes <<-'EOS'
		{"nodes": {"a": {"rules": [
			{"match": ["GET", "hang"], "do": "hang"},
			{"match": ["GET", "close"], "do": "close"},
			{"match": ["GET", "late"], "do": [{"delay": 30}, "serve", "close"]},
			{"match": ["GET", "half"], "do": [{"raw": "$5\r\nab"}, "close"]},
			{"match": ["GET", "hex"], "do": {"hex": "24320d0a00ff0d0a"}},
			{"match": ["GET", "reset"], "do": "reset"}]}}}
	EOS
	run timeout 0.3 redis-cli -p "$(node_port a)" GET hang
	expect_status 124
	expect "$(node_count a 'GET hang')" 1
	expect_contains "$(node_cli a GET close)" "Server closed the connection"
	expect_contains "$(node_cli a GET half)" "Server closed the connection"
	expect_contains "$(node_cli a GET reset)" "Connection reset"
	expect "$(node_cli a GET late)" ""
	expect "$(node_cli a GET hex | xxd -p)" 00ff0a
	change_nodes '.nodes.a.listen = false'
	expect_contains "$(node_cli a PING)" "Connection refused"
	change_nodes '.nodes.a.listen = true'
	expect "$(node_cli a PING)" PONG
	change_nodes '.nodes.a.rules = [{"match": ["@connect"], "nth": 1, "do": "close"}]'
	# What was sent before the close makes it a reset.
	[[ "$(node_cli a PING)" =~ "Server closed the connection"|"Connection reset"|"Broken pipe" ]]
	expect "$(node_cli a PING)" PONG
}

@test "a spec that is replaced holds for the next answer, a wrong one is refused by name" {
	start_nodes <<<'{"nodes": {"a": {"slots": [[0, 16383]]}}}'
	expect "$(node_cli a CLUSTER SLOTS | head -n 2 | paste -sd' ')" "0 16383"
	change_nodes '.nodes.a.slots = [[0, 5], [7, 16383]]'
	expect "$(node_cli a CLUSTER SLOTS | head -n 2 | paste -sd' ')" "0 5"
	expect "$(node_count a 'CLUSTER SLOTS')" 2
	run change_nodes '.rules = [{"match": ["X"], "do": "explode"}]'
	expect_status 1
	expect_contains "$output" 'there is no step "explode"'
	run change_nodes '.rules = [{"match": ["X"], "do": {"moved": "z"}}]'
	expect_status 1
	expect_contains "$output" 'there is no node z'
	expect "$(node_cli a CLUSTER SLOTS | head -n 2 | paste -sd' ')" "0 5"
	clear_nodes_log
	expect "$(node_count a '*')" 0
}
