#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Failing, full and slow disks with durability = commit, where replies are held until they are true on disk. The cases: py/held.py.

load drive

@test "INFO names the durability that was asked for" {
	drive held backend
}

# ---- I/O errors: every reply that left is true afterwards, and every value that anybody was shown ----

@test "an I/O error while writing the log ends it; every reply that left is true afterwards" {
	drive held io_error wal_write
}

@test "an I/O error in the middle of a page of the log ends it; every reply that left is true afterwards" {
	drive held io_error wal_torn
}

@test "an I/O error while syncing the log ends it; every reply that left is true afterwards" {
	drive held io_error wal_sync
}

@test "an I/O error while a checkpoint writes the database ends it; every reply that left is true afterwards" {
	drive held io_error db_write
}

@test "an I/O error while a checkpoint syncs the database ends it; every reply that left is true afterwards" {
	drive held io_error db_sync
}

# ---- full ----

@test "no room in the log for a while, in commits and in folding: every reply is true" {
	drive held full wal
}

@test "no room in the database for a while, at a checkpoint: every reply is true" {
	drive held full db
}

@test "the quota is used up for a while: every reply is true" {
	drive held full quota
}

@test "the log may not grow further for a while: every reply is true" {
	drive held full too_big
}

@test "a token that is used but not on disk is answered to nobody" {
	drive held token_is_held
}

@test "a small disk that is filled and freed goes on, with what was promised" {
	drive held full_small_disk
}

@test "on a full disk writes are refused, what is durable is told, the rest waits in order" {
	drive held full_is_said
}

@test "a stop on a full disk ends with 74 and answers nothing that was held" {
	drive held full_stop
}

# ---- clients whose replies are held ----

@test "clients that vanish, reset, send half or shut down cost nothing that lasts" {
	drive held bad_clients
}

@test "clients that read nothing are throttled" {
	drive held greedy_clients
}

# ---- slow ----

@test "a slow disk makes replies late, but all come, in order, and what is durable is told at once" {
	drive held slow_disk
}
