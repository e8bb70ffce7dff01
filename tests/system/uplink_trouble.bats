#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# As uplink.bats: a daemon with an uplink whose cluster is down, in part, or keeps it out; that has many names; that is stopped,
# or given other settings.

load servers

setup_file() {
	start_servers secure
}

teardown_file() {
	stop_servers
}

@test "without the cluster SHC.GLOBAL is the last total that was heard of, with its age, and what must ask it says UPLINKDOWN" {
	drive uplink totals_while_down
}

@test "a server that may evict keys is told of in status and log, until it is mended" {
	drive uplink eviction
}

@test "SYNC waits for as many replicas as are wanted, and who wants too many holds up nobody else" {
	drive uplink sync_replicas
}

@test "SYNC with nothing to push and nobody there waits without spinning, and does not speak of what was lost" {
	drive uplink sync_of_nothing
}

@test "a server that comes back without what it had is noticed, whatever goes on" {
	drive uplink_life server_restarts
}

@test "STATUS is a map, in RESP2 and RESP3, also during trouble, and tells of it" {
	drive uplink status_of_trouble
}

@test "VERIFY has each name once, while the table grows, whatever bytes it is of" {
	drive uplink verify_pages
}

@test "RETIRE refuses its own id, knows ids of nobody, is through thousands of ledgers at once, and lets nobody come back" {
	drive uplink_operators retirement
}

@test "a start with many counters finds the one that is wrong, and VERIFY need not wait long for that" {
	drive uplink_life many_at_start
}

@test "names that come and go while the cluster is down" {
	drive uplink_life changing_names
}

@test "a part of the cluster is gone: the others get what is theirs, VERIFY and SYNC say so" {
	drive uplink_life one_master_down
}

@test "SIGTERM brings the last changes there; without the cluster it ends all the same" {
	drive uplink_life stops
}

@test "SIGTERM with one of three masters gone brings the others what is theirs" {
	drive uplink_life stops_without_one_master
}

@test "SIGTERM in the middle of RETIRE ends it, and who asked is told" {
	drive uplink_operators stops_while_retiring
}

@test "SIGHUP takes another uplink-interval at once, and tells of no password" {
	drive uplink_life interval_is_reloaded
}

@test "what cannot be an uplink is refused at the start" {
	drive uplink_life bad_settings
}

@test "a slot that is half moved holds up its names, and nobody else" {
	drive uplink_life half_moved_slot
}

@test "users with less than all permissions, TLS: what is missing is told" {
	drive uplink_refused without_permission
}
