#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What the tests of the uplink stand on: a proxy before the nodes of a Redis Cluster that breaks requests as its plan says, and
# a model of the push protocol that is exact through it. No daemon. The cases: py/uplink_instruments.py.

load fleet

setup_file() {
	new_place
	start_fleet --node-timeout 500
	export SHCOUNT SHCOUNTERD SHC_IO
	start_proxy
}

teardown_file() {
	stop_proxy
	stop_fleet
	remove_place
}

@test "clients, and replicas, are led through the proxy, also behind a failover" {
	drive_on_fleet uplink_instruments leads
}

@test "a reply is lost when its request was executed" {
	drive_on_fleet uplink_instruments lost
}

@test "of a pipeline, what is before a lost reply comes, what is behind it is executed" {
	drive_on_fleet uplink_instruments lost_in_the_middle
}

@test "a script is executed twice, the second time later, and its second reply is nobody's" {
	drive_on_fleet uplink_instruments doubled
}

@test "a reply comes late, and in order" {
	drive_on_fleet uplink_instruments delayed
}

@test "a request is held back until the client has given up" {
	drive_on_fleet uplink_instruments held
}

@test "connections are refused for a while, but not the replica's" {
	drive_on_fleet uplink_instruments refused
}

@test "a master that no node reaches serves clients while its replica takes over" {
	drive_on_fleet uplink_instruments isolated
}

@test "a seed draws the same faults again" {
	drive_on_fleet uplink_instruments seeded
}

@test "what is doubled in a slot that is half moved reaches its new owner" {
	drive_on_fleet uplink_instruments half_moved
}

@test "ten thousand requests go through in order, and a long one" {
	drive_on_fleet uplink_instruments many
}

@test "under all of it, and failovers that lose writes, the model of the push protocol is exact, INCRBY with retry is not" {
	drive_on_fleet uplink_instruments compare
}

@test "a fleet of daemons with the model in place of their uplink is exact: the driver of uplink_fleet.bats knows what was counted" {
	SHC_UPLINK=model drive_on_fleet uplink_fleet mixed
}
