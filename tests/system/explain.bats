#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# shcount explain and SHC.EXPLAIN: what is known about one counter, and that it is true.

# shellcheck disable=SC2154 # stderr is set by run
bats_require_minimum_version 1.5.0
load common

setup() {
	need_daemon
	new_place
}

teardown() {
	if is_standin; then return; fi
	stop_daemon
	remove_place
}

# What is known about a counter now, in both forms: it takes a quarter of a second.
look() { # NAME
	shcount explain --json "$1" >"$SHC_DIR/json" &
	local json=$!
	shcount explain "$1" >"$SHC_DIR/lines"
	wait $json
}

# What was told: the value of a label, what a jq filter gives.
told() {
	sed -n "s/^$1	//p" "$SHC_DIR/lines"
}

told_json() {
	jq -c "$1" "$SHC_DIR/json"
}

@test "what is not on disk yet is told, with its epoch, and what is there" {
	start_daemon --commit-interval 1h
	shcount incr x 5
	look x
	expect "$(told value)" 5
	expect_contains "$(told 'on disk')" "not all of it yet: last changed in epoch"
	expect_contains "$(told 'on disk')" "(3600 s)"
	expect "$(told_json '[.stored, .stored_value, .changed_epoch > .durable_epoch]')" "[false,null,true]"
	shcount sync
	# What changes another one changes nothing here.
	shcount incr y
	look x
	expect "$(told 'on disk')" 5
	expect "$(told_json '[.stored, .stored_value, .changed_epoch <= .durable_epoch]')" "[true,5,true]"
	shcount del x
	look x
	expect_contains "$(told 'on disk')" "it is still there"
	shcount sync
	look x
	expect "$(told 'on disk')" "the same"
}

@test "with durability commit it is on disk when it is told" {
	start_daemon --durability commit
	shcount incr x 5
	look x
	expect "$(told 'on disk')" 5
	expect "$(told_json '[.stored_value, .changed_epoch <= .durable_epoch]')" "[5,true]"
	# In one write with a change, it is executed before that is on disk, and its reply is held.
	local said
	said=$(/usr/bin/python3 - "$SHC_SOCK" <<-'END'
		import socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.connect(sys.argv[1])
		s.sendall(b"INCR x\r\nSHC.EXPLAIN x\r\nQUIT\r\n")
		words = s.makefile().read().split()
		value = {k: words[words.index(k) + 1] for k in ("value", "stored", "changed_epoch", "durable_epoch")}
		print(value["value"], value["stored"], value["changed_epoch"] == value["durable_epoch"])
	END
	)
	expect "$said" ":6 :1 True"
}

@test "when it expires is told, and nothing where it does not" {
	start_daemon
	local ms
	while read -r ms wait; do
		shcount set --ttl "$ms" x 5
		look x
		[[ "$(told expires)" =~ ^in\ $wait,\ at\ [0-9]{4,}-[0-9-]{5}\ [0-9:]{8}\ [+-][0-9]{4}$ ]] || { told expires; false; }
		expect "$(told_json .expire_at_ms)" "$(redis-cli -s "$SHC_SOCK" PEXPIRETIME x)"
	done <<-'END'
		20s 19\.[0-9]{3}s
		5m 4m5[0-9]s
		3h 2h59m
		366d 365d23h
	END
	shcount set x 5
	look x
	expect "$(told expires)" ""
	expect "$(told_json .expire_at_ms)" null
	shcount set --ttl 1ms x 5
	wait_until is_missing x
	look x
	expect "$(told expires)" ""
	expect "$(told_json .expire_at_ms)" null
	# So late that no calendar has it.
	shcount set --ttl 1000000000d x 5
	look x
	expect_contains "$(told expires)" "in 999999999d23h"
}

is_missing() { # NAME
	[ -z "$(redis-cli -s "$SHC_SOCK" GET "$1")" ]
}

@test "base and cells are told, and make the value" {
	start_daemon --workers 3 --cells always
	shcount incr x 2
	shcount incr -q x 5
	look x
	expect "$(told base)" 2
	expect "$(told cells | tr ' ' '\n' | sort | tr '\n' ' ')" "0 0 5 "
	expect "$(told_json '[.value, .base + (.cells | add), (.cells | length)]')" "[7,7,3]"
	expect_contains "$(told contention)" "each of 3 workers"
}

@test "a counter without cells has none, and after a restart it was last changed before" {
	start_daemon --workers 1
	shcount set x -4
	look x
	expect "$(told cells)" none
	expect "$(told base)" -4
	expect "$(told contention)" "none seen"
	expect_contains "$(told 'last changed')" "in epoch"
	stop_daemon
	start_daemon
	look x
	expect "$(told 'last changed')" "before the daemon started"
	expect "$(told 'on disk')" -4
	expect "$(told_json '[.changed_epoch, .stored_value]')" "[0,-4]"
}

@test "a counter that was never touched reads 0 and is marked, with --strict it is a no" {
	start_daemon
	look never
	expect_contains "$(told value)" "0 (no such counter"
	expect "$(told_json '[.value, .missing, .rate]')" "[0,true,null]"
	run --separate-stderr shcount explain --strict never
	expect_status 1
	expect "$output" ""
	expect_contains "$stderr" "never: no such counter"
	expect "$(shcount list)" ""
	run shcount explain $'a\tb'
	expect_status 64
}

@test "the rate is what comes in while it looks" {
	start_daemon
	shcount explain --json busy >"$SHC_DIR/json" &
	local explain=$!
	while kill -0 $explain 2>/dev/null; do shcount incr -q busy; done
	expect "$(told_json '.rate > 0 and .rate_seconds >= 0.25')" true
	shcount set idle 5
	look idle
	expect "$(told rate | cut -d' ' -f1-3)" "0.0 a second"
}

@test "the slot is that of a Redis Cluster" {
	start_daemon
	look '{user1000}.following'
	expect "$(told slot)" "3443 (in a Redis Cluster)"
	expect "$(told_json .slot)" 3443
}

@test "of a server that is no shcounterd the value is known, and that it is none" {
	command -v redis-server >/dev/null || skip "no redis-server"
	SHCOUNTERD=redis-server start_daemon
	shcount set x 5
	look x
	expect "$(told value)" 5
	expect "$(told cells)$(told base)$(told 'on disk')" ""
	expect_contains "$(told note)" "it is no shcounterd"
	expect "$(told_json '[.value, .explained, .slot]')" "[5,false,16287]"
	run shcount explain --strict never
	expect_status 1
	shcount -q ping && redis-cli -s "$SHC_SOCK" lpush list a >/dev/null
	run shcount explain list
	expect_status 1
	expect_contains "$output" WRONGTYPE
}
