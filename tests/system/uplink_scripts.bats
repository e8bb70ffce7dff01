#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The scripts of the uplink on a Redis server and a Redis Cluster: all or nothing, exact to 64 bits, and harmless when they come
# again (py/uplink_scripts.py); what they leave is listed nowhere as a counter.

# shellcheck disable=SC2154 # output, stderr and status are set by run
bats_require_minimum_version 1.5.0
load fleet

setup_file() {
	local pid
	new_place
	export PLAIN_DIR=$SHC_DIR/plain FLEET_DIR=$SHC_DIR/fleet SHCOUNT
	(FLEET_DIR=$PLAIN_DIR start_fleet --plain) >"$SHC_DIR/start.out" 2>&1 &
	pid=$!
	start_fleet --masters 2 --replicas 2 --node-timeout 500
	wait "$pid"
	export PLAIN
	PLAIN=127.0.0.1:$(FLEET_DIR=$PLAIN_DIR fleet_port 1)
	cc -std=c17 -D_GNU_SOURCE -I"$shc_top" -I"$shc_top/lib" -pthread -o "$SHC_DIR/wait_for" "$BATS_TEST_DIRNAME/data/wait_for.c" \
		"$BUILD/libbase.a" -lbsd
}

teardown_file() {
	FLEET_DIR=$PLAIN_DIR stop_fleet
	stop_fleet
	remove_place
}

everywhere() { # CASE
	drive_on_fleet uplink_scripts "$1" "$PLAIN"
	drive_on_fleet uplink_scripts "$1" "$FLEET"
}

@test "a push moves total and field together, for whatever name" {
	everywhere push
}

@test "a push of what is there already looks, and writes nothing" {
	drive_on_fleet uplink_scripts push_looks "$PLAIN"
}

@test "a push that comes twice, or late, changes nothing and is told what there is" {
	everywhere push_again
}

@test "a push that fails has moved neither: overflow, no integer, another type" {
	everywhere push_fails
}

@test "a push is exact from one end of 64 bits to the other" {
	everywhere push_extremes
}

@test "by lot: the total is what all have brought, and others added" {
	drive_on_fleet uplink_scripts push_by_lot "$PLAIN"
}

@test "who may not run one of the commands, or not on the ledger, changes nothing" {
	drive_on_fleet uplink_scripts push_denied "$PLAIN"
}

@test "a server without memory refuses all of it" {
	drive_on_fleet uplink_scripts no_memory "$PLAIN"
}

@test "looking tells total, expiries and all fields, in RESP3 too, and changes nothing" {
	drive_on_fleet uplink_scripts look "$PLAIN"
}

@test "a reset takes the total to 0, and all contributions" {
	everywhere reset
}

@test "a reset is exact for every total" {
	drive_on_fleet uplink_scripts reset_extremes "$PLAIN"
}

@test "a reset of what is no integer changes nothing" {
	everywhere reset_fails
}

@test "retiring moves a field once, exactly, or changes nothing" {
	everywhere retire
}

@test "a record is replaced by who knows what it was" {
	everywhere register
}

@test "a slot on its way: TRYAGAIN, and nothing has changed" {
	drive_on_fleet uplink_scripts half_moved
}

@test "a failover that loses a push loses total and field together" {
	drive_on_fleet uplink_scripts rolled_back
}

# ---- replicas (lib/cluster_wait.c) ----

# Adds to the names, and waits.
waits() { # URL REPLICAS TIMEOUT_MS NAME...
	run timeout 30 "$SHC_DIR/wait_for" "$@"
}

has() { # NODE KEY VALUE
	[ "$(printf 'READONLY\nGET %s\n' "$2" | redis-cli -p "$(fleet_port "$1")" | tail -n 1)" = "$3" ]
}

replicas_of() { # NODE
	local n _ port
	port=$(fleet_port "$1")
	while read -r n _; do
		[ "$(fleet cli "$n" ROLE 2>/dev/null </dev/null | sed -n '1p;3p' | paste -sd' ')" != "slave $port" ] || echo "$n"
	done <"$FLEET_DIR/nodes"
}

names_of_both_masters() {
	fleet wait
	a=a
	for b in b c d e f g; do
		[ "$(fleet owner $a)" = "$(fleet owner $b)" ] || break
	done
	owner=$(fleet owner $a)
	mapfile -t replicas < <(replicas_of "$owner")
	expect "${#replicas[@]}" 2
}

@test "as many replicas as are wanted have the value when the waiting ends well" {
	local a b owner replicas n value
	names_of_both_masters
	for n in 0 1 2; do
		waits "redis+cluster://$FLEET" "$n" 10000 "$a" "$b"
		expect_status 0
	done
	value=$(redis-cli -c -p "$(fleet_port 1)" GET $a)
	has "${replicas[0]}" $a "$value"
	has "${replicas[1]}" $a "$value"
}

@test "more replicas than a master has are waited for until the time is over, and the sentence has its name and number" {
	local a b owner replicas
	names_of_both_masters
	waits "redis+cluster://$FLEET" 3 2000 "$a"
	expect_status 75
	expect "$output" "$(fleet_address "$owner"): 2 of 3 replicas have what was written"
	waits "redis+cluster://$FLEET" 3 2000 "$a" "$b"
	expect_status 75
	expect_contains "$output" ": 2 of 3 replicas have what was written"
}

@test "a replica that hangs is missed when two are wanted, not when one is" {
	local a b owner replicas
	names_of_both_masters
	fleet pause "${replicas[0]}"
	waits "redis+cluster://$FLEET" 1 10000 "$a" "$b"
	expect_status 0
	waits "redis+cluster://$FLEET" 2 2000 "$a" "$b"
	local said=$output ended=$status
	fleet resume "${replicas[0]}"
	expect "$ended" 75
	expect "$said" "$(fleet_address "$owner"): 1 of 2 replicas have what was written"
	waits "redis+cluster://$FLEET" 2 10000 "$a" "$b"
	expect_status 0
}

@test "one server without replicas has none to wait for, but when some are wanted" {
	waits "redis://$PLAIN" 0 10000 single
	expect_status 0
	waits "redis://$PLAIN" 1 2000 single
	expect_status 75
	expect "$output" "$PLAIN: no replica has what was written"
	waits "redis://$PLAIN" 2 2000 single
	expect_status 75
	expect "$output" "$PLAIN: 0 of 2 replicas have what was written"
}

# ---- what others see of it ----

@test "totals are listed, ledgers and records are not, and are no names of counters" {
	local url name
	drive_on_fleet uplink_scripts brought "$FLEET"
	drive_on_fleet uplink_scripts brought "$PLAIN"
	for url in "redis+cluster://$FLEET" "redis://$PLAIN"; do
		expect "$(shcount -u "$url" list 'brought*' | wc -l)" 12
		expect "$(shcount -u "$url" list | grep -c 'shc:')" 0
		expect "$(shcount -u "$url" list 'shc:*')" ""
		expect "$(shcount -u "$url" export | grep -c 'shc:')" 0
		expect "$(shcount -u "$url" list 'brought:{*')" $'brought:{user}\t7'
		for name in "shc:{brought}:ledger:brought" shc:uplink:00112233445566ff; do
			run shcount -u "$url" get "$name"
			expect_status 64
			run shcount -u "$url" incr "$name"
			expect_status 64
		done
	done
}
