#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Many daemons, one exact total: five daemons and direct users on one Redis Cluster, behind a proxy that loses, delays and doubles,
# while masters, slots, daemons and their disks are broken. In the end `uplink verify` is clean on each daemon, and each
# total is what was counted. The cases: py/uplink_fleet.py; what is exact, and how it is known: py/uplink_run.py. And one daemon
# before masters that are only slow: py/uplink_slow.py. `make soak` runs this for hours.

load fleet

setup_file() {
	need_daemon
	new_place
	start_fleet --node-timeout 500
	start_proxy
	export SHCOUNT SHCOUNTERD SHC_IO
}

teardown_file() {
	is_standin || stop_proxy
	is_standin || stop_fleet
	is_standin || remove_place
}

@test "replies are lost and delayed, pushes doubled and late: totals are exact" {
	drive_on_fleet uplink_fleet replies_lost
}

@test "masters are killed, and lost with their last writes: totals are exact" {
	drive_on_fleet uplink_fleet masters_killed
}

@test "an old master lives on behind a partition: totals are exact" {
	drive_on_fleet uplink_fleet partitioned
}

@test "slots move, and stay half moved for a while: totals are exact" {
	drive_on_fleet uplink_fleet slots_moved
}

@test "the whole cluster is frozen, and out of reach: counting goes on, totals are exact" {
	drive_on_fleet uplink_fleet cluster_down
}

@test "daemons are killed and stopped: totals are exact" {
	drive_on_fleet uplink_fleet daemons_killed
}

@test "counters are deleted, expire, are flushed, reset and counted again: totals are exact" {
	drive_on_fleet uplink_fleet names_forgotten
}

@test "a daemon's disk is replaced by an old backup: totals are exact" {
	drive_on_fleet uplink_fleet disk_restored
}

@test "a daemon's disk is cloned, and both are used: totals are exact" {
	drive_on_fleet uplink_fleet disk_cloned
}

@test "a daemon is retired, and comes back: totals are exact" {
	drive_on_fleet uplink_fleet daemon_retired
}

@test "faults drawn by a seed: totals are exact" {
	drive_on_fleet uplink_fleet mixed
}

@test "masters that answer late are waited for: no connection is given up, and nothing is looked for that might be lost" {
	drive_on_fleet uplink_slow patient
}
