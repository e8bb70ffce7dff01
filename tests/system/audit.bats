#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The audit log: exactly the changes of the counters that a pattern fits, in their order, with who did it. The cases:
# py/audit.py.

load drive

@test "every change of every client is in the log as its reply said, in order, with its process" {
	drive audit exact
}

@test "with durability commit, too, every change of every client is in the log as its reply said, in order" {
	drive audit exact_commit
}

@test "FLUSHALL stands in the log between what it deleted and what came later" {
	drive audit flushes
}

@test "over TCP the peer is an address" {
	drive audit tcp
}

@test "commit mode: after crashes the log has exactly what was acknowledged, and is what the counters are worth" {
	drive audit killed
}

@test "interval mode: what a crash takes it takes with its entries" {
	drive audit killed_interval
}

@test "a reload turns it on and off under load, also for counters with cells, without a gap or an entry twice" {
	drive audit reload
}

@test "an expiry given to a counter that is audited no more survives a restart" {
	drive audit expiry_outlives_audit
}

@test "the newest entries are kept, by number and by age, and numbers are not used again" {
	drive audit retention
}

@test "the view counter_logs tells the same while the daemon runs" {
	drive audit view
}

@test "while the disk is full the log is refused; nothing of it is lost" {
	drive audit full
}

@test "entries that pile up are committed early, and many may ask at once" {
	drive audit many
}

@test "log --follow prints every entry once over crashes, and ends by SIGINT and with its reader" {
	drive audit follow
}
