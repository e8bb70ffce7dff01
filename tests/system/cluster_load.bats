#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# shcount on a real Redis Cluster under load, while slots move and masters are killed or replaced: tokens and streams are exact
# whatever happens, plain additions within the bounds that Redis leaves. The cases, and how it is checked: py/fleet_load.py.
# `make soak` runs this for hours.

load fleet

setup_file() {
	new_place
	start_fleet --node-timeout 500
	export SHCOUNT
}

teardown_file() {
	stop_fleet
	remove_place
}

@test "slots that move all the time: everything is exact, and nothing is in doubt" {
	drive_on_fleet fleet_load moves
}

@test "masters killed and replaced: tokens and streams are exact, plain additions never too many" {
	drive_on_fleet fleet_load kills
}

@test "masters replaced in order: plain additions are within both bounds" {
	drive_on_fleet fleet_load swaps
}

@test "faults drawn by a seed" {
	drive_on_fleet fleet_load mixed
}

