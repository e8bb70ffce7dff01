#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# shcount log: what it prints, and when it says no. Whether the log is right: audit.bats.

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

@test "log prints time, operation, delta, value and who; a counter that is not audited is a no" {
	start_daemon --audit 'a*'
	shcount incr a 5
	shcount decr a 7
	shcount set abc 3
	run --separate-stderr shcount log a
	expect_status 0
	expect "${#lines[@]}" 2
	local tab=$'\t'
	[[ ${lines[0]} =~ ^20[0-9-]{8}T[0-9:]{8}\.[0-9]{6}Z${tab}increment${tab}5${tab}5${tab}uid=$(id -u),pid=[0-9]+$ ]]
	[[ ${lines[1]} =~ ${tab}decrement${tab}-7${tab}-2${tab} ]]
	expect "$(shcount log --limit 1 --json a | jq -c '[.name, .value, .delta, .operation, .log_id]')" '["a",-2,-7,"decrement",2]'
	expect "$(shcount log abc | cut -f 2-4)" $'set\t3\t3'
	run --separate-stderr shcount log b
	expect_status 1
	expect_contains "$stderr" "not audited: set audit ="
	run --separate-stderr shcount log ab
	expect_status 0
	expect "$output" ""
}

@test "what was counted before it was audited is where the log begins" {
	start_daemon
	shcount incr a 5
	stop_daemon
	start_daemon --audit a
	shcount incr a 2
	expect "$(shcount log a | cut -f 2-4)" $'increment\t2\t7'
}

@test "additions within bounds, with an expiry, hits and what a limit allows are additions in the log" {
	start_daemon --audit 'a*'
	shcount incr --ttl 1h a 4
	shcount incr --ttl 1h a 4
	shcount decr --min 0 a 3
	redis-cli -s "$SHC_SOCK" INCREX a BYINT 9 UBOUND 10 SATURATE
	shcount hit a 2
	shcount allow a --limit 5 --per 1m
	expect "$(shcount log a | cut -f 2-4 | tr '\t\n' ' ;')" \
		"increment 4 4;increment 4 8;decrement -3 5;increment 5 10;increment 2 12;increment 1 13;"
}
