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

@test "a reset takes the total to 0 and notes what it took" {
	everywhere reset
}

@test "a reset is exact for every total and what was retired, or changes nothing" {
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
