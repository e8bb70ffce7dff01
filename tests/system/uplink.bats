#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# A daemon with an uplink as a user would try it, on one Redis server and on a Redis Cluster: its commands, restarts, disks.
# What takes longer is in uplink_trouble.bats. The cases: py/uplink.py and, by what they are about, py/uplink_refused.py, uplink_operators.py,
# uplink_disks.py, uplink_copies.py, uplink_life.py. Many daemons under many faults: uplink_fleet.bats.

load servers

setup_file() {
	start_servers
}

teardown_file() {
	stop_servers
}

@test "SHC.GLOBAL is what the cluster has: nil, a number, or its error" {
	drive uplink totals
}

@test "explain tells the total and its age, as text and as JSON" {
	drive uplink explained
}

@test "many wait for a silent cluster; some leave, some give up, the others hear of it when it is back" {
	drive uplink sync_many
}

@test "what the cluster refuses is told of with its reason, and holds up nobody else" {
	drive uplink_refused refused_names
}

@test "a server out of memory refuses all, in a few lines; behind that all is brought there by itself, or before SYNC is answered" {
	drive uplink_refused refused_for_a_while
}

@test "what is right and may not be looked at for a while stops being refused by itself" {
	drive uplink_refused not_permitted_for_a_while
}

@test "VERIFY tells of ledgers and totals that somebody has touched, REPAIR mends what can be mended" {
	drive uplink tampering
}

@test "an incarnation's record that is gone is written again, one that is damaged is told of" {
	drive uplink record_touched
}

@test "a total that was reset counts from 0, with two daemons, behind deletions, once more" {
	drive uplink_operators resets
}

@test "a reset whose answer makes no sense, or is cut short, may have been done: UPLINKDOUBT, exit status 75" {
	start_nodes <<<'{"nodes": {"d": {"slots": [[0, 16383]]}}}'
	drive uplink_operators reset_in_doubt
	stop_nodes
}

@test "a reset takes what was in the cluster, and not what comes there later" {
	drive uplink_operators reset_of_unpushed
}

@test "whoever is retired and comes back brings what he had not brought, and that once" {
	drive uplink_operators retirement_of_somebody_alive
}

@test "RETIRE names a ledger that it cannot read, and does the others" {
	drive uplink_operators retirement_of_damaged
}

@test "a daemon on an old backup: totals stay, sessions and tokens are refused until they are accepted" {
	drive uplink_disks restored_backup
}

@test "a backup beside its original, which has something yet to bring: the total is exact, and the original undisturbed" {
	drive uplink_copies beside_its_original
}

@test "a backup in the cluster before its original, which was stopped while that was silent: the total is exact" {
	drive uplink_copies original_restarts
}

@test "a daemon on a backup that is killed before the cluster is there has brought all that it counted" {
	drive uplink_copies killed_before_the_cluster_is_there
}

@test "backups of a backup, and two daemons on one, are told apart" {
	drive uplink_copies copies_of_copies
}

@test "a backup that runs without an uplink first is a backup when it gets one" {
	drive uplink_copies kept_without_an_uplink
}

@test "a backup of a state that never had an uplink brings all that it has" {
	drive uplink_copies known_to_no_cluster
}

@test "a daemon on an old copy counts while the cluster is silent, and nothing of that is lost" {
	drive uplink_disks copied_while_stopped
}

@test "two daemons on copies of one disk are told apart, and the total is right" {
	drive uplink_disks cloned
}

@test "a daemon that is killed again and again has brought everything, once" {
	drive uplink_disks killed
}

@test "a daemon that is killed behind an epoch of audit entries, or of a session, knows its own fields" {
	drive uplink_disks killed_behind_the_audit_log
}

@test "what is counted while there is no uplink comes to the cluster with the next one" {
	drive uplink_disks without_and_with
}

@test "another, empty cluster gets everything; and back" {
	drive uplink_disks another_cluster
}

@test "another, empty cluster of a restored state: short by its baselines, until they are added as docs/uplink.md says; or with the keys" {
	drive uplink_disks another_cluster_of_a_copy
}

@test "a counter that is changed in any way, expires, or is flushed is so in the cluster" {
	drive uplink_life every_way
}

@test "a password is in no log, setting, status or process list" {
	drive uplink_life password_is_kept
}

@test "a user that is locked out while the daemon runs: it goes on, and so does the uplink later" {
	drive uplink_refused locked_out
}
